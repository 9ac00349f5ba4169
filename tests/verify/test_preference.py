"""A reward model as a verifier: scores, batches, and a preference that it has learnt."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
import torch

from ponder.config.reward_model import RewardModelConfig
from ponder.config.rl import RewardConfig
from ponder.curate.preferences import Pair, write_preferences
from ponder.models.reward import RewardFacts, RewardModel, open_reward_model
from ponder.models.tiny import make_tiny_model
from ponder.runlog import RunFolder
from ponder.train.reward.loop import train_reward_model
from ponder.types import Completion, Problem, Verdict
from ponder.verify.preference import Preference
from ponder.verify.rewards import RewardLimits, Scored, reward_parts, total

FACTS = RewardFacts("pairwise", "answer", mean=0.0, std=1.0)
PROBLEM = Problem("p", "Say it.", "", "preference")


def preference(facts: RewardFacts = FACTS, **settings: int) -> Preference:
    base, tokenizer = make_tiny_model(0)
    model = RewardModel(base.base_model, facts)
    return Preference(model, tokenizer, lambda problem: f"U: {problem.question}\nA: ", **settings)


def test_scores_do_not_depend_on_what_else_is_scored() -> None:
    other = Problem("q", "Another one.", "")
    items = [(PROBLEM, "one"), (other, "one"), (PROBLEM, "two and more"), (PROBLEM, "one")]
    alone = [preference()(*item).score for item in items]
    for tokens in (1, 60, 10_000):
        together = [j.score for j in preference(microbatch_tokens=tokens).judge_many(items)]
        assert together == pytest.approx(alone, rel=1e-5)
    assert alone[0] == pytest.approx(alone[3])
    assert len({round(s, 5) for s in alone if s is not None}) == 3


def test_the_score_is_the_normalised_one_and_decides_the_verdict() -> None:
    raw = preference().scores([("U: Say it.\nA: ", "one")])[0]
    above = preference(RewardFacts("pairwise", "answer", mean=raw - 1, std=2.0))
    below = preference(RewardFacts("pairwise", "answer", mean=raw + 1, std=2.0))
    judged = above(PROBLEM, "one")
    assert judged.score == pytest.approx(1 / (1 + math.exp(-0.5)), rel=1e-5)
    assert (judged.verdict, judged.answer) == (Verdict.CORRECT, "one")
    assert below(PROBLEM, "one").verdict is Verdict.INCORRECT
    safe = preference(RewardFacts("pointwise", "whole"))
    [logit] = safe.scores([("U: Say it.\nA: ", "one")])
    assert safe(PROBLEM, "one").score == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-5)


def test_an_unfinished_thought_scores_nothing() -> None:
    judged = preference()(PROBLEM, "<think> a very nice answer will come")
    assert (judged.verdict, judged.score) == (Verdict.UNPARSABLE, 0.0)
    whole = preference(RewardFacts("pointwise", "whole"))
    assert whole(PROBLEM, "<think> on and on").verdict is not Verdict.UNPARSABLE


def test_a_broken_model_is_our_error() -> None:
    broken = preference()
    with torch.no_grad():
        broken._model.head.bias.fill_(math.nan)
    assert broken(PROBLEM, "one").verdict is Verdict.ERROR


def test_submitted_ones_are_scored_when_asked_for() -> None:
    judge = preference()
    waiting = [judge.submit(PROBLEM, text) for text in ("one", "two", "<think>")]
    assert all(deferred.judgement is None for deferred in waiting)
    first = waiting[0].result()
    assert all(deferred.judgement is not None for deferred in waiting)
    assert first.score == pytest.approx(judge(PROBLEM, "one").score)


def test_the_reward_part_score_takes_it_as_it_is() -> None:
    config = RewardConfig(accuracy=0, format=0, score=2.0)
    judged = preference()(PROBLEM, "one")
    completion = Completion("p", 0, [1], "one", [0.0], "stop")
    about = Scored(PROBLEM, completion, judged, config, RewardLimits(10), (0, "p", 0), "one")
    assert judged.score is not None
    assert total(reward_parts(about), config) == pytest.approx(2 * judged.score)


def test_answers_with_a_number_are_preferred_after_training_and_not_before(tmp_path: Path) -> None:
    """From pairs on disk to verdicts: held-out completions are ranked by what was preferred."""
    draw = random.Random(5)
    words = ["about", "some", "of", "the", "many", "things", "here", "now", "then"]

    def answer(has_number: bool) -> str:
        text = draw.choices(words, k=draw.randint(2, 5))
        extra = str(draw.randrange(10, 100)) if has_number else draw.choice(words)
        text.insert(draw.randrange(len(text) + 1), extra)
        thought = f"<think> {draw.choice(words)} {draw.randrange(100)} </think>"
        return f"{thought} {' '.join(text)}"

    pairs = [Pair(f"{i}?", answer(True), answer(False)) for i in range(1000)]
    write_preferences(tmp_path / "pairs.jsonl", pairs)
    base, tokenizer = make_tiny_model(0, words=[f" {w}" for w in words], init_std=0.1)
    base.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    config = RewardModelConfig.model_validate(
        {
            "model": str(tmp_path / "base"),
            "device": "cpu",
            "batch_size": 32,
            "data": {"path": tmp_path / "pairs.jsonl"},
            "optimizer": {"learning_rate": 3e-3},
        }
    )
    summary = train_reward_model(config, RunFolder.create(tmp_path / "run", ""))
    model, tokenizer = open_reward_model(summary.model_path, "cpu")
    trained = Preference(model, tokenizer, lambda problem: problem.question)
    fresh = RewardModel(base.base_model, FACTS)
    untrained = Preference(fresh, tokenizer, lambda problem: problem.question)

    def accuracy(judge: Preference) -> float:
        draw.seed(6)
        asked = [(Problem(f"h{i}", f"{i} now?", ""), answer(i % 2 == 0)) for i in range(400)]
        scores = [judgement.score or 0.0 for judgement in judge.judge_many(asked)]
        return sum(a > b for a, b in zip(scores[::2], scores[1::2], strict=True)) / 200

    assert accuracy(trained) > 0.9
    assert 0.2 < accuracy(untrained) < 0.8
    verdicts = [trained(PROBLEM, answer(True)).verdict for _ in range(20)]
    assert verdicts.count(Verdict.CORRECT) > 15
