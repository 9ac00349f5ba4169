"""Verifiers as a user would write them, for test_custom."""

from __future__ import annotations

import os
import time
from typing import Any

from ponder.types import Judgement, Problem, Verdict
from ponder.verify.extract import extract_answer

SOMETHING = 3


def even_number(problem: Problem, completion_text: str) -> Judgement:
    """The answer must be an even number above the problem's own."""
    answer = extract_answer(completion_text).answer
    if answer is None:
        return Judgement(Verdict.UNPARSABLE, None, "no answer")
    is_right = answer.isdecimal() and int(answer) % 2 == 0 and int(answer) > int(problem.answer)
    return Judgement(Verdict.CORRECT if is_right else Verdict.INCORRECT, answer)


def has_answer(problem: Problem, completion_text: str) -> bool:
    return problem.answer in completion_text


def share(problem: Problem, completion_text: str) -> float:
    return completion_text.count("a") / len(completion_text)


def echo(problem: Problem, completion_text: str) -> Any:
    """What metadata["value"] holds, whatever it is."""
    return problem.metadata["value"]


def raises(problem: Problem, completion_text: str) -> bool:
    raise KeyError("no such thing")


def hangs(problem: Problem, completion_text: str) -> bool:
    time.sleep(60)
    return True


def dies(problem: Problem, completion_text: str) -> bool:
    os._exit(3)


def process(problem: Problem, completion_text: str) -> bool:
    return os.getpid() == problem.metadata["pid"]
