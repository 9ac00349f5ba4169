"""Reading single numbers: what is one, what is not, and when two are the same."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.verify.numbers import Number, parse_number, same_number

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", "5"),
        (" 5 ", "5"),
        ("5.", "5"),
        ("007", "7"),
        ("-0", "0"),
        ("+5", "5"),
        ("-5", "-5"),
        ("- 5", "-5"),
        ("\u22125", "-5"),
        ("–5", "-5"),
        ("－５", "-5"),
        ("１２．５", "12.5"),
        ("5.0", "5"),
        (".125", "1/8"),
        ("-.5", "-1/2"),
        ("1,234", "1234"),
        ("1,234,567.5", "1234567.5"),
        ("1{,}234", "1234"),
        (r"1,\!234", "1234"),
        (r"11,\! 111,\! 111", "11111111"),
        ("1 234", "1234"),
        (r"12\,345", "12345"),
        ("12\u202f345", "12345"),
        ("3/4", "3/4"),
        ("-3 / 4", "-3/4"),
        ("6/8", "3/4"),
        ("0.5/2", "1/4"),
        (r"\frac{3}{4}", "3/4"),
        (r"\dfrac{3}{4}", "3/4"),
        (r"\tfrac34", "3/4"),
        (r"\frac43", "4/3"),
        (r"\frac{270}7", "270/7"),
        (r"-\frac{1}{3}", "-1/3"),
        (r"\frac{-1}{3}", "-1/3"),
        (r"\frac{-1}{-3}", "1/3"),
        (r"3\frac{1}{2}", "7/2"),
        ("3 1/2", "7/2"),
        (r"-3\frac12", "-7/2"),
        ("3e5", "300000"),
        ("1e-07", "1/10000000"),
        (r"3\times10^{5}", "300000"),
        (r"6.02 \cdot 10^{23}", "602000000000000000000000"),
        ("3 × 10^-2", "3/100"),
        ("$5$", "5"),
        (r"\(5\)", "5"),
        ("$$5$$", "5"),
        ("**5**", "5"),
        ("{5}", "5"),
        (r"\text{5}", "5"),
        (r"\mathbf{5}", "5"),
        ("9" * 150, "9" * 150),
    ],
)
def test_plain_numbers(text: str, value: str) -> None:
    assert parse_number(text) == Number(Fraction(value))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("50%", Number(Fraction(50), is_percent=True)),
        (r"7.5\%", Number(Fraction("7.5"), is_percent=True)),
        ("50 percent", Number(Fraction(50), is_percent=True)),
        ("$18", Number(Fraction(18), unit="dollar")),
        (r"\$18.00", Number(Fraction(18), unit="dollar")),
        ("18$", Number(Fraction(18), unit="dollar")),
        ("-$5", Number(Fraction(-5), unit="dollar")),
        ("$-5", Number(Fraction(-5), unit="dollar")),
        ("$1,234.50", Number(Fraction("1234.5"), unit="dollar")),
        ("$18 dollars", Number(Fraction(18), unit="dollar")),
        ("18 teens", Number(Fraction(18), unit="teen")),
        ("18 dollars", Number(Fraction(18), unit="dollar")),
        ("€20", Number(Fraction(20), unit="euro")),
        (r"10\text{ cm}", Number(Fraction(10), unit="cm")),
        ("10cm", Number(Fraction(10), unit="cm")),
        ("10 centimeters", Number(Fraction(10), unit="cm")),
        (r"12\,\mathrm{km/h}", Number(Fraction(12), unit="km/h")),
        ("12 km per hour", Number(Fraction(12), unit="km/h")),
        (r"25\text{ square units}", Number(Fraction(25), unit="square unit")),
        (r"864 \mbox{ inches}^2", Number(Fraction(864), unit="in^2")),
        ("30 minutes.", Number(Fraction(30), unit="min")),
        ("18 fresh eggs", Number(Fraction(18), unit="fresh egg")),
        (r"90^\circ", Number(Fraction(90), unit="degree")),
        ("90°", Number(Fraction(90), unit="degree")),
        (r"\frac{270}7\text{ degrees}", Number(Fraction(270, 7), unit="degree")),
        ("x = 5", Number(Fraction(5), variable="x")),
    ],
)
def test_numbers_with_something_around_them(text: str, number: Number) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ".", "-", "$", "%", "five", "x", "nan", "inf", "Infinity", "None", "true",
        "5 or 6", "5 and 6", "5, 6", "5,6", "5;6", "5 6", "5-6", "5–6", "5±1", "5+1", "2+3=5",
        "5 or maybe 6", "5 (or 6)", "(5, 6)", "[5]", "(5)", "{5, 6}", "5?", "not 5", "about 5",
        "~5", "5 approximately", "5 not", "5 or", "5 dozen", "5 hundred", "5 million eggs", "5 k",
        "5k", "$5m", "5 M", "5 halves", "5 squared", "5 factorial", "5!", "5 more",
        "5 less than ten", "five 5", "5 five", "5 mod seven", "5 base seven", "101_2", "0x10",
        "1_000", "5x", "5 x", "5i", "5e", "5e9999", "5e1.5", "5 pi", r"5\pi", r"\pi",
        r"\sqrt{25}", r"5\sqrt{2}", "5^2",
        "5²", "½", "2½", "1,00", "1,2345", "12,34", "0,123", "1,234,56", "01,234", "1 23", "1.2.3",
        "1.234.567", "0.333...", "5..", "--5", "+-5", "-$-5", "5-", "$5$6$", "1/0", "0/0",
        r"\frac{1}{0}", r"\frac{1}{2}{3}", r"\frac{a}{2}", r"\frac12/3", "1/2/3", "3 4/3", "1 0/3",
        "3:4", "12:00", "4=5", "x=4=5", "1=2", "xy=5", "x>5", "5% or 6%", "5%%", "50% dollars",
        "$5%", "$18 euros", "$18 per hour", "73**", "the answer is 5", "5 is the answer", "5 or so",
        r"\boxed{5}", r"5 \text{ or } 6", r"\text{the correct answer}", "５ or ６", "5\n6", "٥",
        "9" * 201, "5 quintillion", "5 thirteen", "5 twentieths", "5 eightfold", "5 fold", "5 zero",
        "5 eleven", "5 twelfths", "5 googol", "5 permille", "5 factorials", "5 wait", "5 rejected",
    ],
)  # fmt: skip
def test_what_is_not_plainly_one_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("first", "second", "are_same"),
    [
        (r"\frac{1}{2}", "0.5", True),
        ("1/3", "0.333333", False),
        ("1/3", "0.3333333333333333", False),
        ("0.0000001", "0.0000002", False),
        ("18.00", r"\$18", True),
        ("10 cm", "10", True),
        ("5 cm", "5 m", False),
        ("5 dollars", "$5", True),
        ("5 cents", "$5", False),
        ("5 km", "5 kilometers", True),
        ("50%", "50", True),
        ("50%", "0.5", True),
        ("50%", "0.50%", False),
        ("7.5%", "75%", False),
        ("50%", "50 dollars", False),
        ("x=5", "5", True),
        ("x=5", "y=5", False),
        ("90°", "90", True),
        ("-0", "0", True),
        ("1,000", "1000", True),
        ("3.5", r"3\frac{1}{2}", True),
    ],
)
def test_same_number(first: str, second: str, are_same: bool) -> None:
    one, other = parse_number(first), parse_number(second)
    assert one is not None
    assert other is not None
    assert same_number(one, other) is are_same
    assert same_number(other, one) is are_same


@settings(deadline=None)
@given(st.text(max_size=250) | st.text("0123456789.,/-+%$ {}\\eE=x^", max_size=250))
def test_never_raises(text: str) -> None:
    parse_number(text)


@settings(deadline=None)
@given(st.fractions(), st.fractions())
def test_fractions_are_read_back_exactly(one: Fraction, other: Fraction) -> None:
    read = parse_number(f"{one.numerator}/{one.denominator}")
    assert read is None or read.value == one  # None: more than 200 characters
    latex = parse_number(rf"\frac{{{other.numerator}}}{{{other.denominator}}}")
    assert latex is None or latex.value == other


@settings(deadline=None)
@given(st.integers(-(10**60), 10**60))
def test_integers_are_read_back_with_and_without_separators(value: int) -> None:
    assert parse_number(str(value)) == parse_number(f"{value:,}") == Number(Fraction(value))


@pytest.mark.parametrize(
    "piece", ["1", "1,", "1 ", ",123", "{", "$", "\\text{", "a ", ".", "*", "-"]
)
def test_time_is_bounded(piece: str) -> None:
    start = time.perf_counter()
    parse_number((piece * 200)[:200])
    parse_number("1" + (piece * 200)[:199])
    assert time.perf_counter() - start < 0.5


def test_all_of_gsm8k_parses() -> None:
    folder = DATA / "gsm8k"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not on this machine")
    count = 0
    for file in ("train.jsonl", "test.jsonl"):
        for line in (folder / file).read_text(encoding="utf-8").splitlines():
            answer = json.loads(line)["answer"].rpartition("####")[2].strip()
            number = parse_number(answer)
            assert number is not None, answer
            assert number.value == int(answer.replace(",", ""))
            count += 1
    assert count == 8792


def test_labelled_cases_give_no_false_positive() -> None:
    from ponder.types import Problem, Verdict
    from ponder.verify.exact import verify_exact

    file = DATA / "grading" / "visible.jsonl"
    if not file.is_file():
        pytest.skip(f"{file} is not on this machine")
    missed = []
    for line in file.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        verdict = verify_exact(Problem("p", "q", case["gold"]), case["output"]).verdict
        assert case["expected"] or verdict is not Verdict.CORRECT, case
        if case["expected"] and parse_number(case["gold"]) and verdict is not Verdict.CORRECT:
            missed.append(case)
    assert missed == []  # every numeric reference's right answers are found
