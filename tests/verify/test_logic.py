"""Knights and Knaves: assignments, and references that the puzzle forces."""

from __future__ import annotations

import json
import time
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.types import Problem, Verdict
from ponder.verify.logic import read_roles, solution_set, verify_knights_knaves

NAMES = ["Zoey", "Oliver", "Mary Ann"]
GOLD = "(1) Zoey is a knight\n(2) Oliver is a knave\n(3) Mary Ann is a knight"
# Zoey: "Oliver is lying." Oliver: "Zoey and Mary Ann are both lying." Mary Ann: "Zoey is telling
# the truth or Oliver is."
STATEMENTS = [
    ["lying", 1],
    ["and", ["lying", 0], ["lying", 2]],
    ["or", ["telling-truth", 0], ["telling-truth", 1]],
]


def judge(text: str, **metadata: Any) -> Verdict:
    problem = Problem("p", "q", GOLD, "knights_knaves", {"names": NAMES} | metadata)
    return verify_knights_knaves(problem, text).verdict


@pytest.mark.parametrize(
    "answer",
    [
        GOLD,
        GOLD.replace("\n", " "),
        GOLD.replace("\n", ", "),
        "(3) Mary Ann is a knight (1) Zoey is a knight (2) Oliver is a knave",
        "Zoey is a knight, Oliver is a knave, and Mary Ann is a knight.",
        "Zoey is a knight; Oliver is a knave; Mary Ann is a knight",
        "1. Zoey is a Knight.\n2. Oliver is a Knave.\n3. Mary Ann is a Knight.",
        "- **Zoey**: knight\n- **Oliver**: knave\n- **Mary Ann**: knight",
        "Zoey: Knight, Oliver: Knave, Mary Ann: Knight",
        "Zoey = knight, Oliver = knave, Mary Ann = knight",
        "Zoey - knight\nOliver - knave\nMary Ann - knight",
        "Zoey (knight), Oliver (knave), Mary Ann (a knight)",
        "Zoey and Mary Ann are knights, and Oliver is a knave.",
        "Oliver is a knave. Zoey and Mary Ann are both knights.",
        "Knights: Zoey, Mary Ann\nKnaves: Oliver",
        "Knights: Zoey, Mary Ann. Knaves: Oliver.",
        "Knights: Zoey, Mary Ann; Knave: Oliver",
        "The knights are Zoey and Mary Ann, the knave is Oliver",
        "Therefore, Zoey is a knight, Oliver is a knave, Mary Ann is a knight",
        "ZOEY is a KNIGHT, oliver is a knave, mary ann is a knight",
        r"\text{Zoey is a knight, Oliver is a knave, Mary Ann is a knight}",
    ],
)
def test_right_in_many_words(answer: str) -> None:
    assert judge(f"<think> t </think> <answer> {answer} </answer>") is Verdict.CORRECT
    assert judge(rf"So \boxed{{{answer}}}") is Verdict.CORRECT


@pytest.mark.parametrize(
    "answer",
    [
        "Zoey is a knight, Oliver is a knave",  # somebody is missing
        "Zoey is a knight, Oliver is a knight, Mary Ann is a knight",
        "Zoey is a knave, Oliver is a knight, Mary Ann is a knave",
        GOLD + "\n(4) Zoey is a knave",  # a contradiction
        GOLD + "\n(4) Zoey is a knight",  # twice
        GOLD + " or the other way round",
        GOLD + "\n(4) Max is a knight",  # nobody of that name
        "Zoey is a knight or a knave, Oliver is a knave, Mary Ann is a knight",
        "Zoey is not a knave, Oliver is a knave, Mary Ann is a knight",
        "Zoey is a knight, Oliver is not a knight, Mary Ann is a knight",
        "Zoey and Oliver and Mary Ann are knights or knaves",
        "Knights: Zoey, Oliver, Mary Ann. Knaves: Zoey, Oliver, Mary Ann.",
        "Knights: Zoey, Mary Ann",
        "knight, knave, knight",
        "Zoey, Mary Ann",
        "Zoey is a knight Oliver is a knave Mary Ann is a knight and a knave",
        "maybe " + GOLD,
        "",
        "x" * 100_000,
    ],
)
def test_wrong(answer: str) -> None:
    verdict = judge(f"<answer> {answer} </answer>")
    assert verdict in (Verdict.INCORRECT, Verdict.UNPARSABLE)


