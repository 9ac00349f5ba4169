"""Problems of a task asked in English, in Chinese, or half and half.

The words change after the split: the side of a problem follows from its English question, so that
no product is a training problem in one language and held out in the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.fingerprint import fingerprint
from ponder.problems.mixed import Part
from ponder.problems.requests import RULES
from ponder.seeds import derive_seed
from ponder.types import Problem, ProblemSource

CHINESE: Mapping[str, tuple[re.Pattern[str], str]] = {
    "products": (
        re.compile(
            r"Solve the following multiplication: (.+)\. "
            r"Give only the result as your final answer\."
        ),
        "计算下面的乘法：{}。最后只给出结果。",
    ),
    "chain_sum": (
        re.compile(r"State the final answer to the following arithmetic problem: (.+) ="),
        "计算下面的算式：{}。最后只给出结果。",
    ),
    "gcd": (
        re.compile(
            r"Find the Greatest Common Divisor \(GCD\) of these numbers: (.+)\. "
            r"Give only the GCD as your final answer\."
        ),
        "求下面这些数的最大公约数：{}。最后只给出结果。",
    ),
}
"""By task: the English question, and the Chinese one with the same numbers."""


@dataclass(frozen=True, slots=True)
class Asking:
    """In which language each problem of a task is asked.

    Attributes:
        language: "en", "zh", or "both": of positions 2k and 2k + 1 one is Chinese, by seed.
    """

    language: str
    seed: int

    def is_chinese(self, position: int) -> bool:
        """Whether the problem at this position is asked in Chinese."""
        if self.language != "both":
            return self.language == "zh"
        return (derive_seed(self.seed, "language", position // 2) + position) % 2 == 0

    def ask(self, problem: Problem, position: int) -> Problem:
        """The problem with ``metadata["language"]``; a Chinese one has an id of its own.

        What it is called in English stays in its metadata: the verifier compares it with the entry.
        """
        if not self.is_chinese(position):
            return replace(problem, metadata={**problem.metadata, "language": "en"})
        return replace(
            problem,
            id=f"{problem.id}-zh",
            question=chinese_question(str(problem.metadata["task"]), problem.question),
            metadata={
                **problem.metadata,
                "language": "zh",
                "question_in_english": problem.question,
            },
        )


def asking(config: ProblemsConfig, seed: int, field: str = "problems") -> Asking | None:
    """How ``config`` wants its task asked; None: as reasoning-gym does.

    Raises PonderError for a task that has no Chinese wording.
    """
    if config.language == "en" or config.task in RULES:  # those ask in both languages themselves
        return None
    if config.task not in CHINESE:
        fix = f"{config.task} can be asked in English only; in Chinese: {', '.join(CHINESE)}"
        raise PonderError(f"{field}.language", config.language, fix)
    return Asking(config.language, seed)


def chinese_question(task: str, question: str) -> str:
    """The question of a task in Chinese. ValueError where it is not worded as it used to be."""
    pattern, wording = CHINESE[task]
    match = pattern.fullmatch(question.strip())
    if match is None:
        raise ValueError(f"{task} asks in words that have no Chinese here: {question!r}")
    return wording.format(match[1])


class AskedSource:
    """A source whose problems are asked as ``asking`` says, by their position."""

    def __init__(self, source: ProblemSource, asking: Asking) -> None:
        self.name = source.name
        self.source = source
        self.asking = asking

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Problem:
        return self.asking.ask(self.source[index], index)


class AskedPart:
    """A held-out part of a mixture whose problems are asked as ``asking`` says, by their lane."""

    def __init__(self, part: Part, asking: Asking) -> None:
        self.name = part.name
        self.part = part
        self.asking = asking

    def is_exhausted(self) -> bool:
        return self.part.is_exhausted()

    def take(self, lane: int, seen: set[str]) -> tuple[Problem | None, str]:
        problem, fault = self.part.take(lane, seen)
        if problem is None:
            return None, fault
        asked = self.asking.ask(problem, lane)
        if fingerprint(asked.question) in seen:
            return None, "the question was seen before"
        return asked, ""


def asked(source: ProblemSource, asking: Asking | None) -> ProblemSource:
    """The source itself where nothing is to be changed."""
    return source if asking is None else AskedSource(source, asking)
