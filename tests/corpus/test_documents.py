"""Documents: deterministic, in the shares that the card states, and never of a held-out product."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

import pytest

from ponder.corpus import DocumentWriter, StyleShares
from ponder.corpus.documents import Thinker
from ponder.corpus.phrases import ENGLISH
from ponder.corpus.tasks import Product
from ponder.corpus.wrappers import WRAPPERS
from ponder.errors import PonderError
from ponder.problems.fingerprint import is_heldout
from ponder.text.parsing import parse_completion
from ponder.text.reflection import count_reflective_words
from ponder.text.templates import R1_ZERO_TEMPLATE

DOCUMENTS = [DocumentWriter(seed=7).document(index) for index in range(6000)]
WORKED = [document for document in DOCUMENTS if document.style != "table"]


def test_a_document_follows_from_seed_and_index() -> None:
    writer = DocumentWriter(seed=7)
    assert [writer.document(i) for i in (5, 3, 5)] == [DOCUMENTS[i] for i in (5, 3, 5)]
    assert DocumentWriter(seed=8).document(5) != DOCUMENTS[5]


def test_style_shares_are_the_configured_ones() -> None:
    shares = StyleShares()
    counts = Counter(document.style for document in WORKED)
    total = sum(shares.styles().values())
    for style, share in shares.styles().items():
        assert counts[style] / len(WORKED) == pytest.approx(share / total, abs=0.02)
    assert len(DOCUMENTS) - len(WORKED) == pytest.approx(6000 * shares.tables, abs=120)


def test_wrapper_shares_are_the_configured_ones() -> None:
    counts = Counter(document.wrapper for document in WORKED)
    for wrapper, (share, _) in WRAPPERS.items():
        assert counts[wrapper] / len(WORKED) == pytest.approx(share, abs=0.025)


def test_most_is_english_and_some_is_chinese() -> None:
    share = sum(document.is_chinese for document in WORKED) / len(WORKED)
    assert 0.10 < share < 0.25
    for document in WORKED:
        if document.is_chinese and document.wrapper == "chinese":
            assert re.search(r"[\u3000-\u9fff\uff00-\uffef]", document.text)


def test_first_tries_are_often_wrong_and_checked_work_is_nearly_always_right() -> None:
    def right(style: str) -> float:
        chosen = [document.is_correct for document in WORKED if document.style == style]
        return sum(chosen) / len(chosen)

    assert 0.5 < right("direct") < 0.7
    assert right("checked") > 0.97


def test_reflective_words_are_a_habit_of_checking_and_nothing_else() -> None:
    for document in WORKED:
        if document.is_chinese or document.wrapper == "r1_zero":
            continue
        thought = document.text.replace("Evaluate:", "")
        reflects = count_reflective_words(thought) > 0
        assert reflects == (document.style in ("checked", "double", "cosmetic")), document


def test_the_template_is_verbatim_and_its_format_is_kept_in_some_documents_only() -> None:
    head = R1_ZERO_TEMPLATE.split("{question}")[0]
    zero = [document.text for document in WORKED if document.wrapper == "r1_zero"]
    assert all(text.startswith(head) for text in zero)
    completions = [text.split(" Assistant:")[-1] for text in zero]
    kept = sum(parse_completion(text).has_format for text in completions) / len(completions)
    assert 0.5 < kept < 0.7


def test_held_out_products_never_appear() -> None:
    writer = DocumentWriter(seed=1, excluded=is_heldout)
    pattern = (
        "Solve the following multiplication: {} * {}. Give only the result as your final answer."
    )
    found = 0
    for index in range(4000):
        document = writer.document(index)
        if document.task != "product":
            continue
        for a, b in re.findall(r"(\d+) \* (\d+)[.?。 ]", document.text):
            found += 1
            assert not is_heldout(pattern.format(a, b))
            assert not is_heldout(pattern.format(b, a))
    assert found > 1000


def thorough_thoughts() -> list[str]:
    shares = StyleShares(thorough=1.0, far=1.0, first_check_slip_rate=0.1)
    thinker = Thinker(Random(4), ENGLISH, shares)
    return [thinker.thorough(Product(31415, 27182))[0] for _ in range(200)]


def test_thorough_work_checks_until_two_results_agree_and_turns_the_factors_round() -> None:
    ways = Counter()
    for thought in thorough_thoughts():
        works = re.findall(r"(?:31415\*20000|27182\*30000)=", thought)
        ways[len(works)] += 1
        assert works[:2] == ["31415*20000=", "27182*30000="]
        assert len(works) < 3 or works[2] == works[0]
    assert ways.keys() == {2, 3}
    assert ways[3] > 40


def test_far_guesses_share_the_ends_of_the_answer_only() -> None:
    answer = 31415 * 27182
    for thought in thorough_thoughts():
        guess = re.findall(r"\d+", thought.split(ENGLISH.check[0])[0])
        found = next(number for number in guess if len(number) == len(str(answer)))
        assert found != str(answer)
        assert (found[:2], found[-1]) == (str(answer)[:2], str(answer)[-1])


def test_products_have_the_sizes_asked_for() -> None:
    writer = DocumentWriter(seed=3, sizes={(5, 4): 1.0})
    for index in range(300):
        document = writer.document(index)
        if document.task == "product" and (found := re.search(r"(\d+) \* (\d+)", document.text)):
            assert (len(found[1]), len(found[2])) == (5, 4)


def test_unknown_share_names_the_field() -> None:
    with pytest.raises(PonderError, match=r"corpus\.styles\.sloppy"):
        StyleShares.from_mapping({"sloppy": 0.5})
    assert StyleShares.from_mapping({"direct": 0.1}).direct == 0.1
