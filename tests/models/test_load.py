"""Opening and saving models, and the mistakes that people make doing so."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM, T5Config, T5ForConditionalGeneration

from ponder.errors import PonderError
from ponder.generate.local import LocalGenerator
from ponder.models.linear import OneDNNLinear, onednn_is_faster
from ponder.models.load import load_model, save_model
from ponder.models.tiny import make_tiny_model
from ponder.types import Prompt, Sampling


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model, tokenizer = make_tiny_model(0)
    save_model(model, tokenizer, tmp_path / "model")
    return tmp_path / "model"


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_saved_model_is_loaded_as_it_was(folder) -> None:
    saved, tokenizer = make_tiny_model(0)
    model, loaded_tokenizer = load_model(str(folder), "cpu")
    assert not model.training
    assert model.dtype == torch.float32
    assert isinstance(model.lm_head, OneDNNLinear) == onednn_is_faster()
    for name, tensor in saved.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])
    assert loaded_tokenizer("a 12\n")["input_ids"] == tokenizer("a 12\n")["input_ids"]
    assert (loaded_tokenizer.eos_token_id, loaded_tokenizer.pad_token_id) == (256, 257)


def test_a_loaded_model_can_be_saved_again(folder, tmp_path) -> None:
    save_model(*load_model(str(folder), "cpu"), tmp_path / "again")
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    _, tokenizer = load_model(str(tmp_path / "again"), "cpu")
    assert tokenizer("a 12 <b>\n")["input_ids"] == make_tiny_model(0)[1]("a 12 <b>\n")["input_ids"]


def test_dtype_is_that_of_the_parameters(folder) -> None:
    model, _ = load_model(str(folder), "cpu", "bfloat16")
    assert model.lm_head.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["base-tiny", "base-bilingual"])
def test_a_bundled_base_model_writes(name) -> None:
    model, tokenizer = load_model(name, "cpu")
    prompt = Prompt("p", "x", tuple(tokenizer("User: 1 + 1 = ? Assistant:")["input_ids"]))
    sampling = Sampling(max_completion_tokens=8)
    ((completion,),) = LocalGenerator(model, tokenizer).generate([prompt], 1, sampling, seed=0)
    assert 1 <= len(completion.token_ids) <= 8


def test_a_missing_pad_token_becomes_the_end_token(folder) -> None:
    edit_json(folder / "tokenizer_config.json", pad_token=None)
    model, tokenizer = load_model(str(folder), "cpu")
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == model.config.pad_token_id == 256


def test_folders_that_are_no_models(folder, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PonderError, match=r"no config\.json"):
        load_model(str(tmp_path / "empty"))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(PonderError, match="no tokenizer"):
        load_model(str(folder))


@pytest.mark.parametrize("spec", ["/no/such/folder", "./nowhere", "runs/a/b", "~/nothing-here"])
def test_missing_folders_are_not_looked_for_on_the_hub(spec) -> None:
    with pytest.raises(PonderError, match="no such folder"):
        load_model(spec)


def test_a_bare_unknown_name_lists_the_choices() -> None:
    with pytest.raises(PonderError, match='"base-tiny", "base-bilingual", "smollm2"'):
        load_model("basetiny")


def test_the_hub_offline(monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(PonderError, match="hub did not give it"):
        load_model("ponder-nobody/no-such-model-0000")


def test_damaged_weights(folder) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(PonderError, match="cannot be opened"):
        load_model(str(folder), "cpu")


def test_weights_that_are_not_all_there(folder) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(PonderError, match=r"lack 1 of its weights \(model.layers.1.mlp.up_proj"):
        load_model(str(folder), "cpu")


def test_no_end_token(folder) -> None:
    edit_json(folder / "tokenizer_config.json", eos_token=None)
    with pytest.raises(PonderError, match="end-of-text"):
        load_model(str(folder), "cpu")


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_models_that_are_no_decoders(folder, kind) -> None:
    sizes = {"vocab_size": 258, "num_hidden_layers": 1}
    if kind == "bert":
        shape = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
        BertForMaskedLM(BertConfig(**sizes, **shape)).save_pretrained(folder)
    else:
        shape = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
        T5ForConditionalGeneration(T5Config(vocab_size=258, **shape)).save_pretrained(folder)
    with pytest.raises(PonderError, match="decoder"):
        load_model(str(folder), "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none(folder) -> None:
    with pytest.raises(PonderError, match="no CUDA device"):
        load_model(str(folder), "cuda")


@pytest.mark.slow
def test_smollm2_is_a_chat_model() -> None:
    model, tokenizer = load_model("smollm2", "cpu")
    assert tokenizer.eos_token == "<|im_end|>"  # transformers 5.17 says <|im_start|>
    assert tokenizer.eos_token_id == model.generation_config.eos_token_id
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        tokenize=False,
    )
    prompt = Prompt("p", text, tuple(tokenizer(text, add_special_tokens=False)["input_ids"]))
    sampling = Sampling(temperature=0.0, max_completion_tokens=32, stop=("Paris",))
    generator = LocalGenerator(model, tokenizer)
    ((completion,),) = generator.generate([prompt], 1, sampling, seed=0)
    assert completion.text.endswith("Paris")
    assert completion.finish_reason == "stop"
