"""Properties of grading, held against generated answers."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ponder.types import Verdict
from ponder.verify.math.compare import same
from ponder.verify.math.limits import refusal
from ponder.verify.math.normal import normal_text, text_key
from ponder.verify.math.read import read
from ponder.verify.math.scalars import is_unworked
from ponder.verify.math.values import Unreadable
from ponder.verify.math.verify import grade_math

PIECES = st.sampled_from(
    ["1", "2", "30", "0.5", ",", ", ", " ", "x", "y", "=", "<", r"\le ", ">", "(", ")", "[", "]",
     "{", "}", r"\{", r"\}", r"\frac{1}{2}", r"\frac", r"\sqrt{2}", r"\pi", "+", "-", "*", "/", "^",
     "_", "^2", "!", r"\%", "%", "$", r"\$", r"\text{ cm}", r"\text{or}", " and ", r"\cup",
     r"\infty", r"\emptyset", r"\pm ", r"\in ", "°", "甲", "，", "：", ":", r"\begin{pmatrix}", "&",
     r"\\",
     r"\end{pmatrix}", "even", r"\left", r"\right", r"\boxed{", "</think>", "<answer>", "</answer>"]
)  # fmt: skip
SOUP = st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=40)
PRIME = "982451653"

rationals = st.fractions(-999, 999, max_denominator=99)
scalars = st.one_of(
    rationals.map(lambda f: rf"\frac{{{f.numerator}}}{{{f.denominator}}}"),
    st.integers(-99, 99).map(str),
    st.integers(2, 50).map(lambda n: rf"\sqrt{{{n}}}"),
    st.integers(1, 9).map(lambda n: rf"{n}\pi"),
    st.sampled_from(["x", "2x+1", "(x-1)(x+1)", "3-2i", r"\frac{x}{y}"]),
)
lists = st.lists(scalars, min_size=2, max_size=5)
trees = st.one_of(
    scalars,
    lists.map(", ".join),
    lists.map(lambda items: rf"\{{{', '.join(items)}\}}"),
    lists.map(lambda items: f"({', '.join(items)})"),
    st.tuples(scalars, scalars, st.sampled_from("(["), st.sampled_from(")]")).map(
        lambda part: f"{part[2]}{part[0]}, {part[1]}{part[3]}"
    ),
    st.tuples(scalars, scalars).map(lambda ends: rf"{ends[0]} < t \le {ends[1]}"),
    lists.map(lambda items: rf"\begin{{pmatrix}}{'&'.join(items)}\end{{pmatrix}}"),
    scalars.map(lambda item: f"z = {item}"),
    scalars.map(lambda item: rf"{item}\text{{ cm}}"),
)


@settings(deadline=None, max_examples=400)
@given(SOUP, SOUP)
def test_reading_and_comparing_never_raise(gold: str, answer: str) -> None:
    one, other = read(gold), read(answer)
    # a base, and work still to be done, count on one side only
    if "_" not in gold + answer and not is_unworked(gold) and not is_unworked(answer):
        assert same(one, other) == same(other, one)
    refusal(answer)
    assert same(one, one) is not True or not isinstance(one, Unreadable)


@settings(deadline=None, max_examples=400)
@given(SOUP)
def test_one_spelling_is_reached_at_once(text: str) -> None:
    key = text_key(normal_text(text))
    value = read(text)
    if not isinstance(value, Unreadable) and len(text) < 40:
        assert same(value, read(text)) is not False
    assert text_key(normal_text(text)) == key


@settings(deadline=None, max_examples=300)
@given(trees)
def test_every_tree_is_itself(text: str) -> None:
    value = read(text)
    assert not isinstance(value, Unreadable)
    assert same(value, read(text)) is True
    assert grade_math(text, rf"so \boxed{{{text}}}").verdict is Verdict.CORRECT
    assert grade_math(text, f"<think>t</think><answer> ${text}$ </answer>").verdict == "correct"


@settings(deadline=None, max_examples=300)
@given(trees, trees)
def test_grading_is_symmetric(one: str, other: str) -> None:
    forth = grade_math(one, rf"\boxed{{{other}}}").verdict
    assert forth == grade_math(other, rf"\boxed{{{one}}}").verdict
    assert forth in (Verdict.CORRECT, Verdict.INCORRECT)


@settings(deadline=None)
@given(lists, st.randoms(use_true_random=False))
def test_order_matters_in_tuples_alone(items: list[str], rng: object) -> None:
    turned = items[1:] + items[:1]
    bare, shuffled = ", ".join(items), ", ".join(turned)
    assert same(read(bare), read(shuffled)) is True
    is_same = all(same(read(a), read(b)) for a, b in zip(items, turned, strict=True))
    assert same(read(f"({bare})"), read(f"({shuffled})")) is is_same


@settings(deadline=None)
@given(rationals, rationals)
def test_numbers_are_compared_exactly(one: Fraction, other: Fraction) -> None:
    gold = rf"\frac{{{one.numerator}}}{{{one.denominator}}}"
    answer = f"{other.numerator}/{other.denominator}"
    verdict = grade_math(gold, rf"\boxed{{{answer}}}").verdict
    assert (verdict is Verdict.CORRECT) == (one == other)


@settings(deadline=None, max_examples=400)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_no_answer_no_reward(text: str) -> None:
    """Nothing that is made of small pieces is a large prime, wherever they stand."""
    assert grade_math(PRIME, text).verdict is not Verdict.CORRECT
    assert grade_math(PRIME, rf"\boxed{{{text}}}").verdict is not Verdict.CORRECT
    assert grade_math(PRIME, f"<answer>{text}</answer>").verdict is not Verdict.CORRECT


@settings(deadline=None, max_examples=300)
@given(SOUP, SOUP, st.integers(0, 999).map(str) | SOUP)
def test_the_answer_elsewhere_earns_nothing(before: str, after: str, answer: str) -> None:
    """In the thought, in prose, in an earlier box: only the last box counts."""
    assume(PRIME not in answer and "boxed" not in before + after + answer)
    assume("<" not in before + after + answer and answer.count("{") == answer.count("}"))
    text = rf"<think>{PRIME}</think> {before} \boxed{{{PRIME}}} {after} \boxed{{{answer}}}"
    assert grade_math(PRIME, text).verdict is not Verdict.CORRECT


@settings(deadline=None)
@given(st.integers(2, 9), st.integers(2, 9))
def test_no_rounding(top: int, bottom: int) -> None:
    assume(top % bottom)
    value = Fraction(top, bottom)
    assume(value.denominator not in (2, 4, 5, 8))
    for digits in (3, 6, 12, 15):
        rounded = f"{float(value):.{digits}f}"
        assert grade_math(f"{top}/{bottom}", rf"\boxed{{{rounded}}}").verdict == "incorrect"
