"""One update of pretraining, and what a run goes on from."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ponder.config.pretrain import PretrainConfig
from ponder.runlog.checkpoint import checkpoint_step
from ponder.train.optimizer import decay_groups
from ponder.train.pretrain.model import LossOf

STATE = "trainer_state.pt"


def make_optimizer(model: PreTrainedModel, config: PretrainConfig) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices, not on norms and biases."""
    return torch.optim.AdamW(
        decay_groups(model.parameters(), config.weight_decay),
        lr=config.learning_rate,
        betas=(0.9, config.beta2),
        fused=model.device.type == "cuda",
    )


def update(
    loss_of: LossOf,
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    batch: Tensor,
    rate: float,
    max_norm: float,
) -> tuple[Tensor, float | Tensor]:
    """One optimizer update on ``batch`` [B, T + 1]; the loss and the norm before clipping.

    Waits for nothing: both results may still be under way on the device.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    with autocast(model.device):
        loss = loss_of(model, batch)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.detach(), norm


def rate_of(step: int, config: PretrainConfig) -> float:
    """Learning rate: linear warm-up, then a cosine from the peak to a tenth of it."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 compute on CUDA; float32 on the CPU."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def save(
    path: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Weights in bfloat16 (what ships), and the float32 state that training goes on from."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, path / STATE)
    half = {name: tensor.to(torch.bfloat16).cpu() for name, tensor in model.state_dict().items()}
    half.pop("lm_head.weight", None)
    model.save_pretrained(path, state_dict=half)
    tokenizer.save_pretrained(path)


def restore(
    checkpoint: Path | None, model: PreTrainedModel, optimizer: torch.optim.Optimizer
) -> int:
    """Load the newest checkpoint, if there is one; returns the next step."""
    if checkpoint is None:
        return 0
    state = torch.load(checkpoint / STATE, map_location=model.device)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return checkpoint_step(checkpoint)
