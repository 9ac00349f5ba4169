"""The compiled decode attention against the clear version, and against transformers."""

import os

import pytest
import torch
from tests.generate.helpers import random_prompts

from ponder.generate.attention import attend_by_matmul
from ponder.generate.local import LocalGenerator
from ponder.generate.native import attend_natively, native_kernel
from ponder.generate.pages import PAGE_TOKENS
from ponder.models.tiny import make_tiny_model
from ponder.types import Sampling

needs_kernel = pytest.mark.skipif(
    native_kernel(32, 32) is None, reason="no C++ compiler, no AVX2 or no OpenMP"
)


class Case:
    """Seven sequences of three pages: two share their prompt, one is padding."""

    def __init__(self, num_heads: int, num_kv_heads: int, key_dim: int, value_dim: int) -> None:
        torch.manual_seed(0)
        self.cache = (
            torch.randn(20, num_kv_heads, key_dim, PAGE_TOKENS),
            torch.randn(20, num_kv_heads, PAGE_TOKENS, value_dim),
        )
        self.query = torch.randn(7, num_heads, key_dim)
        self.new = torch.randn(7, num_kv_heads, key_dim), torch.randn(7, num_kv_heads, value_dim)
        self.table = torch.arange(1, 22).view(7, 3) % 20
        self.table[1, :2] = self.table[0, :2]
        self.table[6] = 0
        place = torch.tensor([0, 1, 15, 16, 30, 31, 0])
        self.where = (self.table[:, 2].contiguous(), place)
        column = 2 * PAGE_TOKENS + place
        column[6] = 0
        seen = torch.rand(7, 3 * PAGE_TOKENS) < 0.7
        seen &= torch.arange(3 * PAGE_TOKENS) <= column.unsqueeze(1)
        seen[torch.arange(7), column] = True
        self.bias = torch.zeros(seen.shape).masked_fill_(~seen, -torch.inf)

    def expected(self, scale: float) -> torch.Tensor:
        keys, values = (tensor.clone() for tensor in self.cache)
        page, place = self.where
        keys[page, :, :, place], values[page, :, place] = self.new
        bias = self.bias.unsqueeze(1)
        return attend_by_matmul(self.query, keys, values, self.table, bias, scale)

    def attend(self, scale: float) -> torch.Tensor:
        kernel = native_kernel(self.query.shape[-1], self.new[1].shape[-1])
        assert kernel is not None
        cache, table = self.cache, self.table
        return attend_natively(
            kernel, self.query, self.new, cache, table, self.where, self.bias, scale
        )


@needs_kernel
@pytest.mark.parametrize(
    ("num_heads", "num_kv_heads", "key_dim", "value_dim"),
    [(4, 4, 32, 32), (6, 2, 64, 64), (4, 1, 12, 96)],
)
def test_it_computes_what_the_clear_version_does(
    num_heads, num_kv_heads, key_dim, value_dim
) -> None:
    case = Case(num_heads, num_kv_heads, key_dim, value_dim)
    expected = case.expected(0.3)
    torch.testing.assert_close(case.attend(0.3), expected, atol=2e-6, rtol=1e-5)
    page, place = case.where
    assert torch.equal(case.cache[0][page, :, :, place], case.new[0])
    assert torch.equal(case.cache[1][page, :, place], case.new[1])


@needs_kernel
@pytest.mark.parametrize("scale", [0.0, 30.0])
def test_scores_that_are_equal_or_far_apart(scale) -> None:
    case = Case(4, 2, 32, 32)
    torch.testing.assert_close(case.attend(scale), case.expected(scale), atol=2e-5, rtol=1e-4)


@needs_kernel
def test_what_is_no_number_stays_none() -> None:
    case = Case(4, 4, 32, 32)
    case.query[2, 1, 3] = torch.nan
    out = case.attend(0.3)
    assert out[2, 1].isnan().all()
    assert out.isnan().sum() == 32


@needs_kernel
@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("num_kv_heads", [1, 4])
def test_greedy_tokens_are_those_of_generate(num_threads, num_kv_heads) -> None:
    torch.set_num_threads(num_threads)
    model, tokenizer = make_tiny_model(1, hidden_size=128, num_kv_heads=num_kv_heads, init_std=0.1)
    prompts = random_prompts([34 + length for length in (1, 31, 32, 33, 65)], common=34)
    sampling = Sampling(0.0, max_completion_tokens=70)
    groups = LocalGenerator(model, tokenizer).generate(prompts, 2, sampling, seed=0)
    for prompt, group in zip(prompts, groups, strict=True):
        ids = torch.tensor([prompt.token_ids])
        expected = model.generate(ids, do_sample=False, max_new_tokens=70)[0, ids.shape[1] :]
        assert [each.token_ids for each in group] == [expected.tolist()] * 2


@needs_kernel
def test_a_compiler_may_have_arguments_and_must_end(monkeypatch) -> None:
    monkeypatch.setitem(os.environ, "CXX", f"nice {os.environ.get('CXX', 'c++')}")
    assert native_kernel.__wrapped__(32, 32) is not None
    monkeypatch.setitem(os.environ, "CXX", "sh -c 'sleep 60'")
    monkeypatch.setattr("ponder.generate.native.COMPILER_SECONDS", 0.1)
    assert native_kernel.__wrapped__(32, 32) is None


@needs_kernel
def test_another_default_dtype_changes_no_token() -> None:
    model, tokenizer = make_tiny_model(1, hidden_size=128, init_std=0.1)
    prompts = random_prompts([5, 40])

    def sampled() -> list[list[int]]:
        groups = LocalGenerator(model, tokenizer).generate(prompts, 2, Sampling(0.0), seed=0)
        return [each.token_ids for group in groups for each in group]

    expected = sampled()
    for dtype in (torch.bfloat16, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            assert sampled() == expected
        finally:
            torch.set_default_dtype(torch.float32)


def test_without_a_compiler_or_for_other_sizes_there_is_none(monkeypatch) -> None:
    assert native_kernel(30, 32) is None
    assert native_kernel(32, 48) is None
    for compiler in ("no-such-compiler", "false", "true", "", "c++ '"):
        monkeypatch.setitem(os.environ, "CXX", compiler)
        assert native_kernel.__wrapped__(32, 32) is None
