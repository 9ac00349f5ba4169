"""The packed forward pass against the plain padded one: log-probabilities and every gradient."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    NemotronConfig,
    NemotronForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from ponder.errors import PonderError
from ponder.models.packed import check_trainable, completion_logprobs, packed_hidden
from ponder.models.packed_attention import _fused, packed_attention
from ponder.models.packed_layout import PackedLayout

VOCAB = 50
SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.2,
}


def make_model(family: str, **changes: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    settings = SHAPE | changes
    if family == "llama":
        return LlamaForCausalLM(LlamaConfig(**settings)).eval()
    return Qwen2ForCausalLM(Qwen2Config(**settings)).eval()


def make_batch(
    seed: int, prompt_lengths: list[int], completion_lengths: list[int]
) -> tuple[list[list[int]], list[list[int]], list[int]]:
    numbers = random.Random(seed)
    prompts = [[numbers.randrange(VOCAB) for _ in range(n)] for n in prompt_lengths]
    completions = [[numbers.randrange(VOCAB) for _ in range(n)] for n in completion_lengths]
    return prompts, completions, [numbers.randrange(len(prompts)) for _ in completions]


RAGGED = make_batch(1, [5, 1, 17, 9], [3, 30, 1, 8, 8, 21, 2, 13, 40, 5, 1, 16])


def plain_logprobs(
    model: PreTrainedModel,
    prompts: list[list[int]],
    completions: list[list[int]],
    prompt_index: list[int],
    temperature: float,
) -> Tensor:
    """The padded forward pass that everybody writes: one row per completion, prompt and all."""
    rows = [
        prompts[p] + completion for p, completion in zip(prompt_index, completions, strict=True)
    ]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    logits = model(input_ids=ids, attention_mask=mask).logits / temperature
    everything = torch.log_softmax(logits, -1)
    parts = []
    for i, (row, completion) in enumerate(zip(rows, completions, strict=True)):
        at = torch.arange(len(row) - len(completion) - 1, len(row) - 1)
        parts.append(everything[i, at, torch.tensor(completion)])
    return torch.cat(parts)


def gradients(model: PreTrainedModel, logprobs: Tensor, signal: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    logprobs.backward(signal)  # type: ignore[no-untyped-call]
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("qwen2", {}),
        ("qwen2", {"num_key_value_heads": 4, "tie_word_embeddings": True}),
        ("qwen2", {"num_key_value_heads": 1}),
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True, "attention_bias": True}),
    ],
)
@pytest.mark.parametrize("scores_per_bucket", [1, 500, 2**18])
def test_equals_the_padded_forward_pass(
    family: str, changes: dict[str, Any], attention: str, scores_per_bucket: int
) -> None:
    model = make_model(family, attn_implementation=attention, **changes)
    layout = PackedLayout.build(*RAGGED, scores_per_bucket=scores_per_bucket)
    expected = plain_logprobs(model, *RAGGED, temperature=0.8)
    signal = torch.randn(len(expected), generator=torch.Generator().manual_seed(3)) / len(expected)
    reference = gradients(model, expected, signal)
    logprobs, entropy = completion_logprobs(model, layout, temperature=0.8, chunk_tokens=16)
    ours = gradients(model, logprobs, signal)
    assert torch.allclose(logprobs, expected, atol=1e-5)
    assert (entropy > 0).all()
    assert ours.keys() == reference.keys() == dict(model.named_parameters()).keys()
    for name, gradient in reference.items():
        assert torch.allclose(ours[name], gradient, rtol=1e-4, atol=1e-5), name


def test_float64_parameters_work() -> None:
    model = make_model("qwen2", attn_implementation="eager").double()
    expected = plain_logprobs(model, *RAGGED, temperature=1.0)
    logprobs, _ = completion_logprobs(model, PackedLayout.build(*RAGGED), 1.0, 16)
    assert torch.allclose(logprobs, expected, rtol=0, atol=1e-5)  # norms are float32
    assert logprobs.dtype is torch.float64


def test_every_completion_alone_gives_the_same() -> None:
    model = make_model("llama")
    prompts, completions, index = RAGGED
    with torch.no_grad():
        together, _ = completion_logprobs(model, PackedLayout.build(*RAGGED), 1.0, 64)
        alone = [
            completion_logprobs(model, PackedLayout.build([prompts[p]], [c], [0]), 1.0, 64)[0]
            for p, c in zip(index, completions, strict=True)
        ]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_order_of_completions_does_not_matter() -> None:
    model = make_model("qwen2")
    prompts, completions, index = RAGGED
    order = random.Random(5).sample(range(len(completions)), len(completions))
    layout = PackedLayout.build(prompts, completions, index)
    shuffled = PackedLayout.build(
        prompts, [completions[i] for i in order], [index[i] for i in order]
    )
    with torch.no_grad():
        direct = layout.pad(completion_logprobs(model, layout, 1.0, 64)[0])
        other = shuffled.pad(completion_logprobs(model, shuffled, 1.0, 64)[0])
    assert torch.allclose(other, direct[order], atol=1e-5)


def test_the_same_pass_twice_is_bitwise_the_same() -> None:
    model = make_model("qwen2")
    results = []
    for _ in range(2):
        logprobs, _ = completion_logprobs(model, PackedLayout.build(*RAGGED), 1.0, 16)
        results.append((logprobs, gradients(model, logprobs, torch.ones_like(logprobs))))
    assert torch.equal(results[0][0], results[1][0])
    assert all(torch.equal(g, results[1][1][n]) for n, g in results[0][1].items())


def test_the_model_is_as_before_afterwards() -> None:
    model = make_model("qwen2", attn_implementation="sdpa")
    ids = torch.tensor([RAGGED[0][2]])
    before = model(input_ids=ids).logits
    packed_hidden(model, PackedLayout.build(*RAGGED))
    assert model.config._attn_implementation == "sdpa"
    assert torch.equal(model(input_ids=ids).logits, before)
    assert model.generate(ids, max_new_tokens=3, do_sample=False).shape[0] == 1


def test_a_prompt_without_completions_and_completions_of_one_token() -> None:
    model = make_model("llama")
    batch = ([[1, 2, 3], [4, 5]], [[7], [8]], [1, 1])
    logprobs, _ = completion_logprobs(model, PackedLayout.build(*batch), 1.0, 8)
    assert torch.allclose(logprobs, plain_logprobs(model, *batch, 1.0), atol=1e-5)


def test_layout_by_hand() -> None:
    # Prompts a b | c d e | f; completions: x y z after the second; w, nothing and u v after the
    # first; s t after the second. Their last tokens are not fed, which leaves x y, s (after c d e,
    # shared) and u (after a b, alone). Rows: c d e | x y | s | a b u | f.
    layout = PackedLayout.build(
        [[1, 2], [3, 4, 5], [14]], [[6, 7, 8], [9], [], [10, 11], [12, 13]], [1, 0, 0, 0, 1]
    )
    assert layout.token_ids.tolist() == [[3, 4, 5, 6, 7, 12, 1, 2, 10, 14]]
    assert layout.position_ids.tolist() == [[0, 1, 2, 3, 4, 3, 0, 1, 2, 0]]
    assert layout.predicting_rows.tolist() == [2, 3, 4, 7, 7, 8, 2, 5]
    assert layout.targets.tolist() == [6, 7, 8, 9, 10, 11, 12, 13]
    padded = [[6, 7, 8], [9, 0, 0], [0, 0, 0], [10, 11, 0], [12, 13, 0]]
    assert layout.pad(layout.targets).tolist() == padded
    assert layout.loss_mask().sum(-1).tolist() == [3, 1, 0, 2, 2]
    assert layout.longest == 6
    segments = [[0, 3, 0, 0], [3, 2, 0, 3], [5, 1, 0, 3], [6, 3, 0, 0], [9, 1, 0, 0]]
    assert layout.segments.tolist() == segments
    assert [part.tolist() for part in layout.cuts] == [
        [0, 3, 5, 6, 9, 10],  # every segment
        [0, 3],  # the shared prompt
        [0, 3],  # its completions, from row 3
        [3, 3, 3, 3, 6],
    ]


def test_without_shared_prompts_there_is_one_segment_per_sequence() -> None:
    layout = PackedLayout.build([[1, 2], [3]], [[4, 5], [6, 7]], [0, 1])
    assert layout.token_ids.tolist() == [[1, 2, 4, 3, 6]]
    assert layout.cuts.own.tolist() == [0, 3, 5]
    assert layout.cuts.keys.tolist() == layout.cuts.queries.tolist() == [0, 0]
    assert layout.cuts.sizes.tolist() == [3, 0, 0, 0, 0]


def test_buckets_hold_every_row_once_and_respect_their_size() -> None:
    layout = PackedLayout.build(*RAGGED, scores_per_bucket=1500)
    rows = torch.cat([b.real_rows for b in layout.buckets])
    assert sorted(rows.tolist()) == list(range(layout.token_ids.shape[1]))
    for bucket in layout.buckets:
        size = bucket.num_segments * bucket.length * (bucket.prefix + bucket.length)
        assert bucket.num_segments == 1 or size <= 1500 * 2  # before rounding lengths up
    assert len(layout.buckets) > 3


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_attention_gradcheck(kv_heads: int) -> None:
    torch.manual_seed(0)
    layout = PackedLayout.build(*make_batch(2, [2, 3], [2, 3, 1, 4]), scores_per_bucket=60)
    num = layout.token_ids.shape[1]
    q = torch.randn(num, 4, 2, dtype=torch.float64, requires_grad=True)
    k = torch.randn(num, kv_heads, 2, dtype=torch.float64, requires_grad=True)
    v = torch.randn(num, kv_heads, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *qkv: packed_attention(*qkv, layout.buckets, 0.7), (q, k, v)
    )


def test_the_two_forms_of_attention_agree() -> None:
    torch.manual_seed(0)
    layout = PackedLayout.build(*RAGGED, scores_per_bucket=3000)
    num = layout.token_ids.shape[1]
    leaves = [torch.randn(num, heads, 8, requires_grad=True) for heads in (4, 2, 2)]
    signal = torch.randn(num, 4, 8)
    products = packed_attention(*leaves, layout.buckets, 0.3)
    fused = _fused(*leaves, layout.buckets, 0.3)
    assert torch.allclose(products, fused, atol=1e-5)
    ours = torch.autograd.grad(products, leaves, signal)
    for grad, reference in zip(ours, torch.autograd.grad(fused, leaves, signal), strict=True):
        assert torch.allclose(grad, reference, atol=1e-4)


def test_bfloat16_stays_close() -> None:
    model = make_model("qwen2", initializer_range=0.05)
    layout = PackedLayout.build(*RAGGED)
    with torch.no_grad():
        exact, _ = completion_logprobs(model, layout, 1.0, 64)
        rough, _ = completion_logprobs(model.bfloat16(), layout, 1.0, 64)
    assert rough.dtype is torch.float32
    assert torch.allclose(rough, exact, atol=0.05)


def test_a_window_as_long_as_the_sequences_is_fine_and_a_shorter_one_refused() -> None:
    torch.manual_seed(0)
    model = MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=60)).eval()
    layout = PackedLayout.build(*RAGGED)
    assert layout.longest <= 60
    logprobs, _ = completion_logprobs(model, layout, 1.0, 64)
    assert torch.allclose(logprobs, plain_logprobs(model, *RAGGED, 1.0), atol=1e-5)
    narrow = MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=20)).eval()
    with pytest.raises(PonderError, match="window of 20"):
        packed_hidden(narrow, layout)
    assert narrow.config._attn_implementation != "ponder_packed"


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")
def test_models_that_would_compute_something_else_are_refused() -> None:
    layout = PackedLayout.build(*RAGGED)
    capped = Gemma2ForCausalLM(Gemma2Config(**SHAPE, head_dim=8, sliding_window=4096)).eval()
    with pytest.raises(PonderError, match="softcap"):
        packed_hidden(capped, layout)
    dropping = make_model("qwen2", attention_dropout=0.1).train()
    with pytest.raises(PonderError, match="dropout"):
        packed_hidden(dropping, layout)
    recomputing = make_model("qwen2").train()
    recomputing.gradient_checkpointing_enable()
    with pytest.raises(PonderError, match="gradient_checkpointing"):
        packed_hidden(recomputing, layout)


@pytest.mark.parametrize("tied", [False, True])
def test_a_head_that_does_more_than_multiply_is_refused(tied: bool) -> None:
    """Granite and Cohere scale their logits, Gemma caps them: the trainer would not."""
    settings = SHAPE | {"tie_word_embeddings": tied, "pad_token_id": 0}
    check_trainable(make_model("qwen2", tie_word_embeddings=tied))
    check_trainable(make_model("llama").bfloat16())
    check_trainable(GraniteForCausalLM(GraniteConfig(**settings)).eval())
    for model in (
        GraniteForCausalLM(GraniteConfig(**settings, logits_scaling=8.0)),
        CohereForCausalLM(CohereConfig(**settings, logit_scale=0.0625)),
        Gemma3ForCausalLM(Gemma3TextConfig(**settings, head_dim=8, final_logit_softcapping=3.0)),
    ):
        with pytest.raises(PonderError, match="logits are not the plain product"):
            check_trainable(model.eval())


def test_layers_that_drop_our_argument_are_refused() -> None:
    model = NemotronForCausalLM(NemotronConfig(**SHAPE)).eval()
    with pytest.raises(PonderError, match="do not hand arguments on"):
        check_trainable(model)


def test_an_empty_prompt_and_a_missing_index_are_refused() -> None:
    with pytest.raises(ValueError, match="every prompt"):
        PackedLayout.build([[]], [[1]], [0])
    with pytest.raises(ValueError, match="2 completions, but 1"):
        PackedLayout.build([[1]], [[1], [2]], [0])
