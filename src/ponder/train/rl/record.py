"""The files of a run of RL and its observer: every write of the loop goes through here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from ponder.config.rl import RLConfig
from ponder.errors import AlarmError
from ponder.evals.result import EvalResult
from ponder.rollout.stats import rollout_metrics
from ponder.runlog import (
    RunFolder,
    Sink,
    TensorBoardSink,
    WandbSink,
    append_alarm,
    read_metrics,
    write_rollouts,
)
from ponder.train.kept_evaluations import is_due
from ponder.train.observer import RunObserver
from ponder.train.rl import parting
from ponder.train.rl.alarms import new_alarms
from ponder.train.rl.collect import Collected
from ponder.train.rl.session import Session
from ponder.train.run_record import RunRecord
from ponder.train.summary import Summary


class Record(RunRecord[Session]):
    """Writes rollouts, rows and alarms of a run, and tells its observer."""

    def __init__(self, run: RunFolder, session: Session, observer: RunObserver) -> None:
        super().__init__(run, session, observer)
        self.config = session.config
        self._sinks += _sinks(run, self.config, session.first_step)
        self._rows: list[Mapping[str, float]] = list(read_metrics(run.metrics_path))
        self._evaluations.folder.mkdir(exist_ok=True)

    def start(self) -> None:
        """Tell the observer what runs, and after a resume what the first policy could do."""
        config, session = self.config, self.session
        self._announce(
            session.policy.model,
            steps=config.steps,
            prompts_per_step=config.batch.prompts_per_step,
            group_size=config.batch.group_size,
            minibatches=config.batch.minibatches,
            max_completion_tokens=config.sampling.max_completion_tokens,
            notes=session.notes,
        )

    def evaluate(self, step: int) -> EvalResult | None:
        """Evaluate policy ``step`` if it is due (first, last, every ``eval.every``), once.

        The result is kept in RUN/evals: a run that was killed between an evaluation and the next
        checkpoint doesn't do it again.
        """
        settings = self.config.eval
        if not settings.num_problems or not is_due(step, self.config.steps, settings.every):
            return None
        result = self._evaluations.once(step, lambda: self._measure(step))
        self.observer.on_eval(step, result)
        return result

    def _measure(self, step: int) -> EvalResult:
        with self.phase(step, "evaluate"):
            return self.session.evaluate()

    def step(
        self,
        step: int,
        collected: Collected,
        update: Mapping[str, float],
        evaluation: EvalResult | None,
    ) -> None:
        """Write a step's rollouts and its row; sound the alarms; checkpoint if it is due.

        Raises:
            AlarmError: a preference reward is being hacked (``parting``), and the config wants the
                run to end then; the checkpoint of this step is there.
        """
        write_rollouts(self.run.rollouts_dir, step, collected.groups)
        row = {
            **(evaluation.metrics() if evaluation else {}),
            **rollout_metrics(collected.groups),
            **update,
            **self._speeds(collected),
        }
        self._write(step, row)
        self.observer.on_step(step, row, collected.groups)
        self._rows.append(row)
        for alarm in new_alarms(self._rows):
            self._sound(step, alarm.name, alarm.meaning)
        seen = self._look_for_hacking(step)
        if seen or self.is_checkpoint_due(step + 1):
            self.checkpoint(step + 1)
        if seen and self.config.preference.stop:
            raise AlarmError(f"step {step}: {seen}. {self._what_now(step + 1)}")

    def _look_for_hacking(self, step: int) -> str:
        """Sound that alarm where it begins to hold; what it says, or ""."""
        steps = self.config.steps
        num_general = steps - self.config.preference.first_step(steps)
        seen = parting.parted(self._rows, num_general)
        if not seen or parting.parted(self._rows[:-1], num_general):
            return ""
        self._sound(step, parting.NAME, seen)
        return seen

    def _sound(self, step: int, name: str, meaning: str) -> None:
        append_alarm(self.run.alarms_path, step, name, meaning)
        self.observer.on_alarm(f"step {step}: {meaning}")

    def _what_now(self, next_step: int) -> str:
        return (
            f"The checkpoint of step {next_step} in {self.run.checkpoints_dir} is kept, as are "
            "older ones (checkpoint.keep). Use a model from before, a later preference.start, a "
            "smaller reward.preference or a better reward model; resuming this run goes on all the "
            "same, and preference.stop=false only sounds the alarm"
        )

    def end(self, next_step: int) -> Summary:
        """Checkpoint; where all steps are done evaluate and write summary.json."""
        self.checkpoint(next_step)
        finished = next_step >= self.config.steps
        after = self.evaluate(next_step) if finished else None
        if after is not None:
            self._write(next_step, after.metrics())
        summary = Summary(
            name=self.config.name,
            steps=next_step,
            finished=finished,
            seconds=self.seconds,
            before=self._evaluations.get(0),
            after=after,
            run_path=self.run.path,
            model_path=self._model_path(),
        )
        self._keep_summary(summary)
        self.observer.on_end(summary)
        return summary

    def _speeds(self, collected: Collected) -> dict[str, float]:
        times = self._take_times()
        sampled = sum(r.num_tokens for group in collected.groups for r in group.rollouts)
        trained = sum(r.num_tokens for group in collected.chosen for r in group.rollouts)
        rollout, update = times["time/rollout_seconds"], times["time/update_seconds"]
        return {
            **times,
            "time/step_seconds": rollout + update,
            "speed/rollout_tokens_per_second": sampled / rollout,
            "speed/update_tokens_per_second": trained / update,
        }


def _sinks(run: RunFolder, config: RLConfig, next_step: int) -> list[Sink]:
    sinks: list[Sink] = []
    if config.log.tensorboard:
        sinks.append(TensorBoardSink(run.path / "tensorboard", next_step))
    if config.log.wandb_project:
        run_id = hashlib.sha256(str(run.path.resolve()).encode()).hexdigest()[:12]
        settings = config.model_dump(mode="json")
        sinks.append(WandbSink(config.log.wandb_project, config.name, run.path, settings, run_id))
    return sinks
