"""Opening and saving a model that is trained whole or through adapters, as checkpoints have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ponder.config.distil import DistilConfig
from ponder.config.rl import LoraConfig, RLConfig
from ponder.config.sft import SFTConfig
from ponder.models.load import Loaded, load_model, save_model
from ponder.models.lora import (
    ADAPTER_FOLDER,
    add_lora,
    load_adapters,
    merged_state_dict,
    save_adapters,
)
from ponder.models.packed import check_trainable
from ponder.seeds import derive_seed


def open_trainable(config: RLConfig | SFTConfig | DistilConfig, checkpoint: Path | None) -> Loaded:
    """The config's model, or what a checkpoint made of it.

    With adapters the weights of the checkpoint are merged: then the base is the config's, and the
    adapters are the checkpoint's.

    Raises:
        PonderError: it cannot be opened, or it cannot be trained.
    """
    lora, is_whole = config.lora, not config.lora.rank
    spec = str(checkpoint) if checkpoint and is_whole else config.model
    model, tokenizer = load_model(spec, config.device, config.dtype)
    if not is_whole:
        add_lora(model, lora, derive_seed(config.seed, "lora"))
        if checkpoint is not None:
            load_adapters(model, checkpoint / ADAPTER_FOLDER)
    check_trainable(model)
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
