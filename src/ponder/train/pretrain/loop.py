"""Pretraining a small base model from scratch on the corpus: next-token prediction only.

On CUDA the weights stay in float32 and the compute is bfloat16 (autocast); nothing of a step waits
for the device, but for those whose metrics are written.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from ponder.config.pretrain import ArchitectureConfig, PretrainConfig
from ponder.errors import GuardError
from ponder.models.device import resolve_device
from ponder.models.layers import decoder_layers
from ponder.runlog.checkpoint import CheckpointStore, checkpoint_step
from ponder.runlog.folder import RunFolder
from ponder.runlog.metrics import MetricsWriter, truncate_after
from ponder.train.pretrain.data import batches, make_tokenizer, make_writer

REPORT_EVERY = 20
Report = Callable[[int, dict[str, float]], None]
LossOf = Callable[[PreTrainedModel, Tensor], Tensor]
"""(model, rows of token ids [B, T + 1]) -> the mean loss."""


def pretrain(
    config: PretrainConfig,
    run: RunFolder,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train and return the last checkpoint, a plain Hugging Face folder with bfloat16 weights.

    A run that was stopped goes on from its newest checkpoint. ``report`` is called with the step
    and its metrics every few steps; ``should_stop`` is asked after each, and True ends the run with
    a checkpoint.
    """
    device = resolve_device(config.device)
    store = CheckpointStore(run.checkpoints_dir, keep=2)
    writer = make_writer(config)
    tokenizer = make_tokenizer(config, writer)
    model = build_model(config.architecture, tokenizer, config.seed).to(device)
    optimizer = make_optimizer(model, config)
    next_step = restore(store.latest(), model, optimizer)
    truncate_after(run.metrics_path, next_step)
    report(next_step, {"corpus/documents": config.corpus.num_documents})
    loss_of: LossOf = next_token_loss
    if config.compile and device.type == "cuda":
        loss_of = compile_parts(model)
    clock = Clock(next_step, config.batch_tokens)
    with (
        MetricsWriter(run.metrics_path) as metrics,
        closing(batches(config, writer, tokenizer, next_step, device)) as prepared,
    ):
        for step, batch in enumerate(prepared, next_step):
            rate = rate_of(step, config)
            loss, norm = update(loss_of, model, optimizer, batch, rate, config.max_grad_norm)
            if step % REPORT_EVERY == 0 or step + 1 == config.steps:
                row = measure(step, float(loss), float(norm), config) | clock.read(step)
                metrics.write(step, row)
                report(step, row)
            is_last = step + 1 == config.steps or should_stop()
            if (step + 1) % config.checkpoint_every == 0 or is_last:
                store.save(step + 1, lambda path: save(path, model, tokenizer, optimizer))
            if is_last:
                break
    final = store.latest()
    assert final is not None
    return final


class Clock:
    """Tokens a second since it was last read: read it where the device has finished."""

    def __init__(self, next_step: int, batch_tokens: int) -> None:
        self.next_step = next_step
        self.batch_tokens = batch_tokens
        self.began = time.perf_counter()

    def read(self, step: int) -> dict[str, float]:
        now = time.perf_counter()
        tokens = (step + 1 - self.next_step) * self.batch_tokens
        speed = tokens / (now - self.began)
        self.next_step, self.began = step + 1, now
        return {"speed/update_tokens_per_second": speed}


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


def measure(step: int, loss: float, norm: float, config: PretrainConfig) -> dict[str, float]:
    """The metrics of a step. Raises GuardError if its loss is not finite."""
    if not math.isfinite(loss):
        raise GuardError(f"the pretraining loss is {loss} at step {step}: lower learning_rate")
    return {
        "loss/total": loss,
        "policy/grad_norm": norm,
        "policy/learning_rate": rate_of(step, config),
    }


def next_token_loss(model: PreTrainedModel, batch: Tensor) -> Tensor:
    """Mean cross-entropy in nats of each token given those before it; ``batch``: [B, T + 1]."""
    return head_loss(hidden_states(model, batch), model.get_output_embeddings().weight, batch)


def hidden_states(model: PreTrainedModel, batch: Tensor) -> Tensor:
    """[B, T, H] for the first T tokens of each row.

    The mask is given as "none": the attention is causal by itself, and neither a mask of [T, T] nor
    a look at the tokens (which would wait for the device) is needed.
    """
    output = model.get_decoder()(
        input_ids=batch[:, :-1], attention_mask={"full_attention": None}, use_cache=False
    )
    hidden: Tensor = output.last_hidden_state
    return hidden


def head_loss(hidden: Tensor, weight: Tensor, batch: Tensor) -> Tensor:
    """The loss from the last hidden states: logits are float32 from here on."""
    logits = functional.linear(hidden, weight).float()
    return functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def compile_parts(model: PreTrainedModel) -> LossOf:
    """``next_token_loss`` compiled: decoder layers share one compilation, the head has another."""
    for layer in decoder_layers(model):
        layer.compile(dynamic=False)
    head = torch.compile(head_loss, dynamic=False)

    def loss_of(model: PreTrainedModel, batch: Tensor) -> Tensor:
        loss: Tensor = head(
            hidden_states(model, batch), model.get_output_embeddings().weight, batch
        )
        return loss

    return loss_of


def rate_of(step: int, config: PretrainConfig) -> float:
    """Learning rate: linear warm-up, then a cosine from the peak to a tenth of it."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))


def build_model(
    config: ArchitectureConfig, tokenizer: PreTrainedTokenizerFast, seed: int
) -> PreTrainedModel:
    """A Qwen2 with random weights that follow from ``seed``; input and output embeddings tied."""
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            max_position_embeddings=config.max_position_embeddings,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_optimizer(model: PreTrainedModel, config: PretrainConfig) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices, not on norms and biases."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(0.9, config.beta2),
        fused=model.device.type == "cuda",
    )


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
    torch.save(state, path / "trainer_state.pt")
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
    state = torch.load(checkpoint / "trainer_state.pt", map_location=model.device)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return checkpoint_step(checkpoint)
