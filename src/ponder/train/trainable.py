"""Opening and saving a model that is trained whole or through adapters, as checkpoints have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ponder.config.rl import LoraConfig
from ponder.models.load import Loaded, load_model, save_model
from ponder.models.lora import (
    ADAPTER_FOLDER,
    add_lora,
    load_adapters,
    merged_state_dict,
    save_adapters,
)


def open_trainable(
    spec: str, device: str, dtype: str, lora: LoraConfig, lora_seed: int, checkpoint: Path | None
) -> Loaded:
    """``spec``, or what a checkpoint made of it.

    With adapters the weights of the checkpoint are merged: then the base is ``spec``'s, and the
    adapters are the checkpoint's.
    """
    if not lora.rank:
        return load_model(str(checkpoint) if checkpoint else spec, device, dtype)
    model, tokenizer = load_model(spec, device, dtype)
    add_lora(model, lora, lora_seed)
    if checkpoint is not None:
        load_adapters(model, checkpoint / ADAPTER_FOLDER)
    return model, tokenizer


def save_trainable(
    model: PreTrainedModel, tokenizer: Any, folder: Path, lora: LoraConfig, spec: str
) -> None:
    """A plain Hugging Face folder; adapters are merged in it, and beside it as they are."""
    if not lora.rank:
        save_model(model, tokenizer, folder)
        return
    save_model(model, tokenizer, folder, merged_state_dict(model))
    save_adapters(model, folder / ADAPTER_FOLDER, spec)
