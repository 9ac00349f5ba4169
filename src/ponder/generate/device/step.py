"""One decode step, all of it on the device: forward, draw, record, stop test; and its graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ponder.generate.device.attention import DecodePass
from ponder.generate.device.cache import KvCache
from ponder.generate.device.compiled import perhaps_compiled
from ponder.generate.device.draw import draw_on_device
from ponder.generate.device.slots import FIELDS, Slots
from ponder.generate.sampling import uniforms
from ponder.types import Sampling

BUCKETS = (2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640,
           768, 896, 1024)  # fmt: skip
"""Numbers of rows that a graph is captured for; a batch takes the next larger one. One row alone
would be compiled once more: only slots of a single row are."""

PROGRAMS = 1024
"""Programs that fill the GPU: about eight for each of an H100's 132 multiprocessors."""

MOST_SPLITS = 64

TOKEN, OWN, ACTIVE, LIMIT = (FIELDS.index(name) for name in ("token", "own", "active", "limit"))


class Stops:
    """Which tokens end a completion, and which the host must look at: [V] bool each."""

    def __init__(self, num_tokens: int, device: torch.device) -> None:
        self.is_end = torch.zeros(num_tokens, dtype=torch.bool, device=device)
        self.is_suspect = torch.zeros(num_tokens, dtype=torch.bool, device=device)

    def set(self, end: frozenset[int], suspect: frozenset[int]) -> None:
        for table, tokens in ((self.is_end, end), (self.is_suspect, suspect)):
            table.zero_()
            known = [token for token in sorted(tokens) if token < len(table)]
            if known:  # a tokenizer may have more tokens than the model
                table[torch.tensor(known, device=table.device)] = True


class DecodeStep:
    """Runs steps for the first rows of the slots: from a graph where that is possible.

    Args:
        model: a transformers causal language model in ``engine_mode``.
        plain_head: its logits are the product of its head, without scale or soft cap: they are
            then computed in float32, as the trainer does.
    """

    def __init__(
        self, model: Any, cache: KvCache, slots: Slots, stops: Stops, plain_head: bool
    ) -> None:
        self._model = model
        self._cache = cache
        self._slots = slots
        self._stops = stops
        self._plain_head = plain_head
        self._kv_heads = min(layout.kv_heads for layout in cache.layouts)

    def splits(self, num_rows: int) -> int:
        """Parts that a sequence's columns are cut into so that few sequences fill the GPU."""
        longest = self._slots.width * 32
        splits = 1 if longest <= 1024 else 4
        while splits < MOST_SPLITS and num_rows * self._kv_heads * splits < PROGRAMS:
            splits *= 2
        return splits

    def run_once(self, num_rows: int, sampling: Sampling) -> None:
        """One token for each active one of the first ``num_rows`` rows."""
        slots = self._slots
        logits = self._logits(self._forward(num_rows))
        uniform = perhaps_compiled(uniforms)(slots.key[:num_rows], slots.own[:num_rows])
        drawn, logprobs = draw_on_device(logits, uniform, sampling)
        self._advance(num_rows, drawn, logprobs)

    def _forward(self, num_rows: int) -> Tensor:
        """Of the first rows what ``_logits`` makes logits of: [num_rows, .]."""
        slots = self._slots
        columns = (slots.page_table, slots.prefix, slots.own, slots.active, slots.runs)
        engine_pass = DecodePass(self._cache, *columns, self.splits(num_rows))
        positions = slots.prefix[:num_rows] + slots.own[:num_rows]
        inputs = {
            "input_ids": slots.token[:num_rows].unsqueeze(1),
            "position_ids": positions.unsqueeze(1),
            "use_cache": False,
        }
        if self._plain_head:
            hidden = self._model.base_model(**inputs, engine_pass=engine_pass).last_hidden_state
            return hidden[:, -1]  # type: ignore[no-any-return]
        logits: Tensor = self._model(**inputs, engine_pass=engine_pass).logits
        return logits[:, -1]

    def _logits(self, last: Tensor) -> Tensor:
        """[N, V] float32 of last hidden states, or of logits in the model's own type."""
        if not self._plain_head:
            return last.float()
        head = self._model.get_output_embeddings()
        return product_float32(last, head.weight, head.bias)

    def _advance(self, num_rows: int, drawn: Tensor, logprobs: Tensor) -> None:
        slots, stops = self._slots, self._stops
        perhaps_compiled(advance)(
            *(slots.state, slots.suspect, slots.step, slots.out_tokens, slots.out_logprobs),
            *(stops.is_end, stops.is_suspect),
            drawn,
            logprobs,
        )


