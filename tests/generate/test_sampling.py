"""Random streams and draws: worked by hand, and held against the true distribution."""

import math

import pytest
import torch

from ponder.generate.sampling import BLOCK, draw, stream_key, uniforms
from ponder.types import Sampling

PROBS = (0.1, 0.4, 0.2, 0.3)
LOGITS = torch.tensor([[math.log(p) for p in PROBS]])


def splitmix64(key: int, position: int) -> float:
    """The published algorithm on Python's integers."""
    mask = 2**64 - 1
    z = (key + (position + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return ((z ^ (z >> 31)) >> 40) / 2**24


def test_uniforms_are_splitmix64() -> None:
    keys = [0, 1, -1, 2**62, -(2**63), stream_key(3, "gcd/7", 5)]
    positions = [0, 1, 2, 1000, 2**20, 7]
    found = uniforms(torch.tensor(keys), torch.tensor(positions))
    expected = [splitmix64(key, place) for key, place in zip(keys, positions, strict=True)]
    assert found.tolist() == expected
    # The first output of SplitMix64 with seed 0 is 0xE220A8397B1DCDAF (its authors' test value).
    assert found[0].item() == (0xE220A8397B1DCDAF >> 40) / 2**24


def test_uniforms_are_uniform_along_positions_and_across_keys() -> None:
    for keys, positions in (
        (torch.full((50_000,), stream_key(0, "a", 0)), torch.arange(50_000)),
        (torch.tensor([stream_key(0, "a", i) for i in range(50_000)]), torch.zeros(50_000).long()),
    ):
        numbers = uniforms(keys, positions)
        assert numbers.min() >= 0
        assert numbers.max() < 1
        counts = torch.histc(numbers, bins=20, min=0, max=1)
        chi_square = ((counts - 2500) ** 2 / 2500).sum()
        assert chi_square < 43.8  # 19 degrees of freedom, p = 0.001


def test_keys_name_streams() -> None:
    keys = {stream_key(*name) for name in [(0, "a", 0), (0, "a", 1), (1, "a", 0), (0, "b", 0)]}
    assert len(keys) == 4
    assert stream_key(1, "1/a", 0) != stream_key(1, "a", 1)
    assert all(-(2**63) <= key < 2**63 for key in keys)


@pytest.mark.parametrize(
    ("uniform", "token"),
    [(0.0, 0), (0.099, 0), (0.101, 1), (0.499, 1), (0.501, 2), (0.699, 2), (0.701, 3), (0.9999, 3)],
)
def test_inverse_cdf_by_hand(uniform, token) -> None:
    tokens, logprobs = draw(LOGITS, torch.tensor([uniform]), Sampling())
    assert tokens.tolist() == [token]
    assert logprobs.item() == pytest.approx(math.log(PROBS[token]), abs=1e-6)


def test_temperature_divides_logits() -> None:
    weights = [p**2 for p in PROBS]  # temperature 1/2
    share = [w / sum(weights) for w in weights]
    for uniform, token in ((share[0] - 0.001, 0), (share[0] + 0.001, 1), (0.999, 3)):
        tokens, logprobs = draw(LOGITS, torch.tensor([uniform]), Sampling(temperature=0.5))
        assert tokens.tolist() == [token]
        assert logprobs.item() == pytest.approx(math.log(share[token]), abs=1e-6)


def test_temperature_zero_is_greedy_with_logprobs_of_temperature_one() -> None:
    tokens, logprobs = draw(LOGITS, torch.tensor([0.999]), Sampling(temperature=0.0))
    assert tokens.tolist() == [1]
    assert logprobs.item() == pytest.approx(math.log(0.4), abs=1e-6)


@pytest.mark.parametrize(
    ("top_k", "top_p", "support"),
    [
        (0, 1.0, {0, 1, 2, 3}),
        (2, 1.0, {1, 3}),
        (1, 1.0, {1}),
        (99, 1.0, {0, 1, 2, 3}),
        (0, 0.39, {1}),
        (0, 0.41, {1, 3}),
        (0, 0.69, {1, 3}),
        (0, 0.71, {1, 2, 3}),
        (0, 0.91, {0, 1, 2, 3}),
        (2, 0.55, {1}),  # of the two kept, 0.4 / 0.7 = 0.57 alone reaches 0.55
        (2, 0.60, {1, 3}),
        (0, 1e-9, {1}),
    ],
)
def test_support_of_top_k_and_top_p_is_exact(top_k, top_p, support) -> None:
    uniform = torch.linspace(0, 1 - 2**-24, 2000)
    sampling = Sampling(top_k=top_k, top_p=top_p)
    tokens, logprobs = draw(LOGITS.expand(2000, -1), uniform, sampling)
    assert set(tokens.tolist()) == support
    torch.testing.assert_close(logprobs, LOGITS[0, tokens])  # untruncated
    mass = sum(PROBS[token] for token in support)
    for token in support:
        share = (tokens == token).float().mean().item()
        assert share == pytest.approx(PROBS[token] / mass, abs=2e-3)


@pytest.mark.parametrize("size", [7, BLOCK, 5 * BLOCK + 3])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_draws_have_the_softmax_distribution(size, temperature) -> None:
    count = 40_000
    generator = torch.Generator().manual_seed(size)
    logits = 2 * torch.randn(size, generator=generator)
    positions = torch.arange(count)
    uniform = uniforms(torch.full((count,), stream_key(0, "x", size)), positions)
    tokens, logprobs = draw(logits.expand(count, -1), uniform, Sampling(temperature))
    expected = (logits / temperature).softmax(-1)
    torch.testing.assert_close(logprobs, expected.log()[tokens], atol=1e-5, rtol=0)
    counts = torch.bincount(tokens, minlength=size)
    common = expected * count > 5
    chi_square = ((counts - expected * count) ** 2 / (expected * count))[common].sum().item()
    freedom = int(common.sum())
    assert chi_square < freedom + 3.3 * math.sqrt(2 * freedom) + 8  # beyond p = 0.001


def test_tokens_without_probability_are_never_drawn() -> None:
    logits = torch.full((1, 3 * BLOCK), -torch.inf)
    logits[0, [3, BLOCK + 5, 3 * BLOCK - 2]] = torch.tensor([0.3, -0.2, 0.1])
    uniform = torch.cat([torch.linspace(0, 1 - 2**-24, 5000), torch.tensor([0.0, 1 - 2**-24])])
    tokens, _ = draw(logits.expand(5002, -1), uniform, Sampling())
    assert set(tokens.tolist()) == {3, BLOCK + 5, 3 * BLOCK - 2}
