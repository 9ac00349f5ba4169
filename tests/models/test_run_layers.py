"""Recomputed and compiled layers: the same numbers, less memory, one compilation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from ponder.models import compiled, packed, run_layers
from ponder.models.compiled import compile_layers, uncompile_layers
from ponder.models.layers import decoder_layers
from ponder.models.packed import completion_logprobs
from ponder.models.packed_layout import PackedLayout
from ponder.models.run_layers import layers_run_by

VOCAB = 50


def make_model() -> PreTrainedModel:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCAB,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=48,
        initializer_range=0.2,
    )
    return Qwen3ForCausalLM(config).eval()


def make_layout(seed: int, num_prompts: int, lengths: list[int]) -> PackedLayout:
    torch.manual_seed(seed)
    prompts = [torch.randint(VOCAB, (5 + i,)).tolist() for i in range(num_prompts)]
    completions = [torch.randint(VOCAB, (n,)).tolist() for n in lengths]
    return PackedLayout.build(prompts, completions, [i % num_prompts for i in range(len(lengths))])


LAYOUT = make_layout(0, 3, [20, 30, 9, 14, 25, 1, 33])


class Saved:
    """Counts the bytes that autograd keeps for the backward pass, parameters aside."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
        self._seen: dict[int, int] = {}

    def __call__(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._parameters:
            self._seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def num_bytes(self) -> int:
        return sum(self._seen.values())


def step(
    model: PreTrainedModel, layout: PackedLayout, recompute: bool = False
) -> tuple[Tensor, dict[str, Tensor], int]:
    """Log-probabilities, gradients, and bytes kept."""
    model.zero_grad()
    saved = Saved(model)
    with torch.autograd.graph.saved_tensors_hooks(saved, lambda tensor: tensor):
        logprobs, _ = completion_logprobs(model, layout, 0.8, 16, recompute)
    (logprobs * torch.linspace(-1, 1, len(logprobs))).sum().backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return logprobs.detach(), grads, saved.num_bytes


def assert_same(ours: tuple, expected: tuple, atol: float = 1e-5) -> None:  # type: ignore[type-arg]
    assert torch.allclose(ours[0], expected[0], atol=atol)
    assert ours[1].keys() == expected[1].keys()
    for name, grad in expected[1].items():
        assert torch.allclose(ours[1][name], grad, rtol=1e-4, atol=atol), name


@pytest.fixture
def flash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator that CUDA uses, by its plain CPU formula."""
    monkeypatch.setattr(packed, "has_kernels", lambda device, dtype: True)
    monkeypatch.setattr(packed, "flash_takes", lambda query, value: True)


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def test_recomputing_changes_nothing_but_memory() -> None:
    model = make_model()
    expected, ours = step(model, LAYOUT), step(model, LAYOUT, recompute=True)
    assert_same(ours, expected, atol=0.0)
    assert ours[2] < expected[2] / 4


@pytest.mark.usefixtures("flash")
def test_recomputing_keeps_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    expected = step(model, LAYOUT)
    calls = []
    from ponder.models import flash as module

    real = module.attend
    monkeypatch.setattr(module, "attend", lambda *a: calls.append(1) or real(*a))
    ours = step(model, LAYOUT, recompute=True)
    assert_same(ours, expected, atol=0.0)
    assert len(calls) == 2 * 3  # both halves, once for each of three layers
    assert ours[2] < expected[2] / 4


def test_the_mode_during_the_backward_pass_is_the_packed_one_and_then_what_it_was() -> None:
    model = make_model()
    model.set_attn_implementation("eager")
    step(model, LAYOUT, recompute=True)
    assert model.config._attn_implementation == "eager"
    assert all("forward" not in layer.__dict__ for layer in decoder_layers(model))


def test_layers_run_by_restores_what_was_there() -> None:
    model = make_model()
    layer = decoder_layers(model)[1]
    before = layer.forward = lambda *args, **kwargs: None
    with layers_run_by(model, run_layers.plain):
        assert layer.forward is not before
    assert layer.forward is before


@pytest.mark.usefixtures("flash", "compiling")
def test_compiled_layers_agree_and_are_compiled_once() -> None:
    model = make_model()
    layouts = [LAYOUT, make_layout(1, 2, [8, 19, 31, 12]), make_layout(2, 1, [40])]
    expected = [step(model, layout) for layout in layouts]
    compile_layers(model)
    for layout, reference in zip(layouts, expected, strict=True):
        assert_same(step(model, layout), reference)
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    uncompile_layers(model)
    assert_same(step(model, LAYOUT), expected[0], atol=0.0)


@pytest.mark.usefixtures("flash", "compiling")
def test_compiled_and_recomputed() -> None:
    model = make_model()
    expected = step(model, LAYOUT)
    eager = step(model, LAYOUT, recompute=True)
    compile_layers(model)
    ours = step(model, LAYOUT, recompute=True)
    assert_same(ours, expected)
    assert counters["stats"]["unique_graphs"] == 1
    # Beside the layers' inputs, per token the attention's output (32 numbers) and its lse (4);
    # eager checkpointing keeps these out of autograd's sight.
    attention = 3 * LAYOUT.token_ids.shape[1] * (32 + 4) * 4
    assert ours[2] - eager[2] < 1.2 * attention
    assert ours[2] < expected[2] / 3


@pytest.mark.usefixtures("flash", "compiling")
def test_code_that_falls_back_to_eager_is_still_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its limit of recompilations, torch.compile runs the plain code: in the backward pass
    too, where the model's attention is another one by then."""
    model = make_model()
    expected = step(model, LAYOUT)
    compile_layers(model)
    with torch.compiler.set_stance("force_eager"):
        assert_same(step(model, LAYOUT, recompute=True), expected)
    assert counters["stats"]["unique_graphs"] == 0


def test_without_varlen_kernels_nothing_is_compiled() -> None:
    model = make_model()
    expected = step(model, LAYOUT)
    compile_layers(model)
    assert_same(step(model, LAYOUT), expected, atol=0.0)


@pytest.mark.usefixtures("flash", "compiling")
def test_a_compiled_model_still_generates() -> None:
    model = make_model()
    ids = torch.tensor([[1, 2, 3]])
    before = model(ids).logits
    compile_layers(model)
    step(model, LAYOUT)
    assert torch.equal(model(ids).logits, before)
    assert counters["stats"]["unique_graphs"] == 1
