"""The countdown corpus: true equations, honest comparisons, moves without a policy."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from ponder.config.pretrain import CountdownConfig
from ponder.corpus import SearchShares, SearchWriter
from ponder.errors import PonderError
from ponder.problems.gym import GymSource
from ponder.text.reflection import count_reflective_words

DOCUMENTS = [SearchWriter(seed=7).document(index) for index in range(6000)]
WORKED = [document for document in DOCUMENTS if document.task == "countdown"]
EQUATION = re.compile(r"(?<![\d)*/+-])(-?\d+)([-+*/])(\d+)=(-?\d+)")
ASKED = re.compile(r"equals (\d+)|make (\d+) |Make (\d+) |Calculate (\d+) |Reach (\d+) ")


def test_a_document_follows_from_seed_and_index() -> None:
    writer = SearchWriter(seed=7)
    assert [writer.document(i) for i in (5, 3, 5)] == [DOCUMENTS[i] for i in (5, 3, 5)]
    assert SearchWriter(seed=8).document(5) != DOCUMENTS[5]


def test_shares_are_the_configured_ones() -> None:
    shares = SearchShares()
    counts = Counter(document.style for document in WORKED)
    total = sum(shares.styles().values())
    for style, share in shares.styles().items():
        assert counts[style] / len(WORKED) == pytest.approx(share / total, abs=0.025)
    kept = 1 - shares.tables - shares.arithmetic
    assert len(WORKED) / len(DOCUMENTS) == pytest.approx(kept, abs=0.02)


def test_every_equation_is_true() -> None:
    found = 0
    for document in WORKED:
        for a, operator, b, c in EQUATION.findall(document.text):
            left, right = int(a), int(b)
            value = {"+": left + right, "-": left - right, "*": left * right}.get(operator)
            assert (left == int(c) * right) if operator == "/" else (value == int(c))
            found += 1
    assert found > 8000


def test_reflective_words_stand_where_work_is_compared_and_nowhere_else() -> None:
    for document in WORKED:
        if document.is_chinese or document.wrapper == "r1_zero":
            continue
        words = count_reflective_words(document.text)
        if document.style in ("guess", "steps"):
            assert words == 0, document
        elif document.style != "search" or not document.is_correct:  # every miss is called one
            assert words > 0, document


def test_a_try_is_called_wrong_where_it_is_and_nowhere_else() -> None:
    found = 0
    verdict = r": (wrong|no|an error|but|good|yes|right|that)"
    pattern = re.compile(r"=(-?\d+)\. (?:[A-Z][a-zA-Z, :]+)?(?:-?\d+-)?(\d+)[^:.]*" + verdict)
    for document in DOCUMENTS:
        for value, target, verdict in pattern.findall(document.text):
            assert (value == target) == (verdict in ("good", "yes", "right", "that")), document
            found += 1
        asked = ASKED.search(document.text)
        for target in re.findall(r"(?:need|Target) (\d+): ", document.text):
            assert asked is None or target in asked.groups()
    assert found > 500


def test_few_go_on_and_one_try_is_right_as_often_as_asked() -> None:
    shares = SearchShares()
    long = [d for d in WORKED if count_reflective_words(d.text) >= 6 and d.wrapper != "r1_zero"]
    assert 0 < len(long) / len(WORKED) < 0.03
    for style, rate in (("guess", shares.guess_right_rate), ("steps", shares.steps_right_rate)):
        chosen = [document.is_correct for document in WORKED if document.style == style]
        assert sum(chosen) / len(chosen) == pytest.approx(rate, abs=0.04)


def test_questions_are_asked_as_reasoning_gym_asks_them() -> None:
    settings = {"min_numbers": 3, "max_numbers": 3, "max_value": 50,
                "min_target": 10, "max_target": 100}  # fmt: skip
    source = GymSource("countdown", settings, 0, 100)
    shapes = {re.sub(r"\d+", "0", source[i].question) for i in range(20)}
    written = "\n".join(re.sub(r"\d+", "0", document.text) for document in WORKED)
    assert len(shapes) == 3
    for shape in shapes:
        assert shape in written


def test_a_patient_writer_comes_to_an_end_where_there_are_few_chains() -> None:
    shares = SearchShares(search=1, patient=1, patient_right_rate=0, patient_goes_on=1, tables=0)
    config = CountdownConfig(min_numbers=2, max_numbers=2, max_value=2, min_target=1, max_target=4)
    writer = SearchWriter(config=config, shares=shares)
    assert all(writer.document(index).text for index in range(300))


def test_settings_of_the_config_are_kept() -> None:
    config = CountdownConfig(min_numbers=3, max_numbers=3, max_value=9, max_target=20)
    writer = SearchWriter(config=config, shares=SearchShares(tables=0, arithmetic=0))
    for index in range(200):
        text = writer.document(index).text
        asked = re.search(r"(\d+, \d+, \d+)", text)
        if asked:
            assert all(int(number) <= 9 for number in asked[1].split(", ")), text


def test_unknown_share_names_the_field() -> None:
    with pytest.raises(PonderError, match=r"corpus\.styles\.sloppy"):
        SearchShares.from_mapping({"sloppy": 0.5})
    shares = SearchShares.from_mapping({"search": 0.2, "most_tries": 8.0})
    assert (shares.search, shares.most_tries) == (0.2, 8)
