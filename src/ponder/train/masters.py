"""AdamW on float32 master weights, on the parameters' device or on the host.

Masters, moments and gradients are one flat float32 tensor each: one norm, a few launches per
update, nothing to fragment.
"""

from __future__ import annotations

import itertools
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from ponder.config.rl import OptimizerConfig
from ponder.errors import PonderError

CHUNK = 2**26
"""Numbers per launch: the fused kernel counts in 32 bits, and on the host one chunk is updated
while the next ones arrive and the last one leaves."""

AHEAD = 4
"""Chunks of gradients that are on the host, or on their way, at a time."""


class MasterAdamW:
    """Fused AdamW in float32 for parameters of any type, weight decay on matrices only.

    Each backward pass's gradients are added up in float32 (``MainGradients``). An update changes
    the masters, and the parameters become their roundings, in place. With ``config.offload``
    masters and moments are in host memory and the update is computed there.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], config: OptimizerConfig) -> None:
        self.config = config
        self.parameters = sorted(parameters, key=lambda p: p.ndim < 2)  # matrices first
        self.gradients = MainGradients(self.parameters)
        num_decayed = sum(p.numel() for p in self.parameters if p.ndim >= 2)
        self._chunks = [
            *_chunks(0, num_decayed, config.weight_decay),
            *_chunks(num_decayed, self.gradients.size, 0.0),
        ]
        device = self.parameters[0].device
        self._lane = Lane(device) if config.offload else None
        self._pins = config.offload and device.type == "cuda"
        self._home = torch.device("cpu") if config.offload else device
        self.masters = self._new(self.gradients.size, self._pins)
        self.exp_avg = self._new(self.gradients.size).zero_()
        self.exp_avg_sq = self._new(self.gradients.size).zero_()
        self._slots: list[Tensor] = []
        self.num_steps = 0
        values: list[Tensor] = [p.detach() for p in self.parameters]
        torch._foreach_copy_(flat_views(self.masters, self.parameters), values)

    def zero_grad(self) -> None:
        self.gradients.forget()

    def clip_gradients(self) -> float:
        views = flat_views(self.gradients.flat, self.parameters)
        norm = nn.utils.get_total_norm(views)
        self.gradients.flat.mul_((self.config.max_grad_norm / (norm + 1e-6)).clamp(max=1.0))
        return float(norm)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        gradients = self.gradients.flat
        weights = self.masters if self._lane is None else gradients  # which brought them back
        if self._lane is None:
            for chunk in self._chunks:
                self._update(chunk, gradients[chunk.part], rate)
        else:
            self._update_on_host(self._lane, rate)
        self.num_steps += 1
        torch._foreach_copy_(
            [p.detach() for p in self.parameters], flat_views(weights, self.parameters)
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "masters": self.masters,
            "exp_avg": self.exp_avg,
            "exp_avg_sq": self.exp_avg_sq,
            "num_steps": self.num_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if "masters" not in state:
            fix = "the checkpoint has no float32 master weights: resume with the settings it began"
            raise PonderError("optimizer.master_weights", self.config.master_weights, fix)
        if state["masters"].shape != self.masters.shape:
            fix = f"the checkpoint's optimizer is of {len(state['masters'])} weights, not of this"
            raise PonderError("model", f"{len(self.masters)} trained weights", fix)
        for name in ("masters", "exp_avg", "exp_avg_sq"):
            getattr(self, name).copy_(state[name])
        self.num_steps = state["num_steps"]

    def _new(self, size: int, pinned: bool = False) -> Tensor:
        """An empty flat tensor where the update is computed."""
        return torch.empty(size, dtype=torch.float32, device=self._home, pin_memory=pinned)

    def _update(self, chunk: Chunk, gradient: Tensor, rate: float) -> None:
        part = chunk.part
        adamw(
            [self.masters[part]],
            [gradient],
            [self.exp_avg[part]],
            [self.exp_avg_sq[part]],
            [],
            [torch.full((), float(self.num_steps), device=self.masters.device)],
            fused=True,
            amsgrad=False,
            beta1=self.config.beta1,
            beta2=self.config.beta2,
            lr=rate,
            weight_decay=chunk.weight_decay,
            eps=self.config.eps,
            maximize=False,
        )

    def _update_on_host(self, lane: Lane, rate: float) -> None:
        """The flat gradients are replaced by the new weights, chunk by chunk."""
        carrier, chunks = self.gradients.flat, self._chunks
        room = [self._slot(i) for i in range(min(AHEAD, len(chunks)))]

        def bring(index: int) -> tuple[Tensor, torch.cuda.Event | None]:
            source = carrier[chunks[index].part]
            target = room[index % AHEAD][: len(source)]
            return target, lane.copy(target, source)

        lane.open()
        coming = deque(bring(index) for index in range(len(room)))
        for index, chunk in enumerate(chunks):
            gradient, arrived = coming.popleft()
            if arrived is not None:
                arrived.synchronize()
            self._update(chunk, gradient, rate)
            lane.copy(carrier[chunk.part], self.masters[chunk.part])
            if index + AHEAD < len(chunks):
                coming.append(bring(index + AHEAD))
        lane.close()

    def _slot(self, index: int) -> Tensor:
        """Room for a chunk that arrives; the memory is kept from update to update."""
        if index == len(self._slots):
            self._slots.append(self._new(min(CHUNK, self.gradients.size), self._pins))
        return self._slots[index]


class MainGradients:
    """The sum of all backward passes' gradients of ``parameters``, in float32 and flat.

    Each parameter's own gradient is added and freed as soon as autograd has finished it, so that
    the short type never holds a sum, and never more than a few layers' gradients. Memory is taken
    at the first backward pass and given back by ``forget``.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.size = sum(p.numel() for p in parameters)
        self._parameters = parameters
        self._flat: Tensor | None = None
        ends = itertools.accumulate(p.numel() for p in parameters)
        self._places = {
            id(p): (end - p.numel(), end) for p, end in zip(parameters, ends, strict=True)
        }
        ours = weakref.ref(self)  # a parameter that outlives its optimizer must not keep it alive

        def take(parameter: Tensor) -> None:
            gradients = ours()
            if gradients is not None:
                gradients.add(parameter)

        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(take)  # type: ignore[no-untyped-call]

    @property
    def flat(self) -> Tensor:
        """[size], in the order of the parameters; zeros where nothing was added yet."""
        if self._flat is None:
            device = self._parameters[0].device
            self._flat = torch.zeros(self.size, dtype=torch.float32, device=device)
        return self._flat

    def add(self, parameter: Tensor) -> None:
        """Move ``parameter.grad`` into the sum."""
        gradient, flat = parameter.grad, self.flat
        assert gradient is not None
        start, end = self._places[id(parameter)]
        flat[start:end].view_as(gradient).add_(gradient)
        parameter.grad = None

    def forget(self) -> None:
        """Start a new sum; frees the memory."""
        self._flat = None


