"""What an evaluation found: the figures, the settings and every sample's verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ponder.evals.metrics import cons_at_k, mean_and_stderr, pass_at_k, powers_of_two
from ponder.text.styles import STYLES, Style
from ponder.types import Sampling, Verdict


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion of an evaluation, without its text."""

    verdict: Verdict
    answer: str | None
    num_tokens: int
    has_format: bool
    reflective_words: int
    is_truncated: bool
    style: Style = "direct"


@dataclass(frozen=True, slots=True)
class ProblemResult:
    """The samples of one problem."""

    problem_id: str
    question: str
    answer: str
    samples: list[Sample]

    @property
    def valid(self) -> list[Sample]:
        """The samples without a verifier error."""
        return [s for s in self.samples if s.verdict is not Verdict.ERROR]

    @property
    def accuracy(self) -> float:
        """Share of valid samples that are correct."""
        return sum(s.verdict is Verdict.CORRECT for s in self.valid) / len(self.valid)


@dataclass(frozen=True, slots=True)
class EvalResult:
    """An evaluation on problems x k samples; ``to_json`` has all that it takes to repeat it.

    ``pass_at_k`` maps k to the mean over problems; ``stderr`` is that of pass@1, clustered by
    problem. Samples whose verdict is ``error`` are counted in ``num_error`` and leave the rest;
    a problem that keeps fewer than k samples leaves pass@k for that k.
    """

    k: int
    seed: int
    sampling: Sampling
    problems: list[ProblemResult]
    pass_at_1: float = field(init=False)
    stderr: float = field(init=False)
    pass_at_k: dict[int, float] = field(init=False)
    cons_at_k: float = field(init=False)
    mean_tokens: float = field(init=False)
    format: float = field(init=False)
    reflective_words_per_completion: float = field(init=False)
    reflective_share: float = field(init=False)
    truncated_fraction: float = field(init=False)
    num_error: int = field(init=False)

    def __post_init__(self) -> None:
        for name, value in _figures(self.problems, self.k).items():
            object.__setattr__(self, name, value)

    def figures(self) -> dict[str, Any]:
        """The figures by the names that ``summary.json`` uses ("pass@1", "stderr", ...)."""
        return {
            "pass@1": self.pass_at_1,
            "stderr": None if math.isnan(self.stderr) else self.stderr,
            **{f"pass@{k}": value for k, value in self.pass_at_k.items() if k != 1},
            f"cons@{self.k}": self.cons_at_k,
            "mean_tokens": self.mean_tokens,
            "format": self.format,
            "reflective_words_per_completion": self.reflective_words_per_completion,
            "reflective_share": self.reflective_share,
            "truncated_fraction": self.truncated_fraction,
            "num_problems": len(self.problems),
            "num_samples": sum(len(p.valid) for p in self.problems),
            "num_correct": sum(
                s.verdict is Verdict.CORRECT for p in self.problems for s in p.valid
            ),
            "num_error": self.num_error,
        }

    def by_style(self) -> dict[str, dict[str, float | None]]:
        """Share and accuracy of each way of thinking (see ``text.styles``)."""
        valid = [s for p in self.problems for s in p.valid]
        table: dict[str, dict[str, float | None]] = {}
        for style in STYLES:
            chosen = [s.verdict is Verdict.CORRECT for s in valid if s.style == style]
            accuracy = sum(chosen) / len(chosen) if chosen else None
            table[style] = {"share": len(chosen) / len(valid), "accuracy": accuracy}
        return table

    def metrics(self) -> dict[str, float]:
        """The same figures as rows of ``metrics.jsonl`` ("eval/pass@1", ...); no nan among them."""
        return {f"eval/{k}": v for k, v in self.figures().items() if v is not None}

    def to_json(self) -> dict[str, Any]:
        """Figures, settings and per-problem results; ``from_json`` reads it back."""
        return {
            "figures": self.figures(),
            "by_style": self.by_style(),
            "k": self.k,
            "seed": self.seed,
            "sampling": asdict(self.sampling),
            "problems": [asdict(p) for p in self.problems],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EvalResult:
        """Read ``to_json``; the figures are computed anew from the samples."""
        sampling = dict(data["sampling"])
        sampling["stop"] = tuple(sampling["stop"])
        problems = [
            ProblemResult(
                **{
                    **problem,
                    "samples": [
                        Sample(**{**s, "verdict": Verdict(s["verdict"])})
                        for s in problem["samples"]
                    ],
                }
            )
            for problem in data["problems"]
        ]
        return cls(data["k"], data["seed"], Sampling(**sampling), problems)


def _figures(problems: list[ProblemResult], k: int) -> dict[str, Any]:
    judged = [p for p in problems if p.valid]
    samples = [s for p in judged for s in p.valid]
    mean, stderr = mean_and_stderr([p.accuracy for p in judged])
    return {
        "pass_at_1": mean,
        "stderr": stderr,
        "pass_at_k": {
            n: value for n in powers_of_two(k) if (value := _pass_at(judged, n)) is not None
        },
        "cons_at_k": math.fsum(_cons(p) for p in judged) / len(judged),
        "mean_tokens": sum(s.num_tokens for s in samples) / len(samples),
        "format": sum(s.has_format for s in samples) / len(samples),
        "reflective_words_per_completion": sum(s.reflective_words for s in samples) / len(samples),
        "reflective_share": sum(s.reflective_words > 0 for s in samples) / len(samples),
        "truncated_fraction": sum(s.is_truncated for s in samples) / len(samples),
        "num_error": sum(len(p.samples) - len(p.valid) for p in problems),
    }


def _pass_at(problems: list[ProblemResult], k: int) -> float | None:
    values = [
        pass_at_k(len(p.valid), sum(s.verdict is Verdict.CORRECT for s in p.valid), k)
        for p in problems
        if len(p.valid) >= k
    ]
    return math.fsum(values) / len(values) if values else None


def _cons(problem: ProblemResult) -> float:
    correct = [s.verdict is Verdict.CORRECT for s in problem.valid]
    return cons_at_k([s.answer for s in problem.valid], correct)
