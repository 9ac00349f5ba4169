import base64
import gzip
import json
import math
import os
import re
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.report.synthetic_run import NASTY, build_run

from ponder.errors import PonderError
from ponder.report import write_report
from ponder.report.embed import embed_rollouts, encode_step
from ponder.report.header import config_html, duration, problems_in_words, table_html
from ponder.report.html import safe_json
from ponder.report.load import Series, collect_series, evenly, load_run, thin
from ponder.runlog import MetricsWriter, RunFolder, list_steps, read_rollouts, write_json_atomic
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Verdict


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return build_run(tmp_path_factory.mktemp("runs") / "a", steps=14, groups=4)


@pytest.fixture(scope="module")
def page(run: RunFolder) -> str:
    return write_report(run.path).read_text(encoding="utf-8")


def _data(page: str) -> dict[str, object]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert match is not None
    data: dict[str, object] = json.loads(match[1])
    return data


def _unpack(payload: str) -> dict[str, object]:
    data: dict[str, object] = json.loads(gzip.decompress(base64.b64decode(payload)))
    return data


def test_one_file_that_asks_for_nothing(page: str) -> None:
    assert page.startswith("<!doctype html>")
    assert "{{" not in page
    without_namespace = page.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(
        r"https?:|//cdn|@import|url\(|<link|<img|<iframe|fetch\(", without_namespace
    )
    assert "default-src 'none'" in page


def test_the_page_is_a_function_of_the_run_folder(run: RunFolder, page: str) -> None:
    assert write_report(run.path).read_text(encoding="utf-8") == page


def test_only_our_own_script_elements(page: str) -> None:
    """Data blocks hold no "<" at all; the one script that runs is ours."""
    blocks = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.S)
    assert len(blocks) == 1 + 14 + 1
    assert page.count("<script") == page.lower().count("</script") == len(blocks)
    assert all("<" not in body and 'type="' in tag for tag, body in blocks[:-1])
    assert blocks[-1][0] == ""


def test_the_scripts_never_make_html_out_of_text() -> None:
    assets = files("ponder.report") / "assets"
    for asset in assets.iterdir():
        text = asset.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text
        )
        assert "</script" not in text or asset.name in {"page.html", "pipeline.html"}


def test_safe_json_cannot_end_its_element() -> None:
    for text in NASTY:
        shown = safe_json({"a": text})
        assert not set("<>&") & set(shown)
        assert shown.isascii()
        assert json.loads(shown) == {"a": text}


def test_before_and_after(run: RunFolder, page: str) -> None:
    figures = json.loads(run.summary_path.read_text())
    before, after = figures["before"], figures["after"]
    assert f"{100 * before['pass@1']:.1f} ± {100 * before['stderr']:.1f} %" in page
    assert f"{100 * after['pass@1']:.1f} ± {100 * after['stderr']:.1f} %" in page
    assert "pass@4" in page
    assert "cons@4" in page


def test_the_table_by_hand(run: RunFolder) -> None:
    write_json_atomic(
        run.summary_path.with_name("other.json"),
        json.loads(run.summary_path.read_text()),
    )
    data = load_run(run)
    summary = {
        "steps": 14,
        "before": {"pass@1": 0.15, "stderr": 0.011, "mean_tokens": 15.0, "num_problems": 256},
        "after": {"pass@1": 0.828, "stderr": 0.0123, "mean_tokens": 72.0, "num_problems": 256},
    }
    row = {"before": (0, summary["before"]), "after": (14, summary["after"]), "summary": summary}
    fields = {name: getattr(data, name) for name in data.__dataclass_fields__}
    table = re.sub(r"<[^>]+>", " ", table_html(type(data)(**(fields | row))))
    words = " ".join(table.split())
    assert "pass@1 15.0 ± 1.1 % 82.8 ± 1.2 % +67.8 points" in words
    assert "tokens per completion 15.0 72.0 +57.0 × 4.8" in words
    assert "256 held-out problems" in words


