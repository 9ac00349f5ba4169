"""The files of a reward model's run and its observer: every write of the loop goes through here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from ponder.config.reward_model import RewardModelConfig
from ponder.models.reward import RewardModel
from ponder.runlog import CheckpointStore, MetricsWriter, RunFolder, read_metrics, write_json_atomic
from ponder.runlog.checkpoint import checkpoint_step
from ponder.train.observer import Phase, RunInfo, RunObserver
from ponder.train.optimizer import Optimizer
from ponder.train.reward_data import Examples
from ponder.train.reward_scores import Measured, evaluate
from ponder.train.reward_summary import RewardSummary

STATE = "trainer_state.pt"


@dataclass(slots=True)
class RewardSession:
    """The parts of a run that live in memory."""

    config: RewardModelConfig
    model: RewardModel
    tokenizer: PreTrainedTokenizerBase
    optimizer: Optimizer
    examples: Examples
    steps: int
    first_step: int
    seconds_before: float

    @property
    def counts(self) -> dict[str, int]:
        """Of the data, for the summary."""
        return {
            "examples": len(self.examples.train),
            "heldout_examples": len(self.examples.heldout),
            "too_long": self.examples.num_too_long,
        }

    def save(self, folder: Path, seconds: float) -> None:
        """Fill a checkpoint: the model's folder, and the optimizer's state beside it."""
        self.model.save(folder, self.tokenizer)
        state = {
            "optimizer": self.optimizer.state_dict(),
            "threads": torch.get_num_threads(),
            "seconds": seconds,
        }
        torch.save(state, folder / STATE)


class RewardRecord:
    """Writes what a run does, and tells its observer. As for fine-tuning: the row first, then (now
    and then) a checkpoint; a resume cuts the rows back to the checkpoint."""

    def __init__(self, run: RunFolder, session: RewardSession, observer: RunObserver) -> None:
        self.run, self.session, self.observer = run, session, observer
        self.config = session.config
        self._started = time.perf_counter()
        self._store = CheckpointStore(run.checkpoints_dir, self.config.checkpoint.keep)
        self._metrics = MetricsWriter(run.metrics_path)
        self._times: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Wall time of the run up to now; see ``Summary.seconds``."""
        return self.session.seconds_before + time.perf_counter() - self._started

    def start(self) -> None:
        """Tell the observer what runs."""
        config, session = self.config, self.session
        too_long = session.examples.num_too_long
        note = f"{too_long:,} rows are left out (longer than {config.data.max_tokens:,} tokens)"
        longest = max(example.longest for example in session.examples.train)
        self.observer.on_start(
            RunInfo(
                name=config.name,
                run_path=self.run.path,
                model=config.model,
                num_parameters=sum(p.numel() for p in session.model.parameters()),
                device=str(session.model.device),
                first_step=session.first_step,
                steps=session.steps,
                prompts_per_step=config.batch_size,
                group_size=1 if config.objective == "pointwise" else 2,
                minibatches=1,
                max_completion_tokens=longest,
                notes=(note,) if too_long else (),
            )
        )

    @contextmanager
    def phase(self, step: int, name: Phase) -> Iterator[None]:
        """Announce a phase and take its time (``time/NAME_seconds`` of the next row)."""
        self.observer.on_phase(step, name)
        start = time.perf_counter()
        yield
        self._times[f"time/{name}_seconds"] = time.perf_counter() - start

    def evaluate(self, step: int) -> Measured:
        """The model on the held-out examples."""
        with self.phase(step, "evaluate"):
            return evaluate(self.session.model, self.session.examples.heldout, self.config)

    def step(self, step: int, update: Mapping[str, float], evaluation: Mapping[str, float]) -> None:
        """Write a step's row; checkpoint if it is due. The last checkpoint waits for ``end``."""
        times, self._times = self._times, {}
        seconds = times["time/update_seconds"]
        row = {
            **evaluation,
            **update,
            **times,
            "time/step_seconds": seconds,
            "speed/update_tokens_per_second": update["preference/tokens"] / seconds,
        }
        self._metrics.write(step, row)
        self.observer.on_step(step, row, ())
        if (step + 1) % self.config.checkpoint.every == 0 and step + 1 < self.session.steps:
            self.checkpoint(step + 1)

    def checkpoint(self, next_step: int) -> None:
        """Write the state after ``next_step`` steps, unless it is there."""
        latest = self._store.latest()
        if latest is not None and checkpoint_step(latest) == next_step:
            return
        with self.phase(next_step, "checkpoint"):
            self._store.save(next_step, lambda folder: self.session.save(folder, self.seconds))

    def end(self, next_step: int) -> RewardSummary:
        """Checkpoint; where all steps are done, with the scale of the held-out scores in it."""
        finished = next_step >= self.session.steps
        measured = self.evaluate(next_step) if finished else None
        if measured is not None:
            model = self.session.model
            model.facts = replace(model.facts, mean=measured.mean, std=measured.std)
        self.checkpoint(next_step)
        if measured is not None:
            self._metrics.write(next_step, measured.row())
        summary = self._summary(next_step, measured)
        if finished:
            write_json_atomic(self.run.summary_path, summary.to_json())
        self.observer.on_end(summary)
        return summary

    def close(self) -> None:
        self._metrics.close()

    def _summary(self, steps: int, measured: Measured | None) -> RewardSummary:
        model_path = self._store.latest()
        assert model_path is not None
        row = measured.row() if measured else {}
        first = read_metrics(self.run.metrics_path)[0]["eval/accuracy"] if measured else 0.0
        length = ("eval/prefers_longer", "eval/chosen_longer")
        return RewardSummary(
            name=self.config.name,
            steps=steps,
            finished=measured is not None,
            seconds=self.seconds,
            before=None,
            after=None,
            run_path=self.run.path,
            model_path=model_path,
            objective=self.config.objective,
            accuracy=(first, measured.accuracy, measured.stderr) if measured else None,
            longer=(row[length[0]], row[length[1]]) if length[0] in row else None,
            data=self.session.counts,
        )
