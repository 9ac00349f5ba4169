"""Preference pairs: a judge's love of a position or of length must not survive."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ponder.curate.pairs import (
    Candidate,
    PairCounts,
    PairJudge,
    PairSettings,
    balance_lengths,
    build_pairs,
    candidates_of,
    longer_chosen,
    read_verdict,
)
from ponder.curate.preferences import Pair, read_pairs, write_preferences
from ponder.errors import PonderError
from ponder.generate.scripted import ScriptedGenerator
from ponder.models.tiny import byte_level_tokenizer
from ponder.text.asking import as_message
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Sampling, Verdict

SAMPLING = Sampling(temperature=1.0, max_completion_tokens=2000)
Opinion = Callable[[str, str, random.Random], float]
"""(A, B, chance) -> points for A."""


def judge_with(opinion: Opinion, **settings: object) -> PairJudge:
    def script(prompt: Prompt, index: int, seed: int) -> str:
        fence = re.search(r"\[\[([0-9a-f]{16})\n", prompt.text)
        assert fence
        parts = re.findall(rf"\[\[{fence[1]}\n\| (.*?)\n{fence[1]}\]\]", prompt.text, re.DOTALL)
        points = opinion(parts[1], parts[2], random.Random(f"{prompt.problem_id} {index}"))
        return f"My own answer.\n{verdict(points)}"

    generator = ScriptedGenerator(script, byte_level_tokenizer())
    return PairJudge(generator, as_message, SAMPLING, PairSettings(**settings))  # type: ignore[arg-type]


def verdict(points: float) -> str:
    words = {2: "A>>B", 1: "A>B", 0: "A=B", -1: "B>A", -2: "B>>A"}
    return f'{{"verdict": "{words[max(-2, min(2, round(points)))]}", "reason": "r"}}'


def quality(text: str) -> float:
    return text.count("good") - text.count("bad")


def candidates(count: int, seed: int = 0) -> list[Candidate]:
    """Answers that are good or bad, and of any length, independently."""
    draw = random.Random(seed)

    def text() -> str:
        return f"{draw.choice(['good', 'bad'])} {'word ' * draw.randint(1, 30)}".strip()

    return [Candidate(f"c{i}", "Q?", f"prompt {i}", text(), text()) for i in range(count)]


def test_an_honest_judge_keeps_clear_pairs_with_the_better_one_chosen() -> None:
    counts = PairCounts()
    honest = judge_with(lambda a, b, chance: quality(a) - quality(b))
    pairs = build_pairs(candidates(300), honest, counts)
    assert len(pairs) > 60
    assert all("good" in p.chosen and "bad" in p.rejected and p.margin == 2 for p in pairs)
    assert counts.candidates == 300
    assert counts.kept + counts.unbalanced + counts.small_margin == 300
    assert counts.small_margin > 100  # both good or both bad


def test_a_judge_that_only_sees_the_position_leaves_nothing() -> None:
    counts = PairCounts()
    assert not build_pairs(candidates(100), judge_with(lambda a, b, chance: 2), counts)
    assert counts.small_margin == 100


def test_a_position_bias_beside_an_opinion_does_not_survive() -> None:
    """A's bonus decides between equals, in either order: they must go."""
    biased = judge_with(lambda a, b, chance: quality(a) - quality(b) + 1)
    asked = candidates(400)
    pairs = build_pairs(asked, biased)
    assert all("good" in p.chosen and "bad" in p.rejected for p in pairs)
    first = {c.prompt: c.first for c in asked}
    share = sum(first[p.prompt] == p.chosen for p in pairs) / len(pairs)
    assert 0.35 < share < 0.65
    equals = [c for c in asked if quality(c.first) == quality(c.second)]
    assert len(equals) > 100
    assert set(biased.margins(equals)) == {0.0}


def test_a_length_bias_does_not_survive() -> None:
    counts = PairCounts()
    love_of_length = judge_with(
        lambda a, b, chance: quality(a) - quality(b) or (2 if len(a) > len(b) else -2)
    )
    pairs = build_pairs(candidates(3000), love_of_length, counts)
    assert counts.extra["longer_chosen_before"] > 0.7
    assert len(pairs) > 100
    assert counts.extra["longer_chosen"] == longer_chosen(pairs) == pytest.approx(0.5, abs=0.02)
    longer = [len(p.chosen) / len(p.rejected) for p in pairs]
    for low, high in ((1.0, 1.5), (1.5, 3.0), (3.0, 30.0)):
        up = sum(low < ratio <= high for ratio in longer)
        down = sum(low < 1 / ratio <= high for ratio in longer)
        assert abs(up - down) <= 0.1 * (up + down) + 3


def test_a_judge_that_only_sees_length_leaves_next_to_nothing() -> None:
    pairs = build_pairs(
        candidates(500), judge_with(lambda a, b, chance: 2 if len(a) > len(b) else -2)
    )
    assert all(len(p.chosen) == len(p.rejected) for p in pairs)