def test_alarms_are_text(page: str) -> None:
    assert "no signal &lt;/script&gt;&lt;script&gt;" in page
    assert "<b>truncation</b>" in page


def test_every_metric_is_in_the_page(run: RunFolder, page: str) -> None:
    series = _data(page)["series"]
    assert isinstance(series, dict)
    assert series["eval/pass@1"][0] == [0, 10, 14]
    assert series["rollout/pass_rate"][0] == list(range(14))
    assert "custom/thing" in series


def test_rollouts_come_out_of_the_page_as_they_went_in(run: RunFolder, page: str) -> None:
    match = re.search(r'id="rollouts-12">([^<]*)<', page)
    assert match is not None
    step = _unpack(match[1])
    written = read_rollouts(run.rollouts_dir / "step_000012.jsonl.zst")
    groups = step["groups"]
    assert isinstance(groups, list)
    assert [r["text"] for r in groups[0]["rollouts"]] == list(NASTY)
    assert groups[3]["id"] == written[3].problem.id
    first, same = groups[3]["rollouts"][0], written[3].rollouts[0]
    assert first["verdict"] == same.judgement.verdict
    assert first["advantage"] == same.advantage
    assert first["parts"] == same.reward_parts
    assert first["tokens"] == same.num_tokens
    assert groups[0]["rollouts"][7]["reward"] is None


def test_steps_are_thinned_evenly_to_the_limit(run: RunFolder) -> None:
    steps = list_steps(run.rollouts_dir)
    whole = embed_rollouts(run.rollouts_dir, steps)
    assert [item.step for item in whole.steps] == steps
    size = sum(len(item.payload) for item in whole.steps)
    half = embed_rollouts(run.rollouts_dir, steps, limit=size // 2)
    kept = [item.step for item in half.steps]
    assert sum(len(item.payload) for item in half.steps) <= size // 2
    assert (kept[0], kept[-1]) == (0, 13)
    gaps = [b - a for a, b in pairwise(kept)]
    assert max(gaps) - min(gaps) <= 1
    assert 4 <= len(kept) <= 8
    assert half.num_steps == 14


def _groups(count: int) -> list[Group]:
    def rollout(index: int, place: int) -> Rollout:
        text = "wait " + os.urandom(200).hex() if index else "5"
        verdict = Verdict.ERROR if place == 0 and index == 2 else Verdict.CORRECT
        completion = Completion("p", index, [1], text, [-1.0], "stop")
        return Rollout(completion, Judgement(verdict), {"accuracy": math.nan}, math.inf)

    return [
        Group(Problem("p", "q", "5"), Prompt("p", "q", (1,)), [rollout(i, place) for i in range(3)])
        for place in range(count)
    ]


def test_a_step_that_is_too_large_keeps_its_first_groups() -> None:
    whole = encode_step(0, _groups(40))
    assert (whole.num_groups, whole.kept_groups) == (40, 40)
    part = encode_step(0, _groups(40), limit=len(whole.payload))
    assert 1 <= part.kept_groups <= 12
    assert len(part.payload) <= len(whole.payload) // 4
    assert part.num_groups == 40


def test_reflection_is_counted_without_verifier_errors() -> None:
    step = encode_step(0, _groups(2))
    assert step.reflective == (3, 3)
    assert step.plain == (2, 2)


def test_numbers_that_json_does_not_have_become_text() -> None:
    step = _unpack(encode_step(0, _groups(1)).payload)
    groups = step["groups"]
    assert isinstance(groups, list)
    assert groups[0]["rollouts"][0]["reward"] == "inf"
    assert groups[0]["rollouts"][0]["parts"] == {"accuracy": "nan"}


def test_a_damaged_rollout_file_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    run = build_run(tmp_path / "a", steps=3, groups=2)
    (run.rollouts_dir / "step_000001.jsonl.zst").write_bytes(b"nonsense")
    page = write_report(run.path).read_text(encoding="utf-8")
    assert 'id="rollouts-0"' in page
    assert 'id="rollouts-1"' not in page
    rollouts = _data(page)["rollouts"]
    assert isinstance(rollouts, dict)
    assert "step_000001.jsonl.zst" in rollouts["damaged"][0]


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a", 'name = "a"\nsteps = 9\n')
    with MetricsWriter(run.metrics_path) as metrics:
        metrics.write(0, {"eval/pass@1": 0.25, "eval/stderr": 0.02})
        metrics.write(0, {"rollout/pass_rate": 0.2, "loss/kl": math.nan})
        metrics.write(1, {"rollout/pass_rate": 0.3})
    page = write_report(run.path).read_text(encoding="utf-8")
    assert "25.0 ± 2.0 %" in page
    assert "2 of 9 (not finished)" in page
    assert "No alarm was raised." in page


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PonderError, match="not a run folder"):
        write_report(tmp_path)


