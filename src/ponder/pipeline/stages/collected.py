"""What became of samples: counts that a card prints, and the error where nothing was kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ponder.curate.rows import Mark
from ponder.errors import PonderError
from ponder.runlog import read_json
from ponder.types import Group, Verdict

_FEWEST_TO_DOUBT = 4
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Collected:
    """How far it is, and what became of the samples.

    Attributes:
        num_problems: problems that were sampled.
        num_solved: problems with a correct sample.
        num_samples, num_correct: completions.
        sampled_tokens: of all completions.
        dropped: completions that became no row, by reason.
        doubtful: problems of which all samples agree on one other answer; the first of their ids.
        fault: why the first verdict ``error`` was one, or "".
        rows: the place in the file of rows.
    """

    num_problems: int = 0
    num_solved: int = 0
    num_samples: int = 0
    num_correct: int = 0
    sampled_tokens: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    num_doubtful: int = 0
    doubtful: list[str] = field(default_factory=list)
    fault: str = ""
    rows: Mark = field(default_factory=Mark)

    @classmethod
    def read(cls, path: Path) -> Collected:
        """What an earlier process left; nothing if there was none."""
        if not path.is_file():
            return cls()
        fields = read_json(path)
        return cls(**(fields | {"rows": Mark.from_json(fields["rows"])}))

    def with_groups(self, groups: Sequence[Group]) -> Collected:
        """After these groups were sampled, before any row of them was written."""
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        doubtful = [group.problem.id for group in groups if is_doubtful(group)]
        faults = (r.judgement.reason for r in rollouts if r.judgement.verdict is Verdict.ERROR)
        return replace(
            self,
            num_problems=self.num_problems + len(groups),
            num_solved=self.num_solved + sum(any(r.is_correct for r in g.rollouts) for g in groups),
            num_samples=self.num_samples + len(rollouts),
            num_correct=self.num_correct + sum(r.is_correct for r in rollouts),
            sampled_tokens=self.sampled_tokens + sum(r.num_tokens for r in rollouts),
            num_doubtful=self.num_doubtful + len(doubtful),
            doubtful=[*self.doubtful, *doubtful][:_MOST_NAMED],
            fault=self.fault or next(faults, ""),
        )


def is_doubtful(group: Group) -> bool:
    """Whether several samples agree on an answer that is not the reference: it may be wrong."""
    answers = {rollout.judgement.answer for rollout in group.rollouts}
    verdicts = {rollout.judgement.verdict for rollout in group.rollouts}
    agree = len(answers) == 1 and None not in answers and verdicts == {Verdict.INCORRECT}
    return agree and len(group.rollouts) >= _FEWEST_TO_DOUBT


def nothing_kept(state: Collected) -> PonderError:
    """The error of a stage without a single row: what was wrong with the samples, what helps."""
    why = ", ".join(f"{reason} {count:,}" for reason, count in sorted(state.dropped.items()))
    found = f"of {state.num_samples:,} samples of {state.num_problems:,} problems "
    if state.num_correct:
        found += f"{state.num_correct:,} are correct, but none of them could be kept ({why})"
        fix = "loosen filters, or allow what drops them"
        return PonderError("filters", 0, f"{found}: {fix}")
    if state.fault and state.dropped.get(Verdict.ERROR.value, 0) == state.num_samples:
        fix = f"none could be judged ({state.fault}): mend the problems or their verifier"
        return PonderError("problems", 0, f"{found}{fix}")
    fix = (
        "sample more (collect.group_size, collect.num_problems), take easier problems, a longer "
        "sampling.max_completion_tokens, or a better teacher"
    )
    return PonderError("collect", 0, f"{found}none is correct ({why}): {fix}")