def advance(
    state: Tensor,
    suspects: Tensor,
    step: Tensor,
    out_tokens: Tensor,
    out_logprobs: Tensor,
    is_end: Tensor,
    is_suspect: Tensor,
    drawn: Tensor,
    logprobs: Tensor,
) -> None:
    """Write the drawn tokens [N] down and move the active ones of the first N rows on.

    The others are tensors of the slots and the stops: all of one piece, so that a compiler need not
    ask which of them share memory.
    """
    num_rows = drawn.shape[0]
    token, own, active, limit = (state[i, :num_rows] for i in (TOKEN, OWN, ACTIVE, LIMIT))
    out_tokens[:, :num_rows].index_copy_(0, step, drawn.unsqueeze(0))
    out_logprobs[:, :num_rows].index_copy_(0, step, logprobs.unsqueeze(0))
    token.copy_(torch.where(active.bool(), drawn, token))
    own.add_(active)
    suspects[:num_rows].add_(active * is_suspect[drawn])
    over = is_end[drawn] | (own >= limit)
    active.mul_(~over)
    step.add_(1)


def product_float32(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """hidden @ weight.T + bias with sums and result in float32: [N, V]."""
    if hidden.is_cuda and hidden.dtype is not torch.float32:
        logits = torch.mm(hidden, weight.t(), out_dtype=torch.float32)
        return logits if bias is None else logits + bias
    return F.linear(hidden, weight, bias).float()


class Graphs:
    """CUDA graphs of a step, captured when first needed: one per bucket and kind of sampling.

    ``warm_up`` wraps warming up and capturing (compilation happens inside). Graphs share one pool
    of memory, which they keep; of the cache they know only the pointers.
    """

    def __init__(self, step: DecodeStep, slots: Slots, warm_up: Callable[[], Any]) -> None:
        self._step = step
        self._slots = slots
        self._warm_up = warm_up
        self._graphs: dict[tuple[Any, ...], torch.cuda.CUDAGraph] = {}
        self._pool = torch.cuda.graph_pool_handle()
        self._captured = False

    def prepare(self, num_rows: int, sampling: Sampling) -> torch.cuda.CUDAGraph:
        """The graph for at least ``num_rows`` rows. Capturing makes all rows inactive."""
        bucket = self.bucket(num_rows)
        key = (bucket, sampling.temperature, sampling.top_p, sampling.top_k)
        self._captured = key not in self._graphs
        if self._captured:
            self._graphs[key] = self._capture(bucket, sampling)
        return self._graphs[key]

    def bucket(self, num_rows: int) -> int:
        """Rows of the graph that ``num_rows`` take."""
        bucket = next((size for size in BUCKETS if size >= num_rows), self._slots.max_rows)
        return min(bucket, self._slots.max_rows)

    def captured_now(self) -> bool:
        """Whether the last ``prepare`` had to capture."""
        return self._captured

    def _capture(self, bucket: int, sampling: Sampling) -> torch.cuda.CUDAGraph:
        self._slots.silence()
        graph = torch.cuda.CUDAGraph()
        with self._warm_up():
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(2):
                    self._slots.step.zero_()
                    self._step.run_once(bucket, sampling)
            torch.cuda.current_stream().wait_stream(stream)
            self._slots.step.zero_()
            with torch.cuda.graph(graph, pool=self._pool):
                self._step.run_once(bucket, sampling)
        return graph
