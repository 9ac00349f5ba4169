"""Marked solutions taken apart, and problems of other numbers made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from ponder.problems.variations import Variation, variations
from ponder.problems.worked import evaluate, read_worked, with_marks, without_marks

DATA = Path(__file__).parents[3] / "shared" / "data" / "gsm8k" / "train.jsonl"
QUESTION = "Ann has 40 sweets in 5 bags, gives 9 to Bob, and eats half of the rest of a bag."
SOLUTION = "Each bag has 40/5 = <<40/5=8>>8 sweets.\nShe has 40-9 = <<40-9=31>>31 left."


def vary(question: str, solution: str, answer: str, count: int = 8) -> list[Variation]:
    return variations(question, solution, answer, count, Random(0))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("48/2", Fraction(24)),
        ("1,000*.25", Fraction(250)),
        ("-(3-5)", Fraction(2)),
        ("007+1", Fraction(8)),
        ("0.1+0.2", Fraction(3, 10)),
        ("1/0", None),
        ("2**9", None),
        ("7//2", None),
        ("x+1", None),
        ("(" * 150, None),
        ("", None),
    ],
)
def test_sums_are_exact_and_nothing_else_is_a_sum(text: str, value: Fraction | None) -> None:
    assert evaluate(text) == value


def test_a_solution_is_steps_and_a_rest() -> None:
    worked = read_worked(SOLUTION)
    assert worked is not None
    assert [(step.expression, step.result) for step in worked.steps] == [
        ("40/5", "8"),
        ("40-9", "31"),
    ]
    assert worked.rest == "31 left."
    assert read_worked("It is 2+2 = <<2+2=5>>5.") is None
    assert read_worked("It is <<nothing>>5.") is None


def test_without_marks_equations_stay() -> None:
    assert without_marks(SOLUTION + " \n") == (
        "Each bag has 40/5 = 8 sweets.\nShe has 40-9 = 31 left."
    )


CHAIN = "Ann has 5 bags of 14 sweets, gives 9 to Bob, and eats half of the rest of a bag."
CHAIN_SOLUTION = "She has 5*14 = <<5*14=70>>70 sweets.\nThen 70-9 = <<70-9=61>>61 are left."


def test_variations_are_calculated_anew() -> None:
    made = vary(CHAIN, CHAIN_SOLUTION, "61")
    assert len(made) == len({v.question for v in made}) == 8
    for variation in made:
        worked = read_worked(variation.solution)  # None if a result did not follow
        assert worked is not None
        assert worked.steps[-1].result == variation.answer
        bags, each, given = (int(n) for n in _digits(variation.question))
        assert str(bags * each - given) == variation.answer
        assert f"{bags * each}-{given} = <<" in variation.solution
        assert "half of the rest" in variation.question
    assert made == vary(CHAIN, CHAIN_SOLUTION, "61")


def test_a_step_that_leads_nowhere_leaves_a_doubt() -> None:
    assert vary(QUESTION, SOLUTION, "31") == []  # the 8 sweets of a bag are not used again
    grams = "4 dogs eat 250 grams each a day. How many kilograms is that in 14 days?"
    solution = (
        "4*250 = <<4*250=1000>>1000 grams.\n1.000 grams is 1 kilogram, 14*1 = <<14*1=14>>14 kg."
    )
    assert vary(grams, solution, "14") == []


def test_weekdays_are_five() -> None:
    asked = "A shop sells 10 cups an hour on weekdays and is open 5 hours. How many in a week?"
    solution = "10*5 = <<10*5=50>>50 a day.\nThat is 50*5 = <<50*5=250>>250."
    made = vary(asked, solution, "250")
    assert made
    assert all("open 5 hours" in variation.question for variation in made)


def _digits(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word.isdigit()]


@pytest.mark.parametrize(
    ("question", "solution", "answer"),
    [
        ("He has 6 cats and five dogs.", "6+4 = <<6+4=10>>10", "10"),  # 4 comes from nowhere
        ("He has 6 cats, six of them grey.", "6+1 = <<6+1=7>>7", "7"),  # the word would stay
        ("He saves 130% of it.", "130*2 = <<130*2=260>>260", "260"),
        ("He eats 3/4 of it.", "3*2 = <<3*2=6>>6", "6"),
        ("At 9:30 he eats 9 figs.", "9*2 = <<9*2=18>>18", "18"),
        ("He has 8 and 4.", "4*2 = <<4*2=8>>8\n8+1 = <<8+1=9>>9", "9"),  # which 8 is the 8?
        ("He has 8.", "8*2 = <<8*2=16>>16", "17"),  # the answer is not the last result
        ("He has 8.", "He has 8.", "8"),
        ("He has 8.", "So 17 cats.\n8*2 = <<8*2=16>>16", "16"),  # what is 17 now?
        ("He has 8.", "It is 16, for 8*2 = <<8*2=16>>16", "16"),  # the result before its step
    ],
)
def test_what_cannot_be_traced_is_left(question: str, solution: str, answer: str) -> None:
    assert vary(question, solution, answer) == []


def test_whole_results_stay_whole_and_positive() -> None:
    made = vary("He has 24 eggs, and 18 broke.", "24-18 = <<24-18=6>>6", "6", 20)
    assert made
    assert all(int(v.answer) > 0 for v in made)
    made = vary("Share 24 eggs after 18 broke.", "24-18 = <<24-18=6>>6\n6/3=<<6/3=2>>2", "2", 20)
    assert not made  # nobody says what 3 is
    made = vary("Share 24 eggs of 3 hens.", "24/3 = <<24/3=8>>8", "8", 20)
    assert made
    assert all(v.answer.isdigit() and v.answer != "0" for v in made)


@pytest.mark.parametrize(
    ("share", "of"),
    [("30/100", lambda n: n), ("0.3", lambda n: n), ("0.7", lambda n: 100 - n)],
)
def test_a_percentage_changes_with_its_shares(share: str, of: Callable[[int], int]) -> None:
    question, result = "He saves 30% of $200.", 200 * of(30) // 100
    made = vary(question, f"It is 200*{share} = $<<200*{share}={result}>>{result}", str(result))
    assert len({v.question.split()[2] for v in made}) > 1
    for variation in made:
        _, _, percentage, _, whole = variation.question.rstrip(".").split()
        assert int(variation.answer) * 100 == int(whole[1:]) * of(int(percentage[:-1]))


def test_an_equation_without_a_mark_is_a_step() -> None:
    assert with_marks("He has $3 x 5 = $15, 2+2 = 5, x = 3, 4*2 = <<4*2=8>>8.") == (
        "He has $3 x 5 = $<<3 * 5=15>>15, 2+2 = 5, x = 3, 4*2 = <<4*2=8>>8."
    )
    made = vary("He has 8 of 9 cats.", "8+9 = 17\n17*2 = <<17*2=34>>34", "34")
    assert made
    for variation in made:
        first, second = _digits(variation.question)
        assert int(variation.answer) == 2 * (int(first) + int(second))


def test_thousands_and_cents_are_written_as_before() -> None:
    made = vary("A car costs $1,500 and 4 tyres.", "1500*4 = $<<1500*4=6000>>6,000", "6,000")
    assert made
    assert all("$" in v.question and "," in v.solution for v in made)


@pytest.mark.skipif(not DATA.is_file(), reason="the data set is not here")
def test_real_solutions_vary() -> None:
    rows = [json.loads(line) for line in DATA.read_text().splitlines()[:300]]
    made = 0
    for row in rows:
        solution, _, answer = row["answer"].rpartition("####")
        for variation in vary(row["question"], solution.strip(), answer.strip(), 2):
            made += 1
            assert read_worked(variation.solution) is not None
    assert made > 250
