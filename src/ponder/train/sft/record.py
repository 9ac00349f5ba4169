"""The files of a run of fine-tuning and its observer: every write of the loop goes through here."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from ponder.evals.result import EvalResult
from ponder.runlog import RunFolder, read_metrics
from ponder.train.kept_evaluations import is_due
from ponder.train.observer import RunObserver
from ponder.train.run_record import RunRecord
from ponder.train.sft.session import SFTSession
from ponder.train.sft.summary import SFTSummary


class SFTRecord(RunRecord[SFTSession]):
    """Writes losses and pass@1 of a run, and tells its observer."""

    def __init__(self, run: RunFolder, session: SFTSession, observer: RunObserver) -> None:
        super().__init__(run, session, observer)
        self.config = session.config
        self._evaluations.folder.mkdir(exist_ok=True)

    def start(self) -> None:
        """Tell the observer what runs, and after a resume what the first model could do."""
        config, session = self.config, self.session
        self._announce(
            session.learner.model,
            steps=session.steps,
            prompts_per_step=-(-len(session.data.train) * config.epochs // session.steps),
            max_completion_tokens=max(session.data.train.completion_lengths.tolist()),
            notes=session.data.notes,
        )

    def evaluate(self, step: int) -> dict[str, float]:
        """The held-out loss, and pass@1 where it is asked for, of model ``step``, if it is due.

        Results of pass@1 are kept in RUN/evals: they are not sampled again after a kill.
        """
        if not is_due(step, self.session.steps, self.config.eval.every):
            return {}
        metrics: dict[str, float] = {}
        with self.phase(step, "evaluate"):
            loss = self.session.heldout_loss()
            if loss is not None:
                metrics["eval/loss"] = loss
            result = self._pass1(step)
        if result is not None:
            metrics |= result.metrics()
            self.observer.on_eval(step, result)
        return metrics

    def step(self, step: int, update: Mapping[str, float], evaluation: Mapping[str, float]) -> None:
        """Write a step's row; checkpoint if it is due."""
        self._write_update(step, update, evaluation, update["sft/tokens"])
        if self.is_checkpoint_due(step + 1):
            self.checkpoint(step + 1)

    def end(self, next_step: int) -> SFTSummary:
        """Checkpoint; where all steps are done evaluate and write summary.json."""
        self.checkpoint(next_step)
        finished = next_step >= self.session.steps
        if finished and (evaluation := self.evaluate(next_step)):
            self._write(next_step, evaluation)
        summary = self._summary(next_step, finished)
        self._keep_summary(summary)
        if finished:
            shutil.rmtree(samples_dir(self.run))
        self.observer.on_end(summary)
        return summary

    def _summary(self, next_step: int, finished: bool) -> SFTSummary:
        rows = read_metrics(self.run.metrics_path)
        losses = [row["loss/total"] for row in rows if "loss/total" in row]
        heldout = [row["eval/loss"] for row in rows if "eval/loss" in row]
        return SFTSummary(
            name=self.config.name,
            steps=next_step,
            finished=finished,
            seconds=self.seconds,
            before=self._evaluations.get(0),
            after=self._evaluations.get(next_step) if finished else None,
            run_path=self.run.path,
            model_path=self._model_path(),
            first_loss=losses[0] if losses else None,
            last_loss=losses[-1] if losses else None,
            heldout_loss=(heldout[0], heldout[-1]) if heldout else None,
            data=self.session.data.figures,
        )

    def _pass1(self, step: int) -> EvalResult | None:
        pass1 = self.session.pass1
        return self._evaluations.once(step, pass1.measure) if pass1 else None


def samples_dir(run: RunFolder) -> Path:
    """Where the samples lie until the run is finished."""
    return run.path / "samples"
