"""A model's shape from its config: counts that model cards and arithmetic give independently."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.plan.shapes import CONFIGS, shape
from transformers import AutoConfig, AutoModelForCausalLM

from ponder.errors import PonderError
from ponder.plan.read import read_shape, shape_of

PUBLISHED = {
    "Qwen2.5-1.5B": 1_543_714_304,
    "Qwen2.5-7B": 7_615_616_512,
    "Qwen3-0.6B": 596_049_920,
    "Llama-3.2-1B": 1_235_814_400,
    "Mistral-7B-v0.1": 7_241_732_096,
    "Qwen3-30B-A3B": 30_532_122_624,
    "DeepSeek-V3": 671_026_404_352,
}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_is_counted(name: str) -> None:
    assert shape(name).num_parameters == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "billions"), [("Qwen3-30B-A3B", 3.3), ("DeepSeek-V3", 37.5), ("Qwen2.5-7B", 7.6)]
)
def test_parameters_that_a_token_uses(name: str, billions: float) -> None:
    """Model cards say 3.3 and 37 billion activated, embeddings among them."""
    model = shape(name)
    embedding = model.head_numbers
    used = (model.layer_flops + model.head_flops) / 2 + embedding
    assert used / 1e9 == pytest.approx(billions, rel=0.02)


def test_a_real_model_has_as_many(tmp_path: Path) -> None:
    small = {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3}
    small |= {"num_attention_heads": 6, "num_key_value_heads": 2, "vocab_size": 97, "head_dim": 16}
    for kind in ("llama", "qwen2", "qwen3", "mistral", "gpt2"):
        fields = small if kind != "gpt2" else {"n_embd": 48, "n_layer": 3, "n_head": 6}
        config = AutoConfig.for_model(kind, **fields)
        model = AutoModelForCausalLM.from_config(config)
        read = shape_of(config, kind)
        assert read.num_parameters == sum(p.numel() for p in model.parameters())
        assert read.num_layers == 3
        config.save_pretrained(tmp_path / kind)
        assert read_shape(str(tmp_path / kind)).num_parameters == read.num_parameters


def test_what_the_cache_keeps_of_a_token() -> None:
    assert shape("Qwen2.5-1.5B").cache_numbers() * 2 == 28 * 1024  # shared/bench: 28 KiB
    assert shape("DeepSeek-V3").attention.cache_numbers == 512 + 64
    assert shape("Qwen3-0.6B").attention.cache_numbers == 2 * 8 * 128


def test_widths_of_a_token() -> None:
    dense, mixture = shape("Qwen2.5-1.5B"), shape("Qwen3-30B-A3B")
    assert (dense.wide_numbers, dense.product_numbers) == (2 * 8960, 8960)
    router = 128
    assert mixture.wide_numbers == 8 * 2 * 768 + router
    assert mixture.product_numbers == 8 * 768


def test_windows() -> None:
    assert set(shape("Mistral-7B-v0.1").windows) == {4096}
    assert set(shape("Qwen2.5-1.5B").windows) == {None}
    mixed = AutoConfig.for_model("gemma2", num_hidden_layers=4, sliding_window=1024)
    assert shape_of(mixed, "gemma2").windows == (1024, None, 1024, None)


def test_adapters() -> None:
    model = shape("Qwen2.5-1.5B")
    widths = [(1536, 1536), (1536, 256), (1536, 256), (1536, 1536)]
    widths += [(1536, 8960), (1536, 8960), (8960, 1536)]
    each = sum(a + b for a, b in widths)
    assert model.adapter_numbers(16, "all-linear") == 16 * 28 * each
    assert model.adapter_numbers(8, ("q_proj", "v_proj")) == 8 * 28 * (2 * 1536 + 1536 + 256)


def test_the_bundled_model() -> None:
    assert read_shape("base-tiny").kind == "qwen2"


def test_no_such_model(tmp_path: Path) -> None:
    with pytest.raises(PonderError, match="no such folder"):
        read_shape("nowhere")
    with pytest.raises(PonderError, match=r"no config\.json"):
        read_shape(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(PonderError):
        read_shape(str(tmp_path))
