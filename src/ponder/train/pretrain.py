"""Pretraining a small base model from scratch on the corpus: next-token prediction only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from ponder.config.pretrain import ArchitectureConfig, PretrainConfig
from ponder.corpus import DocumentWriter, StyleShares
from ponder.corpus.tokenizer import train_tokenizer
from ponder.corpus.tokens import TokenizedCorpus, row_starts, tokenize_corpus
from ponder.errors import GuardError
from ponder.models.device import resolve_device
from ponder.problems.split import is_heldout
from ponder.runlog.checkpoint import CheckpointStore, checkpoint_step
from ponder.runlog.folder import RunFolder
from ponder.runlog.metrics import MetricsWriter, truncate_after

TOKENIZER_DOCUMENTS = 50_000
REPORT_EVERY = 20
Report = Callable[[int, dict[str, float]], None]


def pretrain(config: PretrainConfig, run: RunFolder, report: Report) -> Path:
    """Train and return the last checkpoint, a plain Hugging Face folder with bfloat16 weights.

    A run that was stopped goes on from its newest checkpoint. ``report`` is called with the step
    and its metrics every few steps.
    """
    device = resolve_device(config.device)
    store = CheckpointStore(run.checkpoints_dir, keep=2)
    writer = DocumentWriter(
        config.seed, StyleShares.from_mapping(config.corpus.styles), excluded=is_heldout
    )
    tokenizer = make_tokenizer(config, writer)
    model = build_model(config.architecture, tokenizer, config.seed).to(device)
    optimizer = make_optimizer(model, config)
    next_step = restore(store.latest(), model, optimizer)
    truncate_after(run.metrics_path, next_step)
    report(next_step, {"corpus/documents": config.corpus.num_documents})
    corpus = tokenize_corpus(
        writer,
        tokenizer.backend_tokenizer.to_str(),
        tokenizer.eos_token_id,
        config.corpus.num_documents,
        config.corpus.workers,
    )
    report(next_step, {"corpus/tokens": len(corpus.tokens)})
    rows = Rows(corpus, config)
    forward: Callable[[Tensor], Tensor] = lambda batch: next_token_loss(model, batch)  # noqa: E731
    if config.compile and device.type == "cuda":
        forward = torch.compile(forward)
    with MetricsWriter(run.metrics_path) as metrics:
        for step in range(next_step, config.steps):
            began = time.perf_counter()
            rate, batch = rate_of(step, config), rows.batch(step)
            loss, norm = update(forward, model, optimizer, batch, rate, config.max_grad_norm)
            if step % REPORT_EVERY == 0 or step + 1 == config.steps:
                row = measure(step, float(loss), float(norm), config)
                row["speed/update_tokens_per_second"] = config.batch_tokens / (
                    time.perf_counter() - began
                )
                metrics.write(step, row)
                report(step, row)
            if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
                store.save(step + 1, lambda path: save(path, model, tokenizer, optimizer))
    final = store.latest()
    assert final is not None
    return final


class Rows:
    """Batches of packed rows, shuffled anew in every epoch from (seed, epoch)."""

    def __init__(self, corpus: TokenizedCorpus, config: PretrainConfig) -> None:
        self.length = config.sequence_length + 1
        self.tokens = corpus.tokens
        self.starts = row_starts(corpus, self.length)
        self.batch_rows = max(1, config.batch_tokens // config.sequence_length)
        self.seed = config.seed
        self.epoch = -1
        self.order: npt.NDArray[np.int64] = self.starts[:0]

    def batch(self, step: int) -> Tensor:
        """Token ids ``[rows, sequence_length + 1]`` of one update."""
        per_epoch = max(1, len(self.starts) // self.batch_rows)
        epoch, place = divmod(step, per_epoch)
        if epoch != self.epoch:
            self.epoch = epoch
            self.order = np.random.default_rng((self.seed, epoch)).permutation(self.starts)
        chosen = self.order[place * self.batch_rows : (place + 1) * self.batch_rows]
        index = chosen[:, None] + np.arange(self.length)[None, :]
        return torch.from_numpy(self.tokens[index].astype(np.int64))


def update(
    forward: Callable[[Tensor], Tensor],
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    batch: Tensor,
    rate: float,
    max_norm: float,
) -> tuple[Tensor, float | Tensor]:
    """One optimizer update on ``batch`` [B, T + 1]; the loss and the norm before clipping."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    with autocast(model.device):
        loss = forward(batch.to(model.device))
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
    logits = model(input_ids=batch[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())


def rate_of(step: int, config: PretrainConfig) -> float:
    """Learning rate: linear warm-up, then a cosine from the peak to a tenth of it."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))


def make_tokenizer(config: PretrainConfig, writer: DocumentWriter) -> PreTrainedTokenizerFast:
    """The tokenizer, learnt from the first documents of the corpus."""
    count = min(TOKENIZER_DOCUMENTS, config.corpus.num_documents)

    def texts() -> Iterator[str]:
        for index in range(count):
            yield writer.document(index).text

    return train_tokenizer(texts(), config.architecture.vocab_size)


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