def test_everybody_the_same() -> None:
    assert read_roles("Knaves: Zoey, Oliver, Mary Ann\nKnights: none", NAMES) == {
        "zoey": False, "oliver": False, "mary ann": False,
    }  # fmt: skip
    assert read_roles("Zoey, Oliver, and Mary Ann are all knights", NAMES) == {
        "zoey": True, "oliver": True, "mary ann": True,
    }  # fmt: skip


def test_names_come_from_the_reference_where_they_are_not_given() -> None:
    problem = Problem("p", "q", GOLD, "knights_knaves")
    said = "Mary Ann is a knight, Oliver is a knave, Zoey is a knight"
    assert verify_knights_knaves(problem, f"<answer>{said}</answer>").verdict is Verdict.CORRECT


def test_names_with_signs_in_them() -> None:
    names = ["J. R.#1", "O'Neil"]
    said = "O'Neil is a knave"
    assert isinstance(read_roles(said, names), str)


def test_the_statements_must_force_the_reference() -> None:
    right = f"<answer>{GOLD}</answer>"
    assert judge(right, statements=json.dumps(STATEMENTS)) is Verdict.CORRECT
    other = [["telling-truth", 1], STATEMENTS[1], STATEMENTS[2]]
    assert judge(right, statements=json.dumps(other)) is Verdict.ERROR
    several = [["telling-truth", 0], ["lying", 2], ["lying", 1]]
    assert judge(right, statements=json.dumps(several)) is Verdict.ERROR
    for broken in (
        "[",
        "[1, 2, 3]",
        "[]",
        '[["lying", 9], ["lying", 0], ["lying", 0]]',
        "[" * 9999,
    ):
        assert judge(right, statements=broken) is Verdict.ERROR


def test_truth_tables() -> None:
    """Zoey says a claim of both; Oliver says nothing that tells them apart (he is a knight)."""
    one, other = ["telling-truth", 0], ["telling-truth", 1]
    claims = {
        "and": (["and", one, other], lambda p, q: p and q),
        "or": (["or", one, other], lambda p, q: p or q),
        "->": (["->", one, other], lambda p, q: not p or q),
        "<=>": (["<=>", one, other], lambda p, q: p == q),
        "not": (["not", one], lambda p, q: not p),
        "lying": (["lying", 1], lambda p, q: not q),
        "nested": (["not", ["and", one, ["not", other]]], lambda p, q: not (p and not q)),
    }
    for claim, holds in claims.values():
        found = solution_set([claim, ["telling-truth", 1]])
        expected = {(p, q) for p in (True, False) for q in (True, False) if holds(p, q) == p}
        assert {
            (p, q) for p, q in product((True, False), repeat=2) if found >> (p + 2 * q) & 1
        } == (expected)


@given(st.permutations(range(3)), st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_only_the_reference_is_correct_in_any_order(
    order: list[int], roles: tuple[bool, bool, bool]
) -> None:
    said = ", ".join(f"{NAMES[i]} is a {'knight' if roles[i] else 'knave'}" for i in order)
    assert (judge(f"<answer>{said}</answer>") is Verdict.CORRECT) == (roles == (True, False, True))


WORDS = ["knight", "knave", "is", "a", ",", "and", "\n", ":", "(1)", "x", *NAMES]


@given(st.lists(st.sampled_from(WORDS), max_size=25))
def test_correct_names_everybody_exactly_once(words: list[str]) -> None:
    """Nothing raises, and a correct answer has every name once and a role for each."""
    said = " ".join(words)
    if judge(f"<answer> {said} </answer>") is Verdict.CORRECT:
        assert all(words.count(name) == 1 for name in NAMES)
        assert "x" not in words
        assert "knave" in words


@given(st.text(max_size=200))
def test_no_completion_without_an_answer_is_correct(text: str) -> None:
    assert judge(text.replace("\\", "").replace("<", "")) is Verdict.UNPARSABLE


def test_hostile_answers_take_no_time() -> None:
    units = ("Zoey is a knight, ", "(1)", "and ", "\n", "\\text{", "Zoey ", "**", "- ", "1. ")
    for answer in (unit * (50_000 // len(unit)) for unit in units):
        began = time.perf_counter()
        assert judge(f"<answer>{answer}</answer>") is not Verdict.CORRECT
        assert judge(f"<answer>{answer[:3_990]}</answer>") is not Verdict.CORRECT
        assert time.perf_counter() - began < 0.5
