"""One call of the local engine: prompts are prefilled, completions decoded until all have ended."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ponder.errors import PonderError
from ponder.generate.attention import PrefillPass
from ponder.generate.batch import DecodeBatch, PromptPages, Sequence
from ponder.generate.ending import Ending
from ponder.generate.pages import PAGE_TOKENS, PagePool, SharedPrefix, pages_for
from ponder.generate.sampling import draw, stream_key, uniforms
from ponder.types import Prompt, Sampling

PREFILL_TOKENS = 8192
"""Most tokens (padding included) of one prefill pass."""

FINISHED_SHARE = 16
"""A batch is put together anew when one in this many of its sequences has finished."""


@dataclass(slots=True)
class GenerateStats:
    """What one call did. ``prefill_tokens`` are the computed ones (shared prefixes once)."""

    num_completions: int = 0
    num_tokens: int = 0
    num_steps: int = 0
    prefill_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    num_preempted: int = 0


class GenerationRun:
    """All completions of one ``generate`` call.

    Args:
        model: a transformers causal language model, in ``engine_mode``.
        pool: pages for keys and values; all are free again after ``run``.
        max_rows: most sequences decoded at once; the others wait and come in as those finish.
        on_finished: is given sequences that have ended, each once.
    """

    def __init__(
        self,
        model: Any,
        pool: PagePool,
        ending: Ending,
        sampling: Sampling,
        max_rows: int,
        on_finished: Callable[[list[Sequence]], None] = lambda rows: None,
    ) -> None:
        self.stats = GenerateStats()
        self._on_finished = on_finished
        self._model = model
        self._pool = pool
        self._ending = ending
        self._sampling = sampling
        self._max_rows = max_rows
        self._longest = 0
        self._prefix = SharedPrefix()

    def run(
        self, prompts: list[Prompt], limits: list[list[int]], seed: int
    ) -> list[list[Sequence]]:
        """Finished sequences for each prompt, as many as it has limits."""
        self._longest = max(len(prompt.token_ids) for prompt in prompts)
        self._longest += max(limit for group in limits for limit in group)
        groups = stream_groups(prompts, limits, seed)
        self._share_prefix(prompts)
        for group in groups:
            for row in group:
                row.group.prefix = self._prefix
        waiting = deque(sequence for group in groups for sequence in group)
        running: list[Sequence] = []
        while running or waiting:
            running += self._admit(waiting, self._max_rows - len(running))
            running = self._decode(running)
        self._pool.give(self._prefix.pages)
        self.stats.num_completions = sum(len(group) for group in groups)
        self.stats.num_tokens = sum(len(row.token_ids) for group in groups for row in group)
        return groups

    def _share_prefix(self, prompts: list[Prompt]) -> None:
        """Compute the whole pages that all prompts begin with, once."""
        common = num_common([prompt.token_ids[:-1] for prompt in prompts])
        num_pages = common // PAGE_TOKENS if len(prompts) > 1 else 0
        if num_pages:
            pages = self._pool.take(num_pages)
            self._prefill([list(prompts[0].token_ids[: num_pages * PAGE_TOKENS])], [pages])
            self._prefix.pages = pages

    def _admit(self, waiting: deque[Sequence], num_free: int) -> list[Sequence]:
        """The next sequences, their prompts prefilled."""
        admitted = [waiting.popleft() for _ in range(min(num_free, len(waiting)))]
        skip = len(self._prefix.pages) * PAGE_TOKENS
        new: dict[int, PromptPages] = {}
        for row in admitted:
            if not row.group.own and row.group.num_cached > skip:
                new[id(row.group)] = row.group
        ordered = sorted(new.values(), key=lambda group: group.num_cached)
        while ordered:
            width = pages_for(ordered[-1].num_cached - skip)
            count = max(1, PREFILL_TOKENS // (width * PAGE_TOKENS))
            chunk, ordered = ordered[-count:], ordered[:-count]
            for group in chunk:
                group.own = self._pool.take(pages_for(group.num_cached - skip))
            tokens = [list(group.prompt.token_ids[skip:-1]) for group in chunk]
            self._prefill(tokens, [group.own for group in chunk])
        return admitted

    def _prefill(self, tokens: list[list[int]], pages: list[list[int]]) -> None:
        """Compute keys and values of token lists that follow the shared prefix."""
        start = time.perf_counter()
        width = max(len(row) for row in pages)
        length = width * PAGE_TOKENS
        device = self._pool.device
        table = torch.tensor([row + [0] * (width - len(row)) for row in pages], device=device)
        ids = torch.tensor([row + [0] * (length - len(row)) for row in tokens], device=device)
        first = len(self._prefix.pages) * PAGE_TOKENS
        positions = torch.arange(first, first + length, device=device).expand(len(ids), -1)
        engine_pass = PrefillPass(self._pool, table, self._prefix, self._longest)
        self._forward(ids, positions, engine_pass)
        self.stats.prefill_tokens += ids.numel()
        self.stats.prefill_seconds += time.perf_counter() - start

    def _decode(self, rows: list[Sequence]) -> list[Sequence]:
        """Decode ``rows`` until enough have finished, or need memory; returns the unfinished."""
        start = time.perf_counter()
        batch = DecodeBatch(rows, self._pool, self._longest)
        num_left = len(rows)
        enough = max(1, num_left // FINISHED_SHARE)
        while batch.steps_left and num_left > len(rows) - enough:
            num_left -= self._step(batch)
        finished = [row for row in rows if row.finish_reason is not None]
        for row in finished:
            row.release(self._pool)
        self.stats.decode_seconds += time.perf_counter() - start
        if finished:
            self._on_finished(finished)
        return [row for row in rows if row.finish_reason is None]

    def _step(self, batch: DecodeBatch) -> int:
        """One token for every sequence; returns how many of them finished."""
        batch.begin_step()
        logits = self._forward(batch.tokens, batch.positions, batch)
        uniform = uniforms(batch.keys, batch.lengths)
        tokens, logprobs = draw(logits[:, -1], uniform, self._sampling)
        batch.end_step(tokens)
        self.stats.num_steps += 1
        return self._record(batch.rows, tokens.tolist(), logprobs.tolist())

    def _record(self, rows: list[Sequence], tokens: list[int], logprobs: list[float]) -> int:
        num_finished = 0
        for row, token, logprob in zip(rows, tokens, logprobs, strict=False):
            if row.finish_reason is not None:
                continue
            row.token_ids.append(token)
            row.logprobs.append(logprob)
            if self._ending.is_suspect(token) or len(row.token_ids) >= row.limit:
                row.finish_reason = self._ending.reason(row.token_ids, row.limit)
                num_finished += row.finish_reason is not None
        return num_finished

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor, engine_pass: Any) -> Any:
        """Logits of the last position, [B, 1, V]."""
        logits = self._model(
            input_ids=ids,
            position_ids=positions,
            use_cache=False,
            logits_to_keep=1,
            engine_pass=engine_pass,
        ).logits
        check_every_layer_attended(self._model, len(self._pool.keys))
        return logits


def check_every_layer_attended(model: Any, num_attended: int) -> None:
    """A layer of another kind (linear attention, a convolution) keeps a state that we don't."""
    config = model.config
    if num_attended != config.num_hidden_layers:
        raise PonderError(
            "model",
            config.model_type,
            f"only {num_attended} of its {config.num_hidden_layers} layers attended: the local "
            "engine needs plain attention in every layer; use another model or another generator",
        )


def stream_groups(
    prompts: list[Prompt], limits: list[list[int]], seed: int
) -> list[list[Sequence]]:
    """A sequence for every limit of every prompt, each with its own random stream."""
    groups = []
    for prompt, group in zip(prompts, limits, strict=True):
        pages = PromptPages(prompt, SharedPrefix(), len(group))
        keys = [stream_key(seed, prompt.problem_id, index) for index in range(len(group))]
        pairs = enumerate(zip(keys, group, strict=True))
        groups.append([Sequence(pages, index, key, limit) for index, (key, limit) in pairs])
    return groups


def num_common(rows: list[tuple[int, ...]]) -> int:
    """Length of the longest common prefix."""
    first, last = min(rows), max(rows)
    same = (a == b for a, b in zip(first, last, strict=False))
    return next(
        (place for place, equal in enumerate(same) if not equal), min(len(first), len(last))
    )
