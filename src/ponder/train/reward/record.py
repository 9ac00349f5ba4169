"""The files of a reward model's run and its observer: every write of the loop goes through here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ponder.runlog import read_metrics
from ponder.train.reward.scores import Measured, evaluate
from ponder.train.reward.session import RewardSession
from ponder.train.reward.summary import RewardSummary
from ponder.train.run_record import RunRecord


class RewardRecord(RunRecord[RewardSession]):
    """Writes accuracies of a run, and tells its observer."""

    def start(self) -> None:
        """Tell the observer what runs."""
        config, session = self.session.config, self.session
        too_long = session.examples.num_too_long
        note = f"{too_long:,} rows are left out (longer than {config.data.max_tokens:,} tokens)"
        self._announce(
            session.model,
            steps=session.steps,
            prompts_per_step=config.batch_size,
            group_size=1 if config.objective == "pointwise" else 2,
            max_completion_tokens=max(example.longest for example in session.examples.train),
            notes=(note,) if too_long else (),
        )

    def evaluate(self, step: int) -> dict[str, float]:
        """The metrics of the untrained head on the held-out examples; ``end`` has the last's."""
        return self._measure(step).row() if step == 0 else {}

    def step(self, step: int, update: Mapping[str, float], evaluation: Mapping[str, float]) -> None:
        """Write a step's row; checkpoint if it is due. The last checkpoint waits for ``end``."""
        self._write_update(step, update, evaluation, update["preference/tokens"])
        if step + 1 < self.session.steps and self.is_checkpoint_due(step + 1):
            self.checkpoint(step + 1)

    def end(self, next_step: int) -> RewardSummary:
        """Checkpoint; where all steps are done, with the scale of the held-out scores in it."""
        finished = next_step >= self.session.steps
        measured = self._measure(next_step) if finished else None
        if measured is not None:
            model = self.session.model
            model.facts = replace(model.facts, mean=measured.mean, std=measured.std)
        self.checkpoint(next_step)
        if measured is not None:
            self._write(next_step, measured.row())
        summary = self._summary(next_step, measured)
        self._keep_summary(summary)
        self.observer.on_end(summary)
        return summary

    def _measure(self, step: int) -> Measured:
        with self.phase(step, "evaluate"):
            return evaluate(self.session.model, self.session.examples.heldout, self.session.config)

    def _summary(self, steps: int, measured: Measured | None) -> RewardSummary:
        row = measured.row() if measured else {}
        first = read_metrics(self.run.metrics_path)[0]["eval/accuracy"] if measured else 0.0
        length = ("eval/prefers_longer", "eval/chosen_longer")
        return RewardSummary(
            name=self.session.config.name,
            steps=steps,
            finished=measured is not None,
            seconds=self.seconds,
            before=None,
            after=None,
            run_path=self.run.path,
            model_path=self._model_path(),
            objective=self.session.config.objective,
            accuracy=(first, measured.accuracy, measured.stderr) if measured else None,
            longer=(row[length[0]], row[length[1]]) if length[0] in row else None,
            data=self.session.counts,
        )