def test_margins_are_means_over_both_orders_and_must_be_above_the_threshold() -> None:
    points = iter([2, 1, -1, -1])  # two votes for (first, second), then two for (second, first)
    judge = judge_with(lambda a, b, chance: next(points))
    one = Candidate("c", "Q", "p", "x", "y")
    assert judge.margins([one]) == [(1.5 + 1) / 2]
    kept = build_pairs([one], judge_with(lambda a, b, c: 1 if a == "x" else -1))
    assert kept == []  # exactly 1 is not above 1
    lower = judge_with(lambda a, b, c: 1 if a == "x" else -1, least_margin=0.9, votes=2)
    assert build_pairs([one], lower) == [Pair("p", "x", "y", 1.0)]


def test_an_unreadable_vote_does_not_tip_the_orders() -> None:
    def script(prompt: Prompt, index: int, seed: int) -> str:
        return "no JSON" if prompt.problem_id.endswith("ab") and index == 0 else verdict(2)

    always_a = ScriptedGenerator(script, byte_level_tokenizer())
    judge = PairJudge(always_a, as_message, SAMPLING)
    assert judge.margins([Candidate("c", "Q", "p", "x", "y")]) == [0.0]
    silent = ScriptedGenerator(lambda p, i, s: "A is better", byte_level_tokenizer())
    counts = PairCounts()
    assert (
        build_pairs(
            [Candidate("c", "Q", "p", "x", "y")], PairJudge(silent, as_message, SAMPLING), counts
        )
        == []
    )
    assert counts.unjudged == 1


@pytest.mark.parametrize(
    ("text", "points"),
    [
        (f"I would say 5.\n{verdict(2)}", 2.0),
        (f"<think> {verdict(2)} </think>\n{verdict(-1)}\n", -1.0),
        (f"{verdict(2)}\nThat is all.", None),
        (f"Verdict: {verdict(2)}", None),
        ('{"verdict": "A", "reason": ""}', None),
        ('{"verdict": "A>B"}', None),
        ("", None),
    ],
)
def test_a_verdict_is_the_last_line_and_nothing_else(text: str, points: float | None) -> None:
    assert read_verdict(text) == points


def test_only_final_answers_are_compared_and_unfinished_ones_are_counted() -> None:
    seen: list[str] = []

    def watch(a: str, b: str, chance: random.Random) -> float:
        seen.extend((a, b))
        return 0

    counts = PairCounts()
    thought = Candidate("c", "Q", "p", "<think> t </think> x", "<answer> y </answer>")
    cut = Candidate("d", "Q", "p <think>", "still thinking", "done </think> z")
    build_pairs([thought, cut], judge_with(watch, votes=2), counts)
    assert seen == ["x", "y", "y", "x"]
    assert counts.without_answer == 1


def test_balancing_keeps_equal_lengths_and_the_larger_margins() -> None:
    longer = [Pair(f"p{i}", "aaaa", "bb", margin) for i, margin in enumerate((1.25, 2.0, 1.5))]
    shorter = [Pair("q", "aa", "bbbb", 1.25)]
    equal = [Pair("r", "aa", "bb", 1.25)] * 3
    kept = balance_lengths([*longer, *shorter, *equal], PairSettings())
    assert kept == [longer[1], *shorter, *equal]


def test_an_odd_number_of_votes_is_refused() -> None:
    with pytest.raises(PonderError, match="swapped"):
        judge_with(lambda a, b, c: 0, votes=3)


def test_pairs_survive_their_file(tmp_path: Path) -> None:
    pairs = [Pair("p", "ü\n", "b\u2028", 1.25), Pair("p", "x", "y")]
    assert write_preferences(tmp_path / "p.jsonl", pairs) == 2
    assert list(read_pairs(tmp_path / "p.jsonl")) == pairs


@pytest.mark.parametrize("margin", ["NaN", "true", "-1", '"1"'])
def test_a_margin_is_a_number(tmp_path: Path, margin: str) -> None:
    line = f'{{"prompt": "p", "chosen": "a", "rejected": "b", "margin": {margin}}}\n'
    (tmp_path / "p.jsonl").write_text(line)
    with pytest.raises(PonderError, match=r"p\.jsonl:1"):
        list(read_pairs(tmp_path / "p.jsonl"))


def test_candidates_come_from_groups_each_completion_once() -> None:
    def rollout(index: int, text: str, finish: str = "stop") -> Rollout:
        completion = Completion("g", index, [1], text, [0.0], finish)  # type: ignore[arg-type]
        return Rollout(completion, Judgement(Verdict.CORRECT), {}, 1.0)

    rollouts = [rollout(i, f"t{i}") for i in range(6)] + [rollout(9, "cut", "length")]
    group = Group(Problem("g", "Q?", ""), Prompt("g", "P", ()), rollouts)
    made = list(candidates_of([group], per_prompt=3))
    texts = [text for c in made for text in (c.first, c.second)]
    assert sorted(texts) == [f"t{i}" for i in range(6)]
    assert len(list(candidates_of([group]))) == 1
    same = Group(group.problem, group.prompt, [rollout(0, "x"), rollout(1, "x")])
    assert not list(candidates_of([same]))
