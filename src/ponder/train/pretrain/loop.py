"""Pretraining a small base model from scratch on the corpus: next-token prediction only.

On CUDA the weights stay in float32 and the compute is bfloat16 (autocast); nothing of a step waits
for the device, but for those whose metrics are written.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ponder.config.pretrain import PretrainConfig
from ponder.errors import GuardError
from ponder.models.device import resolve_device
from ponder.runlog.checkpoint import CheckpointStore
from ponder.runlog.folder import RunFolder
from ponder.runlog.metrics import MetricsWriter, truncate_after
from ponder.train.pretrain.data import batches, make_tokenizer, make_writer
from ponder.train.pretrain.model import build_model, compile_parts, next_token_loss
from ponder.train.pretrain.update import make_optimizer, rate_of, restore, save, update

REPORT_EVERY = 20
Report = Callable[[int, dict[str, float]], None]


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
    is_compiled = config.compile and device.type == "cuda"
    loss_of = compile_parts(model) if is_compiled else next_token_loss
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
                metrics.sync()
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


def measure(step: int, loss: float, norm: float, config: PretrainConfig) -> dict[str, float]:
    """The metrics of a step. Raises GuardError if its loss is not finite."""
    if not math.isfinite(loss):
        raise GuardError(f"the pretraining loss is {loss} at step {step}: lower learning_rate")
    return {
        "loss/total": loss,
        "policy/grad_norm": norm,
        "policy/learning_rate": rate_of(step, config),
    }
