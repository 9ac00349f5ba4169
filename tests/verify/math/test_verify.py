"""The verifier from end to end: conventions, verdicts, and faults of references."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ponder.errors import PonderError
from ponder.types import Problem, Verdict
from ponder.verify.math.verify import grade_math, reference_fault, verify_math


def judged(gold: str, text: str, convention: str = "box") -> Verdict:
    problem = Problem("p", "q", gold, "math", {"answer_convention": convention})
    return verify_math(problem, text).verdict


def test_verdicts() -> None:
    assert judged("5", r"so \boxed{5}") is Verdict.CORRECT
    assert judged("5", r"so \boxed{6}") is Verdict.INCORRECT
    assert judged("5", "so 5") is Verdict.UNPARSABLE
    assert judged(" ", r"so \boxed{6}") is Verdict.ERROR


def test_conventions() -> None:
    assert judged("5", "so\n#### 5", "hashes") is Verdict.CORRECT
    assert judged("5", "so\n#### 5") is Verdict.UNPARSABLE
    assert judged("5", "so\n**Answer: 5**", "answer_line") is Verdict.CORRECT
    with pytest.raises(PonderError, match="use one of"):
        judged("5", "5", "nowhere")


def test_sympy_is_asked_in_a_worker() -> None:
    assert judged(r"\sin^2 x", r"\boxed{1-\cos^2 x}") is Verdict.CORRECT
    assert judged(r"\sin^2 x", r"\boxed{\cos^2 x}") is Verdict.INCORRECT


def test_sympy_is_never_in_our_own_process() -> None:
    script = (
        "import sys\n"
        "from ponder.verify.math.verify import grade_math\n"
        "assert grade_math(r'\\frac12', r'\\boxed{0.5}').verdict == 'correct'\n"
        "assert grade_math(r'\\ln 4', r'\\boxed{2\\ln 2}').verdict == 'correct'\n"
        "assert 'sympy' not in sys.modules and 'math_verify' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_kept_from_sympy_says_why() -> None:
    judgement = grade_math(r"\ln 2", r"\boxed{9^{9^{9}}}")
    assert judgement.verdict is Verdict.INCORRECT
    assert "tower" in judgement.reason


def test_a_reference_that_sympy_would_not_survive_matches_itself() -> None:
    for gold in (r"\frac{1}{2006!}", r"\sum_{k=1}^{n} k^{k^k}", "10^{10^{10}}"):
        assert judged(gold, rf"\boxed{{{gold}}}") is Verdict.CORRECT


@pytest.mark.parametrize(
    "gold",
    ["5", "27.0", r"\frac12", r"\text{Evelyn}", r"\sin x", "1, 2", r"\frac{1}{2006!}", "x+y=1"],
)
def test_references_without_fault(gold: str) -> None:
    assert reference_fault(gold) == ""


@pytest.mark.parametrize(
    "gold",
    ["", " ", r"\frac{1}{2", "5}", "x=4=5", "1/0", "see the figure on page 3 @#$", r"\frac{}{}",
     "a reference answer that goes on and on like this one is a sentence and no answer"],
)  # fmt: skip
def test_faults_of_references(gold: str) -> None:
    assert reference_fault(gold)
