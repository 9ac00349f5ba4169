"""Low-rank adapters (LoRA, QLoRA) inside a transformers model, through PEFT.

The adapters are injected in place: the model stays the very object that it was, so engine and
trainer, which share it, sample from and train the same adapters. Nothing is ever merged but for
files: a checkpoint holds a plain Hugging Face folder with merged weights, and the adapters beside
it in ``adapter/``, a PEFT folder, from which a run goes on.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from ponder.config.rl import LoraConfig
from ponder.errors import PonderError
from ponder.models.layers import decoder_layers
from ponder.models.quantize import dense_weight, is_quantized, quantize_nf4

ADAPTER_FOLDER = "adapter"
"""Name of the PEFT folder inside a checkpoint."""

_NAME = "default"
_PEFT_PREFIX = "base_model.model."
"""What PEFT puts before every name in its files: the path of the model in its own wrapper."""


def add_lora(model: PreTrainedModel, lora: LoraConfig, seed: int) -> PreTrainedModel:
    """Freeze ``model``, quantize it if asked to, and inject trainable adapters; returns ``model``.

    The adapters are of the model's own type and begin as no change at all (B = 0); A is drawn by
    ``seed``. Source: LoRA 2106.09685 (section 4.1), QLoRA 2305.14314.

    Raises:
        PonderError: PEFT (or bitsandbytes) is missing, or no layer has the name of a target, or one
            is no linear layer of the decoder.
    """
    peft = _peft()
    if lora.quantize == "nf4":
        quantize_nf4(model)
    settings = peft.LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, target_modules=lora.targets, task_type="CAUSAL_LM"
    )
    dtype = model.dtype
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            peft.inject_adapter_in_model(settings, model, _NAME)
        except ValueError as error:  # PEFT found no layer, or one of another kind
            raise PonderError("lora.targets", lora.targets, str(error).split("\n")[0]) from error
    _check_targets(model, lora)
    for parameter in adapter_parameters(model).values():
        parameter.data = parameter.data.to(dtype)
    return model


def adapter_parameters(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    """The adapters' parameters by name: all that is trained."""
    return {name: p for name, p in model.named_parameters() if f".{_NAME}." in name}


@contextmanager
def adapters_off(model: PreTrainedModel) -> Iterator[None]:
    """Inside, ``model`` is its base (the reference of a KL term)."""
    layers = list(_adapted(model).values())
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def save_adapters(model: PreTrainedModel, folder: Path, base: str) -> None:
    """Write a PEFT folder (``PeftModel.from_pretrained`` opens it on the model ``base``)."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = model.peft_config[_NAME]
    targets = settings.target_modules
    settings.target_modules = targets if isinstance(targets, str) else sorted(targets)
    settings.base_model_name_or_path = base
    settings.save_pretrained(folder)
    tensors = {
        _PEFT_PREFIX + name.replace(f".{_NAME}.", "."): p.detach().cpu().contiguous()
        for name, p in adapter_parameters(model).items()
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def load_adapters(model: PreTrainedModel, folder: Path) -> None:
    """Undo ``save_adapters`` in a model that ``add_lora`` prepared with the same settings.

    Raises:
        PonderError: there are none, or they are of other layers or of another rank.
    """
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        raise PonderError(
            "lora.rank", str(folder), "no adapters here: this run trained all weights"
        )
    tensors = load_file(path)
    ours = adapter_parameters(model)
    shapes = {_PEFT_PREFIX + n.replace(f".{_NAME}.", "."): p.shape for n, p in ours.items()}
    if shapes != {name: tensor.shape for name, tensor in tensors.items()}:
        fix = "its adapters have another rank or other targets: set lora.* as they were"
        raise PonderError("lora", str(folder), fix)
    with torch.no_grad():
        for parameter, name in zip(ours.values(), shapes, strict=True):
            parameter.copy_(tensors[name])


@torch.no_grad()
def merged_state_dict(model: PreTrainedModel) -> dict[str, Tensor]:
    """The weights of the plain model that computes what ``model`` with its adapters does.

    W + alpha / rank x B A, summed in float32 and rounded once to the model's type; names are those
    of the model before ``add_lora``. New tensors are on the CPU; ``model`` is left as it is.
    """
    state: dict[str, Tensor] = dict(model.state_dict())
    adapted = _adapted(model)
    quantized = {n: m for n, m in model.named_modules() if is_quantized(m)}
    bare = {n: m for n, m in quantized.items() if not n.endswith(".base_layer")}
    for name, layer in (adapted | bare).items():
        base = layer.get_base_layer() if name in adapted else layer
        weight = dense_weight(base).float()
        if name in adapted:
            product = layer.lora_B[_NAME].weight.float() @ layer.lora_A[_NAME].weight.float()
            weight = weight + layer.scaling[_NAME] * product  # a new one: the base stays
        for stale in [key for key in state if key.startswith(f"{name}.")]:
            del state[stale]
        state[f"{name}.weight"] = weight.to(model.dtype).cpu()
        if base.bias is not None:
            state[f"{name}.bias"] = base.bias.detach()
    return state


def _adapted(model: PreTrainedModel) -> dict[str, Any]:
    """The layers with adapters, by the name that they have in the plain model."""
    tuner_layer = importlib.import_module("peft.tuners.tuners_utils").BaseTunerLayer
    return {n: m for n, m in model.named_modules() if isinstance(m, tuner_layer)}


def _check_targets(model: PreTrainedModel, lora: LoraConfig) -> None:
    inside = {id(module) for module in decoder_layers(model).modules()}
    for name, layer in _adapted(model).items():
        if id(layer) not in inside or not isinstance(layer.get_base_layer(), nn.Linear):
            fix = f"{name} is no linear layer of the decoder: leave it out"
            raise PonderError("lora.targets", lora.targets, fix)


def _peft() -> Any:
    try:
        return importlib.import_module("peft")
    except ImportError as error:
        fix = "adapters need PEFT, an extra: pip install 'ponder[lora]' (or peft)"
        raise PonderError("lora.rank", "not 0", fix) from error
