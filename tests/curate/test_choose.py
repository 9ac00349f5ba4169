"""Of the samples of a problem: correct, readable, then by the rule."""

from __future__ import annotations

import pytest

from ponder.config.curate import ChooseConfig, FilterConfig
from ponder.curate.choose import Candidate, candidates_of, choose
from ponder.curate.row import Row
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Verdict

FILTERS = FilterConfig(format="any")
TEXTS = [
    "we add three and four and so we get seven at the end of it",
    "we add three and four and so we get seven at the end of it all",
    "count on from three four five six seven done",
    "seven minus four is three therefore the sum must be seven as wanted here now",
]


def candidates(verdicts: str = "cccc") -> list[Candidate]:
    names = {"c": Verdict.CORRECT, "i": Verdict.INCORRECT, "e": Verdict.ERROR}
    return [
        Candidate(Row(f"p/{n}", "3 + 4?", text), names[verdict], len(text.split()))
        for n, (text, verdict) in enumerate(zip(TEXTS, verdicts, strict=True))
    ]


def ids(rule: str, at_most: int, verdicts: str = "cccc", seed: int = 0) -> list[str]:
    config = ChooseConfig.model_validate({"rule": rule, "at_most": at_most})
    return [row.id for row in choose(candidates(verdicts), config, FILTERS, seed).rows]


def test_rules() -> None:
    assert ids("shortest", 1) == ["p/2"]
    assert ids("shortest", 2) == ["p/2", "p/0"]
    assert ids("all", 3) == ["p/0", "p/1", "p/2"]
    assert ids("all", 9) == ["p/0", "p/1", "p/2", "p/3"]
    assert ids("diverse", 1) == ["p/2"]
    assert set(ids("diverse", 3)) in ({"p/2", "p/3", "p/0"}, {"p/2", "p/3", "p/1"})
    assert len(set(ids("diverse", 9))) == 4
    assert ids("random", 2) == ids("random", 2)
    assert len({tuple(ids("random", 1, seed=seed)) for seed in range(40)}) == 4


@pytest.mark.parametrize("rule", ["shortest", "diverse", "random", "all"])
def test_only_correct_ones_and_none_is_an_answer(rule: str) -> None:
    assert ids(rule, 4, "iice") == ["p/2"]
    assert ids(rule, 4, "iiie") == []


def test_what_was_dropped_is_counted() -> None:
    config = ChooseConfig(rule="all", at_most=1)
    strict = FilterConfig(format="any", max_characters=60)
    assert choose(candidates("ciec"), config, FILTERS).dropped == {
        "error": 1,
        "incorrect": 1,
        "not chosen": 1,
    }
    assert choose(candidates("cccc"), config, strict).dropped == {"not chosen": 1, "too long": 2}


def test_candidates_of_a_group() -> None:
    completion = Completion("p", 3, [1, 2], "<think> a </think> 7", [-1.0, -1.0], "length")
    rollout = Rollout(completion, Judgement(Verdict.CORRECT), {}, 1.0)
    group = Group(Problem("p", "3 + 4?", "7"), Prompt("p", "User: 3 + 4?", ()), [rollout])
    (one,) = candidates_of(group, "math", "made")
    assert (one.row.id, one.row.prompt, one.row.question) == ("p/3", "User: 3 + 4?", "3 + 4?")
    assert (one.num_tokens, one.verdict) == (2, Verdict.CORRECT)
    assert choose([one], ChooseConfig(), FilterConfig()).dropped == {"cut off": 1}
