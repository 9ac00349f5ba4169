"""Preferences by rule, and reward models of them: really run on the bundled base, and killed."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from tests.pipeline.living import Lives, there

from ponder.curate.preferences import read_labelled, read_pairs
from ponder.models.reward import open_reward_model
from ponder.text.final import final_answer

RECIPE = """\
kind = "pipeline"
name = "preferred"
[common]
device = "cpu"
threads = 1
problems = {task = "products"}
sampling = {max_completion_tokens = 96}
num_prompts = 36
chunk_prompts = 12
checkpoint = {every = 1}
data = {heldout_share = 0.3, max_tokens = 512}
batch_size = 8
microbatch_tokens = 1024
[stages.pairs]
kind = "preferences"
judge = {by = "rule", rule = "tests.pipeline.rules:even"}
[stages.labels]
kind = "preferences"
objective = "pointwise"
group_size = 2
balance_labels = true
judge = {by = "rule", rule = "tests.pipeline.rules:harmless"}
[stages.helpful]
kind = "reward_model"
model = "base-tiny"
inputs = {data = "pairs"}
[stages.safety]
kind = "reward_model"
objective = "pointwise"
inputs = {data = "labels"}
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "p.toml").write_text(RECIPE)
    return folder


def stage(run: Path, name: str) -> Path:
    (record,) = run.glob(f"stages/{name}/*/stage.json")
    return record.parent


def outputs(run: Path) -> dict[str, bytes]:
    """Rows, cards and weights, by path without the keys."""
    found = {}
    for pattern in (
        "rows.jsonl",
        "card.*",
        "judged/*",
        "rollouts/*",
        "checkpoints/*/*.safetensors",
    ):
        for path in run.glob(f"stages/*/*/{pattern}"):
            parts = path.relative_to(run).parts
            found["/".join((parts[1], *parts[3:]))] = path.read_bytes()
    return found


def test_pairs_are_what_the_rule_prefers_and_the_card_adds_up(whole: Path) -> None:
    folder = stage(whole, "pairs")
    pairs = list(read_pairs(folder / "rows.jsonl"))
    card = json.loads((folder / "card.json").read_text())
    assert len(pairs) == card["kept"] > 5
    dropped = ("without_answer", "unjudged", "small_margin", "unbalanced")
    assert card["asked"] == card["kept"] + sum(card[name] for name in dropped)
    assert (card["prompts"], card["completions"], card["unjudged"]) == (36, 144, 0)
    assert card["small_margin"] > 0
    for pair in pairs:
        assert final_answer(pair.chosen, pair.prompt)[-1] in "02468"
        assert final_answer(pair.rejected, pair.prompt)[-1:] not in list("02468")
        assert pair.margin == 2
    assert card["longer_chosen"] == 0.5
    assert card["judge"] == "tests.pipeline.rules:even"
    assert "| dropped: small margin |" in (folder / "card.md").read_text()


def test_labels_are_as_many_good_as_bad(whole: Path) -> None:
    folder = stage(whole, "labels")
    rows = list(read_labelled(folder / "rows.jsonl"))
    card = json.loads((folder / "card.json").read_text())
    assert card["good"] == card["bad"] == len(rows) / 2 > 5
    assert all(row.is_good == ("7" not in row.completion) for row in rows)
    assert (
        card["asked"] == card["completions"] - card["cut_off"] == card["kept"] + card["unbalanced"]
    )


def test_reward_models_are_trained_from_them(whole: Path) -> None:
    for name, objective, scored in (
        ("helpful", "pairwise", "answer"),
        ("safety", "pointwise", "whole"),
    ):
        folder = stage(whole, name)
        record = json.loads((folder / "stage.json").read_text())["outputs"]["reward_model"]
        model, _ = open_reward_model(folder / record["path"], "cpu")
        assert (model.facts.objective, model.facts.scored) == (objective, scored)
        assert model.facts.std != 1.0
        assert json.loads((folder / "summary.json").read_text())["objective"] == objective


def test_stopped_and_killed_it_ends_as_if_it_had_not_been(
    inputs: Path, whole: Path, lives: Lives, tmp_path: Path
) -> None:
    run = tmp_path / "run"

    first = ("run", str(inputs / "p.toml"), "--out", str(run))
    code, said = lives.live(*first, moment=there(run, "stages/pairs/*/rollouts/step_000000*"))
    assert code == -signal.SIGKILL, said
    go_on = ("run", str(run), "--any-code")
    code, said = lives.live(
        *go_on, moment=there(run, "stages/pairs/*/judged/chunk_000001.json"), kill=signal.SIGINT
    )
    assert code == 130, said
    moments = (
        "stages/pairs/*/rows.jsonl*",
        "stages/labels/*/judged/chunk_000001.json",
        "stages/labels/*/rows.jsonl",
        "stages/helpful/*/checkpoints/step_000001",
        "stages/safety/*/checkpoints/step_000002",
        "stages/safety/*/summary.json",
    )
    for moment in moments:
        code, said = lives.live(*go_on, moment=there(run, moment))
        assert code in (0, -signal.SIGKILL), said
    code, said = lives.live(*go_on)
    assert code == 0, said
    assert outputs(run) == outputs(whole)


def test_a_dry_run_tells_what_would_be(inputs: Path, lives: Lives, tmp_path: Path) -> None:
    new = tmp_path / "x"
    code, said = lives.live("run", str(inputs / "p.toml"), "--out", str(new), "--dry-run")
    assert code == 0, said
    assert "36 prompts x 4 on products, judged by tests.pipeline.rules:even" in said
    assert "pairwise, on final answers; updates of 8" in said
    assert not new.exists()


WRONG = {
    "judge.rule=tests.pipeline.rules:same": "no pair is left",
    "judge.rule=tests.pipeline.rules:broken": "no verdict that could be read",
    "judge.rule=tests.pipeline.rules:none": "stages.pairs.judge.rule",
    "judge.votes=3": "half of the votes",
    "judge.rule=helpful": "is a model, no rule",
    "group_size=3": "need 4 completions",
    "judge.by=model": "stages.pairs.judge.rule",
}


@pytest.mark.parametrize("word", WRONG)
def test_mistakes_name_the_stage(word: str, inputs: Path, lives: Lives, tmp_path: Path) -> None:
    arguments = (f"pairs.{word}", "pairs.num_prompts=4")
    code, said = lives.live(
        "run", str(inputs / "p.toml"), "--out", str(tmp_path / "run"), *arguments
    )
    assert code == 2, said
    assert "stages.pairs." in said
    assert WRONG[word] in said


def test_labels_that_are_all_alike_teach_nothing(
    inputs: Path, lives: Lives, tmp_path: Path
) -> None:
    words = ("labels.judge.rule=tests.pipeline.rules:same", "labels.num_prompts=4")
    more = ("pairs.objective=pointwise", "pairs.num_prompts=4", *words)
    code, said = lives.live("run", str(inputs / "p.toml"), "--out", str(tmp_path / "run"), *more)
    assert code == 2
    assert "all labels are alike" in said