def test_a_damaged_config_is_an_error(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a", "name = \n")
    with pytest.raises(PonderError, match="not TOML"):
        write_report(run.path)


def test_other_damaged_files_are_errors_that_name_them(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", steps=2, groups=2, size=2)
    run.config_path.write_bytes(b'name = "\xff"')
    with pytest.raises(PonderError, match=r"config\.toml.*not UTF-8"):
        write_report(run.path)
    run.config_path.write_text('name = "x"')
    for text in ("[]", '{"before": {}}'):
        run.summary_path.write_text(text)
        with pytest.raises(PonderError, match=r"summary\.json.*not a summary"):
            write_report(run.path)


def test_series_join_the_rows_of_a_step() -> None:
    rows = [
        {"step": 0, "eval/pass@1": 0.1},
        {"step": 0, "loss/kl": 1.0},
        {"step": 2, "loss/kl": math.nan},
        {"step": 1, "loss/kl": 2.0},
        {"step": 1, "loss/kl": 3.0},
    ]
    assert collect_series(rows) == {
        "eval/pass@1": Series([0], [0.1]),
        "loss/kl": Series([0, 1], [1.0, 3.0]),
    }


def test_values_that_are_no_numbers_are_left_out() -> None:
    rows = [{"step": 0, "a/b": "x", "a/c": None, "a/d": math.nan, "a/e": 1}]
    assert set(collect_series(rows)) == {"a/e"}


def test_evenly() -> None:
    assert evenly(3, 5) == [0, 1, 2]
    assert evenly(10, 4) == [0, 3, 6, 9]
    assert evenly(101, 3) == [0, 50, 100]
    assert evenly(7, 1) == [6]
    assert evenly(0, 3) == []
    assert thin(Series(list(range(5)), [0.0, 1.0, 2.0, 3.0, 4.0]), 3) == Series(
        [0, 2, 4], [0.0, 2.0, 4.0]
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (3.21, "3.2 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599.7, "1 h 0 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_config_is_escaped() -> None:
    assert config_html("# <a>\n[b]\nc = '<script>'") == (
        "<i># &lt;a&gt;</i>\n<b>[b]</b>\nc = &#x27;&lt;script&gt;&#x27;"
    )


@pytest.mark.parametrize(
    ("problems", "words"),
    [
        ({"task": "gcd", "settings": {"max_value": 9}}, "gcd (max_value 9)"),
        ({"name": "gsm8k", "path": "/data/gsm8k"}, "gsm8k"),
        (
            {"mixture": [{"task": "gcd"}, {"path": "/data/a.jsonl"}, {"hub": "a/b"}]},
            "gcd + a.jsonl + a/b",
        ),
        ({}, "unknown"),
    ],
)
def test_problems_in_a_few_words(problems: dict[str, Any], words: str) -> None:
    assert problems_in_words(problems) == words
