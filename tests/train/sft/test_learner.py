"""One update: the loss of each sample alone, whoever its neighbours are and however it is split."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from ponder.config.sft import SFTConfig
from ponder.errors import GuardError
from ponder.models.lora import add_lora
from ponder.models.packed import completion_logprobs
from ponder.models.tiny import make_tiny_model
from ponder.train.masters import MasterAdamW
from ponder.train.sft.learner import Learner, layout_of
from ponder.train.sft.store import Sample


def make_samples(num: int = 9, seed: int = 0) -> list[Sample]:
    """Ragged samples whose prompts begin alike; every third has the prompt of the one before, two
    have one token to learn."""
    draw = random.Random(seed)
    samples: list[Sample] = []
    for index in range(num):
        prompt = [7, *(draw.randrange(256) for _ in range(draw.randrange(20)))]
        if index % 3 == 2:
            prompt = samples[-1].prompt_ids
        length = 1 if index in (1, 4) else draw.randrange(1, 40)
        samples.append(Sample(prompt, [draw.randrange(256) for _ in range(length)]))
    return samples


def learner(model: PreTrainedModel, **settings: Any) -> Learner:
    config = SFTConfig.model_validate({"device": "cpu"} | settings)
    return Learner(model, config, steps=10)


def alone(model: PreTrainedModel, sample: Sample) -> Tensor:
    """transformers' own forward pass of one sample; the sum over its completion's tokens."""
    ids = torch.tensor([sample.prompt_ids + sample.completion_ids])
    logits = model(input_ids=ids, use_cache=False).logits[0, len(sample.prompt_ids) - 1 : -1]
    return functional.cross_entropy(
        logits.float(), torch.tensor(sample.completion_ids), reduction="sum"
    )


def gradients(model: PreTrainedModel) -> dict[str, Tensor]:
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor], rtol: float = 1e-4) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        scale = float(theirs[name].abs().max())
        torch.testing.assert_close(tensor, theirs[name], rtol=rtol, atol=rtol * scale, msg=name)


@pytest.mark.parametrize("family", ["qwen2", "llama"])
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("recompute", [True, False])
def test_packed_loss_and_gradients_are_those_of_each_sample_alone(
    family: str, share: bool, recompute: bool
) -> None:
    model, _ = make_tiny_model(0, family)  # type: ignore[arg-type]
    samples = make_samples()
    num_tokens = sum(len(sample.completion_ids) for sample in samples)
    expected = sum(alone(model, sample) for sample in samples) / num_tokens
    assert isinstance(expected, Tensor)
    expected.backward()  # type: ignore[no-untyped-call]
    theirs = gradients(model)
    model.zero_grad()
    batch = {"share_prompts": share, "recompute": "layers" if recompute else "none"}
    ours = learner(model, batch=batch)
    loss, _ = ours._sums(samples)
    (loss / num_tokens).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(
        float(loss.detach()) / num_tokens, float(expected.detach()), rtol=1e-6, atol=0
    )
    assert_close(gradients(model), theirs)


def test_a_sample_has_the_same_loss_among_any_neighbours_in_any_order() -> None:
    model, _ = make_tiny_model(1)
    ours = learner(model)
    samples = make_samples(12)
    own = [float(ours._sums([sample])[0].detach()) for sample in samples]
    for seed in range(3):
        order = random.Random(seed).sample(range(12), 12)
        together = losses_in_a_pack(model, [samples[i] for i in order])
        for place, index in enumerate(order):
            assert together[place] == pytest.approx(own[index], rel=1e-5)
    others = [Sample(s.prompt_ids, [7] * 30) for s in samples[1:]]
    assert losses_in_a_pack(model, [samples[0], *others])[0] == pytest.approx(own[0], rel=1e-5)


def losses_in_a_pack(model: PreTrainedModel, samples: list[Sample]) -> list[float]:
    """The loss of each sample in one forward pass of them all."""
    layout = layout_of(samples, share_prompts=True, device="cpu")
    with torch.no_grad():
        logprobs, _ = completion_logprobs(model, layout, 1.0, 1024)
    return [-float(part.sum()) for part in logprobs.split(layout.lengths.tolist())]


def test_positions_begin_at_0_for_each_sample_and_shared_prompts_are_there_once() -> None:
    samples = [Sample([1, 2], [3, 4, 5]), Sample([6], [7]), Sample([1, 2], [8, 9])]
    apart = layout_of(samples, share_prompts=False, device="cpu")
    assert apart.position_ids.tolist() == [[0, 1, 2, 3, 0, 0, 1, 2]]
    assert apart.token_ids.tolist() == [[1, 2, 3, 4, 6, 1, 2, 8]]
    assert apart.targets.tolist() == [3, 4, 5, 7, 8, 9]
    shared = layout_of(samples, share_prompts=True, device="cpu")
    assert sorted(shared.token_ids[0].tolist()) == [1, 2, 3, 4, 6, 8]
    assert shared.targets.tolist() == apart.targets.tolist()


@pytest.mark.parametrize("tokens", [1, 60, 100, 10_000])
def test_the_split_into_forward_passes_does_not_change_the_update(tokens: int) -> None:
    results = []
    for size in (tokens, 16_384):
        model, _ = make_tiny_model(0)
        ours = learner(
            model, batch={"microbatch_tokens": size}, optimizer={"learning_rate": 1e-2, "eps": 1e-3}
        )
        results.append((ours.update(make_samples()), dict(model.named_parameters())))
    (one, weights), (whole, expected) = results
    assert one["sft/forward_passes"] > 1 or tokens == 10_000
    assert whole["sft/forward_passes"] == 1
    for key in ("loss/total", "policy/grad_norm", "policy/entropy"):
        assert one[key] == pytest.approx(whole[key], rel=1e-5)
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-5)


def test_the_loss_weighs_every_token_the_same() -> None:
    model, _ = make_tiny_model(0)
    samples = [Sample([1], [2]), Sample([3, 4], list(range(60)))]
    expected = sum(float(alone(model, sample).detach()) for sample in samples) / 61
    metrics = learner(model, batch={"microbatch_tokens": 20}).update(samples)
    assert metrics["loss/total"] == pytest.approx(expected, rel=1e-5)
    assert metrics["sft/completion_tokens"] == 61
    assert metrics["sft/tokens"] == 64
    # Two forward passes: 62 tokens, which count as full, and 2 of 20.
    assert metrics["sft/fill"] == pytest.approx(64 / 82)


def test_rates_follow_the_cosine_that_the_paper_prints() -> None:
    model, _ = make_tiny_model(0)
    ours = learner(model, optimizer={"warmup_steps": 2})
    rates = [ours.update(make_samples(2))["policy/learning_rate"] for _ in range(10)]
    assert rates[:3] == pytest.approx([2.5e-5, 5e-5, 5e-5])
    assert all(a > b for a, b in itertools.pairwise(rates[2:]))
    assert 5e-6 < rates[-1] < 8e-6


def test_broken_batches_never_reach_the_weights() -> None:
    model, _ = make_tiny_model(0)
    ours = learner(model)
    before = {name: p.clone() for name, p in model.named_parameters()}
    for samples in ([], [Sample([1], [2]), Sample([3], [])]):
        with pytest.raises(GuardError, match="without a completion token"):
            ours.update(samples)
    with torch.no_grad():
        model.lm_head.weight[5] = float("nan")
        before["lm_head.weight"] = model.lm_head.weight.clone()
    with pytest.raises(GuardError, match=r"update 0: the loss is nan.*the weights are untouched"):
        ours.update(make_samples(1))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, before[name], rtol=0, atol=0, equal_nan=True)


def test_adapters_alone_are_trained() -> None:
    pytest.importorskip("peft")
    model, _ = make_tiny_model(0)
    config = SFTConfig.model_validate({"lora": {"rank": 4}, "optimizer": {"learning_rate": 1e-2}})
    add_lora(model, config.lora, seed=0)
    before = {name: p.clone() for name, p in model.named_parameters()}
    ours = Learner(model, config, steps=10)
    losses = [ours.update(make_samples())["loss/total"] for _ in range(5)]
    assert losses[-1] < losses[0]
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert changed
    assert all("lora" in name for name in changed)


def test_bfloat16_has_float32_masters() -> None:
    model, _ = make_tiny_model(0)
    ours = learner(model.to(torch.bfloat16), optimizer={"learning_rate": 1e-3})
    assert isinstance(ours.optimizer, MasterAdamW)
    losses = [ours.update(make_samples())["loss/total"] for _ in range(8)]
    assert losses[-1] < losses[0]