class Lane:
    """Copies between a GPU and its host beside the computation; on a CPU just copies."""

    def __init__(self, device: torch.device) -> None:
        self._stream: Any = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def open(self) -> None:
        """What was launched so far comes before the copies."""
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream())

    def copy(self, target: Tensor, source: Tensor) -> torch.cuda.Event | None:
        """Copy after the earlier copies; the event says when it is done (None: it is)."""
        if self._stream is None:
            target.copy_(source)
            return None
        with torch.cuda.stream(self._stream):
            target.copy_(source, non_blocking=True)
        event: torch.cuda.Event = self._stream.record_event()
        return event

    def close(self) -> None:
        """What is launched from now on comes after the copies."""
        if self._stream is not None:
            torch.cuda.current_stream().wait_stream(self._stream)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of the flat tensors, and how its weights decay."""

    part: slice
    weight_decay: float


def _chunks(start: int, end: int, weight_decay: float) -> Iterator[Chunk]:
    for first in range(start, end, CHUNK):
        yield Chunk(slice(first, min(first + CHUNK, end)), weight_decay)


def flat_views(flat: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """The part of ``flat`` of each parameter, in its shape."""
    ends = itertools.accumulate(p.numel() for p in parameters)
    return [
        flat[end - p.numel() : end].view(p.shape) for end, p in zip(ends, parameters, strict=True)
    ]
