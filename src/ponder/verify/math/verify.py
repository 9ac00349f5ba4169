r"""The verifier "math": extraction, the exact path, and sympy in a killable worker.

Prefers a false negative to a false positive: what can't be told is incorrect.
"""

from __future__ import annotations

from functools import lru_cache

from ponder.types import Judgement, Problem, Verdict
from ponder.verify.extract import extract_by
from ponder.verify.math.compare import same
from ponder.verify.math.limits import foreign, refusal
from ponder.verify.math.normal import MAX_CHARACTERS, normal_text, text_key
from ponder.verify.math.read import read
from ponder.verify.math.values import Listing, Named, Scalar, Unreadable, Value, Words
from ponder.verify.pool import Failed, isolated

DEADLINE_SECONDS = 2.0
MAX_WORDS = 12


def verify_math(problem: Problem, completion_text: str) -> Judgement:
    """Judges by ``problem.answer``; ``metadata["answer_convention"]`` says where answers stand.

    The conventions are those of ``verify.extract.CONVENTIONS``; "box" is the default.
    """
    convention = problem.metadata.get("answer_convention", "box")
    return grade_math(problem.answer, completion_text, convention)


def grade_math(gold: str, completion: str, convention: str = "box") -> Judgement:
    """Whether a completion's answer is the reference. Never raises on what a model wrote.

    Raises PonderError for a convention that there is not.
    """
    extracted = extract_by(convention, completion)
    if extracted.answer is None:
        return Judgement(Verdict.UNPARSABLE, None, extracted.reason)
    return grade_answer(gold, extracted.answer)


def grade_answer(gold: str, answer: str) -> Judgement:
    """Whether an extracted answer is the reference."""
    if not gold.strip():
        return Judgement(Verdict.ERROR, answer, "no reference answer")
    if same_text(gold, answer):
        return Judgement(Verdict.CORRECT, answer)
    ours, theirs = read(gold), read(answer)
    if isinstance(theirs, Unreadable):
        return Judgement(Verdict.INCORRECT, answer, theirs.reason)
    result = same(ours, theirs)
    if result is None:
        return _ask_sympy(gold, answer, theirs)
    if result:
        return Judgement(Verdict.CORRECT, answer)
    return Judgement(Verdict.INCORRECT, answer, "another answer")


def same_text(gold: str, answer: str) -> bool:
    """Whether both are spelt the same, apart from what changes no formula."""
    if max(len(gold), len(answer)) > MAX_CHARACTERS:
        return gold.strip() == answer.strip()
    return _key(gold) == _key(answer) != ""


@lru_cache(maxsize=8_192)
def _key(text: str) -> str:
    return text_key(normal_text(text))


def _ask_sympy(gold: str, answer: str, value: Value) -> Judgement:
    if reason := _refused(value):
        return Judgement(Verdict.INCORRECT, answer, f"not compared: {reason}")
    done = isolated(
        "ponder.verify.math.symbolic:equivalent", gold, answer, deadline_seconds=DEADLINE_SECONDS
    )
    if isinstance(done, Failed):
        return Judgement(Verdict.ERROR, answer, f"sympy: {done.kind}")
    if done.value:
        return Judgement(Verdict.CORRECT, answer)
    return Judgement(Verdict.INCORRECT, answer, "another answer")


def _refused(value: Value) -> str:
    """Why a single formula of the model's is kept from sympy; the worker checks those in lists."""
    inner = value.value if isinstance(value, Named) else value
    return refusal(inner.text) if isinstance(inner, Scalar) else ""


def reference_fault(gold: str) -> str:
    r"""Why a reference answer can't be used, or "" if it can.

    It must come back from ``\boxed{...}`` unharmed, and be something that can be compared.
    """
    if not gold.strip():
        return "no reference answer"
    judgement = grade_math(gold, rf"\boxed{{{gold}}}")
    if judgement.verdict is not Verdict.CORRECT:
        return "it does not stand up in a box"
    value = read(gold)
    if isinstance(value, Unreadable):
        return value.reason
    parts = value.items if isinstance(value, Listing) else (value,)
    if sum(len(part.key.split()) for part in parts if isinstance(part, Words)) > MAX_WORDS:
        return "a sentence"
    if isinstance(value, Scalar) and value.value is None:
        return _formula_fault(value.text)
    return ""


def _formula_fault(text: str) -> str:
    if refusal(text) and not foreign(text):
        return ""  # a formula, though too much for sympy: it still matches itself
    done = isolated(
        "ponder.verify.math.symbolic:is_formula", text, deadline_seconds=DEADLINE_SECONDS
    )
    if isinstance(done, Failed):
        return f"sympy can't read it: {done.kind}"
    return "" if done.value else "it is no formula"
