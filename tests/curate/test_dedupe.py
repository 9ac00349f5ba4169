"""Exact and near duplicates: found, and nothing else; the same however the stream is divided."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from ponder.curate.dedupe import Dedupe, DedupeMark, NearDuplicates, exact_hash
from ponder.curate.minhash import SIZE, resemblance, signatures
from ponder.curate.row import Row
from ponder.curate.tables import HashSet
from ponder.curate.tokens import ngrams, tokenize, whole_hashes
from ponder.errors import PonderError

WORDS = [f"w{i}" for i in range(5000)]


def text(chance: random.Random, num_words: int = 200) -> str:
    return " ".join(chance.choices(WORDS, k=num_words))


def changed(chance: random.Random, text: str, count: int) -> str:
    words = text.split()
    for place in chance.sample(range(len(words)), count):
        words[place] = chance.choice(WORDS)
    return " ".join(words)


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def test_words_and_ngrams_by_hand() -> None:
    tokens = tokenize(["The CAT, the cat!", "", "x_2 = 第3章 ｔｈｅ", "the cat"])
    words = [tokens.text(i, 1) for i in range(len(tokens.hashes))]
    assert words == ["the", "cat", "the", "cat", "x", "2", "第", "3", "章", "the", "the", "cat"]
    assert tokens.rows.tolist() == [0, 4, 4, 10, 12]
    assert tokens.hashes[0] == tokens.hashes[9] != tokens.hashes[1]
    grams, begins = ngrams(tokens, 2)
    assert begins.tolist() == [0, 3, 3, 8, 9]
    assert grams[0] == grams[2] == grams[8]
    assert len(set(grams.tolist())) == 7
    assert tokens.text(6, 3) == "第3章"
    whole = whole_hashes(tokens)
    assert whole[1] == 0
    assert len(set(whole.tolist())) == 4


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 10, 13])
def test_ngrams_are_equal_where_their_words_are(n: int) -> None:
    chance = random.Random(n)
    texts = [" ".join(chance.choices("ab", k=chance.randint(0, 30))) for _ in range(40)]
    grams, begins = ngrams(tokenize(texts), n)
    expected = [
        tuple(words[i : i + n])
        for words in (text.split() for text in texts)
        for i in range(len(words) - n + 1)
    ]
    assert begins[-1] == len(grams) == len(expected)
    names: dict[tuple[str, ...], int] = {}
    for words, gram in zip(expected, grams.tolist(), strict=True):
        assert names.setdefault(words, gram) == gram
    assert len(set(names.values())) == len(names)


def test_a_signature_estimates_the_share_of_common_shingles() -> None:
    chance = random.Random(0)
    errors = []
    for number in range(300):
        left = text(chance)
        right = changed(chance, left, number % 40)
        found = signatures(tokenize([left, right]))
        both, one = shingles(left) & shingles(right), shingles(left) | shingles(right)
        errors.append(float(resemblance(found[0], found[1])) - len(both) / len(one))
    assert abs(float(np.mean(errors))) < 0.01
    assert float(np.std(errors)) < 0.06


def test_a_hash_set_knows_what_it_has_seen() -> None:
    chance = np.random.default_rng(0)
    seen: set[int] = set()
    hashes = HashSet()
    for _ in range(60):
        batch = chance.integers(0, 30_000, 1000, dtype=np.uint64)
        expected = []
        for value in np.maximum(batch, 1).tolist():
            expected.append(value not in seen)
            seen.add(value)
        assert hashes.add(batch).tolist() == expected
    assert hashes.num_hashes == len(seen)


def test_exact_duplicates_differ_in_case_and_blanks_only() -> None:
    row = Row("a", "p", "The answer  is ４", metadata={"question": "q"})
    same = Row("b", "another template", "the ANSWER\nis 4 ", metadata={"question": "q"})
    assert exact_hash(row) == exact_hash(same)
    assert exact_hash(row) != exact_hash(Row("a", "p", "the answer is 4", metadata={}))


def planted(count: int) -> tuple[list[str], list[bool]]:
    """Texts of which every tenth nearly repeats an earlier one (a word in a hundred changed), and
    every tenth is like one in part (a word in ten changed, so 40 % of its shingles)."""
    chance = random.Random(1)
    texts, is_first = [], []
    for number in range(count):
        changes = {3: 2, 7: 20}.get(number % 10, 0) if number > 20 else 0
        firsts = [text for text, is_one in zip(texts, is_first, strict=True) if is_one]
        texts.append(changed(chance, chance.choice(firsts), changes) if changes else text(chance))
        is_first.append(changes != 2)
    return texts, is_first


def test_near_duplicates_are_found_and_half_alike_texts_are_kept() -> None:
    texts, is_first = planted(2000)
    near = NearDuplicates(0.8)
    found = signatures(tokenize(texts))
    kept = np.concatenate([near.keep(found[start : start + 300]) for start in range(0, 2000, 300)])
    missed = int((kept & ~np.array(is_first)).sum())
    wrong = int((~kept & np.array(is_first)).sum())
    assert missed <= 4, "of 198"
    assert wrong <= 2


def test_the_division_into_batches_makes_no_difference() -> None:
    chance = random.Random(3)
    common = text(chance, 120)  # a template: every text is like every other to 60 %
    texts = [f"{common} {text(chance, 40)}" for _ in range(600)]
    texts += [changed(chance, chance.choice(texts), chance.randint(0, 30)) for _ in range(600)]
    found = signatures(tokenize(texts))
    answers = []
    for size in (1, 7, 400, 1200):
        near = NearDuplicates(0.8)
        answers.append(
            np.concatenate([near.keep(found[i : i + size]) for i in range(0, 1200, size)])
        )
    assert 100 < answers[0].sum() < 1200
    for other in answers[1:]:
        assert (answers[0] == other).all()


def test_the_state_goes_on_from_a_mark(tmp_path: Path) -> None:
    texts, _ = planted(900)
    found = signatures(tokenize(texts))
    hashes = np.arange(900, dtype=np.uint64) % 700 + 5
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    one = Dedupe(whole, 0.8)
    slices = [slice(start, start + 90) for start in range(0, 900, 90)]
    expected = [(one.keep_exact(hashes[part]), one.keep_near(found[part])) for part in slices]
    mark = DedupeMark()
    for part, (exact, near) in zip(slices, expected, strict=True):
        state = Dedupe(parts, 0.8, mark)
        assert (state.keep_exact(hashes[part]) == exact).all()
        assert (state.keep_near(found[part]) == near).all()
        mark = state.sync()
        state.keep_near(found[:50])  # after the mark: lost with the process
        state.close()
    (parts / "near.bin").write_bytes(b"x" * SIZE)
    with pytest.raises(PonderError, match="shorter than the state says"):
        Dedupe(parts, 0.8, mark)
