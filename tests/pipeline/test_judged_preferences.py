"""Preferences whose judge is a model at an endpoint: asked in both orders, and once only."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.generate.endpoint_server import completion, refusal, serving
from tests.pipeline.judging import Told, context_of

from ponder.config.preferences import JudgeConfig, PreferencesConfig
from ponder.curate.preferences import read_labelled, read_pairs
from ponder.errors import PonderError
from ponder.pipeline.stages.preferences import PREFERENCES
from ponder.text.final import final_answer


def settings(url: str, **more: Any) -> PreferencesConfig:
    base: dict[str, Any] = {
        "device": "cpu",
        "threads": 1,
        "problems": {"task": "products"},
        "sampling": {"max_completion_tokens": 96},
        "num_prompts": 24,
        "chunk_prompts": 12,
        "judge": {
            "by": "endpoint",
            "endpoint": {"url": url, "model": "wise", "attempts": 1, "backoff_seconds": 0},
        },
    }
    return PreferencesConfig.model_validate(base | more)


def shown(body: dict[str, Any]) -> list[str]:
    """The fenced texts of a request."""
    text = body["messages"][-1]["content"]
    fence = re.search(r"\[\[([0-9a-f]{16})\n", text)
    assert fence
    parts = re.findall(rf"\[\[{fence[1]}\n(.*?)\n{fence[1]}\]\]", text, re.DOTALL)
    return ["\n".join(line[2:] for line in part.splitlines()) for part in parts]


def prefers_even(body: dict[str, Any], number: int) -> Any:
    """Even answers; where both are alike, whichever stands first (a bias, which must not count)."""
    _, a, b = shown(body)
    points = (a[-1:] in "02468") - (b[-1:] in "02468")
    verdict = {1: "A>>B", 0: "A>>B", -1: "B>>A"}[points]
    return completion(json.dumps({"verdict": verdict, "reason": "r"}))


def test_pairs_by_an_endpoint_in_both_orders(tmp_path: Path) -> None:
    with serving(prefers_even) as seen:
        context = context_of(tmp_path / "stage", settings(seen.url))
        PREFERENCES.run(context)
        asked = len(seen.bodies)
        card = json.loads((context.folder / "card.json").read_text())
        judged = card["asked"] - card["without_answer"]
        assert asked == 4 * judged
        assert card["small_margin"] > 0, "the bias to the first is gone where both are alike"
        pairs = list(read_pairs(context.folder / "rows.jsonl"))
        assert len(pairs) == card["kept"] > 0
        for pair in pairs:
            assert final_answer(pair.chosen, pair.prompt)[-1] in "02468"
        assert isinstance(context.view, Told)
        assert "wise at http" in context.view.notes[0]
        again = context_of(tmp_path / "again", settings(seen.url))
        PREFERENCES.run(again)
        assert len(seen.bodies) == asked, "all of it stood in the cache"
        rows = [path / "rows.jsonl" for path in (context.folder, again.folder)]
        assert rows[0].read_bytes() == rows[1].read_bytes()


@pytest.mark.parametrize("is_mixed", [False, True])
def test_prompts_need_no_reference_answers(tmp_path: Path, is_mixed: bool) -> None:
    path = tmp_path / "asked.jsonl"
    lines = [json.dumps({"question": f"Say something about {n}."}) for n in range(12)]
    path.write_text("\n".join(lines))
    source: dict[str, Any] = {"path": str(path)}
    problems = {"mixture": [source | {"weight": 1.0}], "size": 12} if is_mixed else source
    with serving(prefers_even) as seen:
        config = settings(seen.url, problems=problems, num_prompts=12, balance_lengths=False)
        context = context_of(tmp_path / "stage", config)
        PREFERENCES.run(context)
        assert seen.bodies
        assert list(context.folder.glob("rollouts/*"))
        ruled = config.model_copy(update={"judge": JudgeConfig(by="rule")})
        with pytest.raises(PonderError, match="answer_field"):
            PREFERENCES.run(context_of(tmp_path / "ruled", ruled))


def test_labels_by_an_endpoint(tmp_path: Path) -> None:
    def no_sevens(body: dict[str, Any], number: int) -> Any:
        good = "7" not in shown(body)[1]
        return completion(json.dumps({"good": good, "reason": "r"}))

    with serving(no_sevens) as seen:
        config = settings(seen.url, objective="pointwise", group_size=1)
        context = context_of(tmp_path / "stage", config)
        PREFERENCES.run(context)
        rows = list(read_labelled(context.folder / "rows.jsonl"))
        assert {row.is_good for row in rows} == {True, False}
        assert all(row.is_good == ("7" not in row.completion) for row in rows)
        assert len(seen.bodies) == 3 * len(rows)


def test_a_judge_that_talks_is_told_and_asked_anew_when_it_is_mended(tmp_path: Path) -> None:
    with serving(lambda body, number: completion("I would say A.")) as seen:
        context = context_of(tmp_path / "stage", settings(seen.url))
        with pytest.raises(PonderError, match=r"take its judge_cache\.jsonl away") as told:
            PREFERENCES.run(context)
    assert told.value.field == "judge"
    [cache] = tmp_path.glob("**/judge_cache.jsonl")
    cache.unlink()
    with serving(prefers_even) as seen:
        PREFERENCES.run(context_of(tmp_path / "stage", settings(seen.url)))
    assert list(read_pairs(context.folder / "rows.jsonl"))


def test_an_endpoint_that_fails_loses_nothing(tmp_path: Path) -> None:
    """What was sampled and judged until then is there, and the rest is done afterwards."""
    down = [False]

    def at_times(body: dict[str, Any], number: int) -> Any:
        down[0] = down[0] or number == 60
        return refusal(500) if down[0] and number < 200 else prefers_even(body, number)

    with serving(at_times) as seen:
        context = context_of(tmp_path / "stage", settings(seen.url))
        with pytest.raises(PonderError, match=r"in judge\.endpoint\.cache") as told:
            PREFERENCES.run(context)
        assert told.value.field == "judge.endpoint.url"
        before = {path: path.stat().st_mtime_ns for path in context.folder.glob("rollouts/*")}
        assert before
        assert not (context.folder / "rows.jsonl").exists()
    with serving(prefers_even) as seen:
        whole = context_of(tmp_path / "whole" / "stage", settings(seen.url))
        PREFERENCES.run(whole)
        PREFERENCES.run(context_of(context.folder, settings(seen.url)))
        for path, moment in before.items():
            assert path.stat().st_mtime_ns == moment, "nothing was sampled again"
        rows = [path / "rows.jsonl" for path in (context.folder, whole.folder)]
        assert rows[0].read_bytes() == rows[1].read_bytes()
