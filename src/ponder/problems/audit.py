"""Does a source's verifier deserve trust? References must score, nonsense must not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from ponder.types import Judgement, Problem, ProblemSource, Verdict
from ponder.verify.gym_entries import GymEntryError
from ponder.verify.verifiers import verify

_PROBES: dict[str, Callable[[Problem], str]] = {
    "reference": lambda problem: f"<think> t </think> <answer> {problem.answer} </answer>",
    "nonsense": lambda problem: "<think> t </think> <answer> xyzzy plugh </answer>",
    "empty": lambda problem: "<think> t </think> <answer>  </answer>",
    "none": lambda problem: "",
}
"""Completions that every problem is probed with; only the first may be correct."""


@dataclass(frozen=True, slots=True)
class AuditFailure:
    """A probe judged wrongly. ``probe``: a key of the probes, "generation" or "reading"."""

    problem_id: str
    probe: str
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What came of probing the first ``num_problems`` problems of a source."""

    source: str
    num_problems: int
    failures: tuple[AuditFailure, ...]

    @property
    def is_clean(self) -> bool:
        return not self.failures

    def counts(self) -> dict[str, int]:
        """Failures by probe."""
        return dict(Counter(failure.probe for failure in self.failures))

    def lines(self, limit: int = 10) -> list[str]:
        """The report as text, with at most ``limit`` failures in full."""
        if self.is_clean:
            return [f"{self.source}: {self.num_problems} problems, every probe judged rightly"]
        counts = ", ".join(f"{probe} {count}" for probe, count in self.counts().items())
        head = f"{self.source}: {self.num_problems} problems, probes judged wrongly: {counts}"
        return [head, *(_line(failure) for failure in self.failures[:limit])]


JudgeAll = Callable[[list[tuple[Problem, str]]], list[Judgement]]
"""The judgements of (problem, completion text) pairs, in their order."""

_CHUNK = 64


def judge_here(pairs: list[tuple[Problem, str]]) -> list[Judgement]:
    """One after the other in this process; ``VerifierPool.judge_all`` is the other way."""
    return [verify(problem, text) for problem, text in pairs]


def audit(
    source: ProblemSource,
    n: int,
    judge_all: JudgeAll = judge_here,
    on_progress: Callable[[int], None] = lambda num_done: None,
) -> AuditReport:
    """Probe the first ``n`` problems: the reference must be correct; the others must not be.

    Nonsense must not even raise inside the scorer (verdict ``error``): then a bad completion would
    leave the loss instead of being punished. ``on_progress`` is told how many are done.
    """
    failures: list[AuditFailure] = []
    num_problems = min(n, len(source))
    for start in range(0, num_problems, _CHUNK):
        indices = range(start, min(start + _CHUNK, num_problems))
        problems, failed = _made(source, indices)
        failures += failed
        probes = [(problem, probe) for problem in problems for probe in _PROBES]
        judged = judge_all([(problem, _PROBES[probe](problem)) for problem, probe in probes])
        failures += [
            AuditFailure(problem.id, probe, judgement)
            for (problem, probe), judgement in zip(probes, judged, strict=True)
            if not _is_right(probe, judgement.verdict)
        ]
        on_progress(indices.stop)
    return AuditReport(source.name, num_problems, tuple(failures))


def _made(source: ProblemSource, indices: range) -> tuple[list[Problem], list[AuditFailure]]:
    """The problems at these indices, and a failure for each that could not be made."""
    problems: list[Problem] = []
    failures: list[AuditFailure] = []
    for index in indices:
        try:
            problems.append(source[index])
        except GymEntryError as error:
            judgement = Judgement(Verdict.ERROR, None, str(error))
            failures.append(AuditFailure(f"{source.name} {index}", "generation", judgement))
    return problems, failures


def _is_right(probe: str, verdict: Verdict) -> bool:
    if probe == "reference":
        return verdict is Verdict.CORRECT
    return verdict in (Verdict.INCORRECT, Verdict.UNPARSABLE)


def _line(failure: AuditFailure) -> str:
    judgement = failure.judgement
    answer = "" if judgement.answer is None else f" on {judgement.answer[:60]!r}"
    return (
        f"  {failure.problem_id}: {failure.probe} -> {judgement.verdict}{answer} {judgement.reason}"
    )
