"""Measuring how fast a model samples and learns on this machine's CPU, in a few seconds each.

The model is the recipe's own, sampling goes through the engine that will be used, and learning
through the trainer's packed passes and optimizer (at a learning rate of 0). Nothing is kept on the
disk: the next call measures the machine as it is then.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ponder.config.pretrain import ArchitectureConfig
from ponder.config.rl import LoraConfig
from ponder.errors import PonderError
from ponder.models.source import find_source
from ponder.pipeline.measuring import (
    BUDGET_SECONDS,
    TooSlow,
    measure_sampling,
    measure_training,
)
from ponder.pipeline.workload import Workload
from ponder.plan.pace import SamplingPace, TrainingPace
from ponder.plan.read import read_shape
from ponder.plan.shape import ModelShape

READ_BYTES, DECODE_BYTES = 0.5e9, 10e9
"""Bytes/s of weights as a model is opened, and as it decodes; some 40 steps are needed. Assumed, to
refuse what is hopeless."""


class Paces(Protocol):
    """How fast models run here; None where that is not known."""

    def sampling(self, model: str, work: Workload) -> SamplingPace | None:
        """Of the engine."""

    def training(self, model: str, work: Workload) -> TrainingPace | None:
        """Of updates."""

    def pretraining(self, architecture: ArchitectureConfig) -> TrainingPace | None:
        """Of updates of a model that is not there yet."""


class NoPaces:
    """Measures nothing."""

    def sampling(self, model: str, work: Workload) -> SamplingPace | None:
        return None

    def training(self, model: str, work: Workload) -> TrainingPace | None:
        return None

    def pretraining(self, architecture: ArchitectureConfig) -> TrainingPace | None:
        return None


@dataclass
class MeasuredPaces:
    """Paces of models by shape, type and threads, each measured once.

    ``refused`` says why a model was not measured, ``seconds`` what measuring took, ``limits`` the
    most tokens of a completion of a model's sample.
    """

    refused: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    limits: dict[str, int] = field(default_factory=dict)
    found: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    _shapes: dict[str, ModelShape] = field(default_factory=dict)
    _opened: dict[tuple[str, str, int], tuple[Any, Any]] = field(default_factory=dict)

    def sampling(self, model: str, work: Workload) -> SamplingPace | None:
        key = ("sampling", self._shape(model), work.dtype, work.threads)
        self.limits.setdefault(model, work.sampling.max_completion_tokens)
        plain = replace(work, lora=LoraConfig())
        found: SamplingPace | None = self._once(key, model, plain, measure_sampling)
        return found

    def training(self, model: str, work: Workload) -> TrainingPace | None:
        adapted = work.lora.rank, work.recompute
        key = ("training", self._shape(model), work.dtype, work.threads, adapted)
        found: TrainingPace | None = self._once(key, model, work, measure_training)
        return found

    def pretraining(self, architecture: ArchitectureConfig) -> TrainingPace | None:
        work = Workload("float32")
        name, key = "a new model", ("pretraining", repr(architecture))
        if key not in self.found:
            self._opened[name, work.dtype, 0] = _random_model(architecture)
            self.found[key] = self._measured(name, work, measure_training)
        found: TrainingPace | None = self.found[key]
        return found

    def results(self) -> list[tuple[str, SamplingPace | None, TrainingPace | None]]:
        """What was found out, by the model that it was measured with."""
        found: dict[str, list[Any]] = {}
        for (what, *_), pace in self.found.items():
            if pace is not None:
                found.setdefault(pace.model, [None, None])[what != "sampling"] = pace
        return [(model, sampling, training) for model, (sampling, training) in found.items()]

    def _shape(self, model: str) -> ModelShape:
        if model not in self._shapes:
            self._shapes[model] = replace(read_shape(model), name="")
        return self._shapes[model]

    def _once(self, key: tuple[Any, ...], model: str, work: Workload, measure: Any) -> Any:
        if key in self.found:
            return self.found[key]
        if model not in self.refused:
            try:
                check_measurable(model, self._shape(model), work)
            except TooSlow as error:
                self.refused[model] = str(error)
        self.found[key] = None if model in self.refused else self._measured(model, work, measure)
        return self.found[key]

    def _measured(self, model: str, work: Workload, measure: Any) -> Any:
        start = time.perf_counter()
        which = model, work.dtype, work.lora.rank
        try:
            if which not in self._opened:
                self._opened[which] = _opened(model, work)
            return measure(*self._opened[which], model, work)
        except (TooSlow, PonderError) as error:
            self.refused[model] = str(error)
            return None
        finally:
            self.seconds += time.perf_counter() - start


def check_measurable(model: str, shape: ModelShape, work: Workload) -> None:
    """Whether it can be tried at all; reads no weights. TooSlow where it cannot."""
    import psutil

    if not is_here(model):
        raise TooSlow("its weights are not on this disk")
    weights = shape.num_parameters * (2 if work.dtype == "bfloat16" else 4)
    if weights * (1 / READ_BYTES + 40 / DECODE_BYTES) > BUDGET_SECONDS:
        raise TooSlow(f"too large to be measured in {BUDGET_SECONDS:.0f} s")
    if 6 * weights > psutil.virtual_memory().available:
        raise TooSlow("there is not enough free memory to measure it")


def is_here(model: str) -> bool:
    """Whether a model's weights can be read without a network."""
    source, _ = find_source(model)
    if Path(source).is_dir():
        return True
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(source, local_files_only=True))
    except LocalEntryNotFoundError:
        return False
    return any(folder.glob("*.safetensors"))


def busy() -> str:
    """Half a sentence where this machine does other things meanwhile, "" otherwise."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load < cores / 2:
        return ""
    return f"this machine is busy (load {load:.1f} on {cores} cores): quiet, it is faster"


def _opened(model: str, work: Workload) -> tuple[Any, Any]:
    from ponder.models.load import load_model

    return load_model(model, "cpu", work.dtype)


def _random_model(architecture: ArchitectureConfig) -> tuple[Any, Any]:
    from ponder.models.tiny import make_tiny_model

    return make_tiny_model(
        seed=0,
        hidden_size=architecture.hidden_size,
        num_layers=architecture.num_layers,
        num_heads=architecture.num_heads,
        num_kv_heads=architecture.num_kv_heads,
        intermediate_size=architecture.intermediate_size,
        vocab_size=architecture.vocab_size,
    )
