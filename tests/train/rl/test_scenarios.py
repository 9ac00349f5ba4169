"""R1's second stage of RL in miniature: two domains, two trained reward models, kills, errors."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.generate.endpoint_server import Reply, completion, serving
from tests.sums import write_sums
from tests.train.living import Lives, there
from tests.train.rl.test_resume import contents

from ponder.cli.main import main
from ponder.config.recipes import to_toml
from ponder.config.reward_model import RewardModelConfig
from ponder.config.rl import RLConfig
from ponder.curate.preferences import Labelled, Pair, write_preferences
from ponder.errors import PonderError
from ponder.models.load import save_model
from ponder.models.tiny import make_tiny_model
from ponder.runlog import (
    CheckpointStore,
    MetricsWriter,
    RunFolder,
    list_steps,
    read_alarms,
    read_metrics,
    read_rollouts,
)
from ponder.runlog.rollouts import rollouts_path
from ponder.train.reward.loop import train_reward_model
from ponder.train.rl.loop import train
from ponder.train.rl.parting import NAME
from ponder.train.rl.session import short_note

STEPS, START = 8, 3
WORDS = [" red", " blue", " sun", " moon", " tree", " please"]


def reward_model(folder: Path, model: Path, data: Path, objective: str) -> Path:
    run = RunFolder.create(folder, "")
    config = RewardModelConfig.model_validate(
        {
            "model": str(model),
            "device": "cpu",
            "objective": objective,
            "batch_size": 32,
            "data": {"path": str(data), "heldout_share": 0.2},
            "optimizer": {"learning_rate": 3e-3},
        }
    )
    train_reward_model(config, run)
    latest = CheckpointStore(run.checkpoints_dir).latest()
    assert latest is not None
    return latest


def scenarios(folder: Path) -> dict[str, Any]:
    """A policy, reward models that like " please" (helpful) and no " blue" (safety), problems."""
    save_model(*make_tiny_model(0, words=WORDS, init_std=0.1), folder / "model")
    draw = random.Random(1)

    def text(word: str) -> str:
        words = [*draw.choices(WORDS[:5], k=3), word]
        draw.shuffle(words)
        return "".join(words)

    pairs = [Pair(f"say {i}", text(" please"), text(" sun")) for i in range(120)]
    labels = [Labelled(f"say {i}", text(w := draw.choice(WORDS)), w != " blue") for i in range(120)]
    write_preferences(folder / "pairs.jsonl", pairs)
    write_preferences(folder / "labels.jsonl", labels)
    write_sums(folder / "sums.jsonl")
    for name, rows in {
        "asked": [{"question": f"say {i}"} for i in range(60)],
        "risky": [{"question": f"speak of {i}"} for i in range(60)],
    }.items():
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    model = folder / "model"
    return {
        "name": "scenarios",
        "model": str(model),
        "steps": STEPS,
        "threads": 1,
        "device": "cpu",
        "problems": {
            "mixture": [
                {"path": str(folder / "sums.jsonl"), "weight": 3.0, "domain": "sums"},
                {"path": str(folder / "asked.jsonl"), "weight": 2.0, "verifier": "helpful"},
                {"path": str(folder / "risky.jsonl"), "weight": 1.0, "verifier": "safety"},
            ],
            "size": 500,
        },
        "preference": {
            "helpful": str(reward_model(folder / "h", model, folder / "pairs.jsonl", "pairwise")),
            "safety": str(reward_model(folder / "s", model, folder / "labels.jsonl", "pointwise")),
            "start": START,
        },
        "template": {"name": "plain"},
        "sampling": {"max_completion_tokens": 12, "temperature": 0.7},
        "reward": {"language": 0.5, "preference": 2.0, "random": 0.25},
        "batch": {"prompts_per_step": 4, "group_size": 4, "minibatches": 2},
        "optimizer": {"learning_rate": 3e-3},
        "eval": {"num_problems": 4, "k": 2},
        "checkpoint": {"every": 2, "keep": 2},
    }


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return scenarios(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def lives(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    made = Lives(RLConfig.model_validate(settings), tmp_path_factory.mktemp("lives"))
    yield made
    made.end()


def test_general_problems_come_from_their_step_on_and_by_quota(uninterrupted: Path) -> None:
    assert list_steps(uninterrupted / "rollouts") == list(range(STEPS))
    verifiers: list[list[str]] = []
    for step in range(STEPS):
        groups = read_rollouts(rollouts_path(uninterrupted / "rollouts", step))
        verifiers.append(sorted(group.problem.verifier for group in groups))
    assert verifiers[:START] == [["exact"] * 4] * START
    late = [name for names in verifiers[START:] for name in names]
    # 5 steps of 4 problems by 3 : 2 : 1, to the problem; each step within one of its share.
    assert [late.count(n) for n in ("exact", "helpful", "safety")] in ([10, 7, 3], [10, 6, 4])
    assert all(names.count("exact") == 2 for names in verifiers[START:])


def test_each_domain_has_its_own_rewards(uninterrupted: Path) -> None:
    groups = read_rollouts(rollouts_path(uninterrupted / "rollouts", STEPS - 1))
    for group in groups:
        for rollout in group.rollouts:
            parts, judgement = rollout.reward_parts, rollout.judgement
            if group.problem.verifier == "exact":
                assert set(parts) == {"accuracy", "format", "language", "random"}
                main = parts["accuracy"]
            else:
                assert set(parts) == {"preference", "format", "language", "random"}
                assert judgement.reason.startswith("reward model") or not judgement.score
                main = 2 * parts["preference"]
                assert parts["preference"] == judgement.score
            others = parts["format"] + 0.5 * parts["language"] + 0.25 * parts["random"]
            assert rollout.reward == pytest.approx(main + others)


def test_reasoning_and_preference_are_told_apart(uninterrupted: Path) -> None:
    rows = read_metrics(uninterrupted / "metrics.jsonl")
    early, late = rows[0], rows[STEPS - 1]
    assert {key for key in early if key.startswith("domain/")} == {
        f"domain/sums_{what}" for what in ("share", "reward", "tokens", "pass_rate")
    }
    assert not any(key.startswith("preference/") for key in early)
    assert late["domain/sums_share"] + late["domain/general_share"] == 1
    assert late["rollout/pass_rate"] == late["domain/sums_pass_rate"] == late["reward/accuracy"]
    assert "domain/general_pass_rate" not in late
    assert 0 < late["domain/general_preference"] < 1
    assert 0 < late["preference/helpful_mean"] < 1
    # The held-out problems are those of reasoning, all along.
    evaluation = json.loads((uninterrupted / "evals" / f"step_{STEPS:06d}.json").read_text())
    assert all("+" in problem["question"] for problem in evaluation["problems"])


@pytest.mark.parametrize(
    "pattern",
    ["rollouts/step_000002*", "checkpoints/.tmp_step_000004", "rollouts/step_000005*"],
)
def test_killed_and_resumed_is_uninterrupted(
    pattern: str, lives: Lives, uninterrupted: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    assert lives.live(path, there(pattern)) == signal.SIGKILL
    assert lives.live(path) == 0
    ours, theirs = contents(path), contents(uninterrupted)
    for part, expected in theirs.items():
        assert ours[part] == expected, part


def test_another_reward_model_is_not_resumed_with(
    settings: dict[str, Any], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = RLConfig.model_validate(settings)
    run = RunFolder.create(tmp_path / "run", to_toml(config))
    asked = iter([False, False, True])
    train(config, run, should_stop=lambda: next(asked))
    helpful, safety = settings["preference"]["helpful"], settings["preference"]["safety"]
    swapped = settings | {"preference": {"helpful": safety, "safety": helpful, "start": START}}
    with pytest.raises(PonderError, match=r"preference\.helpful .*the run began with"):
        train(RLConfig.model_validate(swapped), run, resume=True)


def changed(settings: dict[str, Any], **sections: Any) -> RLConfig:
    for name, section in sections.items():
        before = settings[name] if isinstance(settings.get(name), dict) else {}
        section = before | section if isinstance(section, dict) else section
        settings = settings | {name: section}
    return RLConfig.model_validate(settings)


def refused_at_start(config: RLConfig, path: Path) -> str:
    with pytest.raises(PonderError) as caught:
        train(config, RunFolder.create(path, to_toml(config)))
    return str(caught.value)


def test_mistakes_are_named(settings: dict[str, Any], tmp_path: Path) -> None:
    mixture = settings["problems"]["mixture"]
    said = refused_at_start(changed(settings, preference={"safety": None}), tmp_path / "a")
    assert said.startswith("preference.safety = None: ")
    assert "the input safety of the stage" in said
    said = refused_at_start(changed(settings, problems={"mixture": mixture[:2]}), tmp_path / "b")
    assert "preference.safety = " in said
    assert "no entry of problems.mixture has" in said
    nothing = tmp_path / "nothing"
    said = refused_at_start(changed(settings, preference={"helpful": nothing}), tmp_path / "c")
    assert "holds no reward model" in said
    for sections, field in (
        ({"preference": {"start": 8}}, r"preference\.start = 8"),
        ({"preference": {"start": 0.95}}, r"preference\.start = 0\.95"),
        ({"preference": {"start": 2.5}}, r"preference\.start = 2\.5"),
        ({"problems": {"mixture": mixture[1:]}}, "nothing to ask"),
        ({"algorithm": {"dynamic_sampling": True}}, r"algorithm\.dynamic_sampling"),
        ({"problems": {"path": "a.jsonl", "mixture": None, "verifier": "safety"}}, "mixture"),
    ):
        with pytest.raises(PonderError, match=field):
            changed(settings, **sections)


def agrees(body: dict[str, Any], number: int) -> Reply:
    """A judge that finds every answer right, but for those to a code word (its own probe)."""
    is_probe = "the code word" in body["messages"][-1]["content"]
    return completion(json.dumps({"correct": not is_probe, "reason": "it says so"}))


def test_problems_may_be_judged_by_a_model_with_the_reference(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    sums = settings["problems"]["mixture"][0]
    mixture = [sums, sums | {"verifier": "judge", "domain": "open"}]
    few = {
        "steps": 2,
        "problems": {"mixture": mixture},
        "preference": {"helpful": None, "safety": None, "start": 0},
        "sampling": {"max_completion_tokens": 6},
        "eval": {"num_problems": 0},
    }
    with serving(agrees) as endpoint:
        config = changed(settings, **few, judge={"url": endpoint.url, "model": "m"})
        run = RunFolder.create(tmp_path / "run", to_toml(config))
        assert train(config, run).finished
    assert len(endpoint.bodies) > 4
    cache = (run.path / "judge_cache.jsonl").read_text().splitlines()
    assert len(cache) == len(endpoint.bodies), "a step that is done again is not paid for again"
    rows = read_metrics(run.metrics_path)
    assert rows[0]["domain/open_share"] == 0.5
    assert rows[0]["domain/open_pass_rate"] > 0.5  # unless there was no answer to judge
    reasons = {
        rollout.judgement.reason
        for group in read_rollouts(rollouts_path(run.rollouts_dir, 0))
        if group.problem.verifier == "judge"
        for rollout in group.rollouts
    }
    assert "judge: it says so" in reasons
    said = refused_at_start(changed(settings, **few), tmp_path / "none")
    assert said.startswith("judge = None: ")
    url = {"judge": {"url": "http://localhost:1/v1"}}
    assert "remove [judge]" in refused_at_start(changed(settings, **url), tmp_path / "idle")


def planted(accuracy: float, preference: float) -> dict[str, float]:
    return {
        "rollout/pass_rate": accuracy,
        "rollout/pass_rate_stderr": 0.01,
        "preference/helpful_mean": preference,
        "preference/helpful_stderr": 0.01,
    }


def test_hacking_ends_the_run_with_a_checkpoint_and_a_code_of_its_own(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nine rows say that the next will be the tenth of a hacked run; the tenth is a real one."""
    config = changed(settings, steps=12, preference={"start": 0}, eval={"num_problems": 0})
    run = RunFolder.create(tmp_path / "run", to_toml(config))
    asked = iter([False] * 9 + [True])
    train(config, run, should_stop=lambda: next(asked))
    rows = read_metrics(run.metrics_path)
    assert len(rows) == 9
    run.metrics_path.unlink()
    with MetricsWriter(run.metrics_path) as metrics:
        for step, row in enumerate(rows):
            fake = planted(0.9, 0.1) if step < 5 else planted(0.0, 0.9)
            metrics.write(step, {k: v for k, v in row.items() if k != "step"} | fake)
    assert main(["train", "--resume", str(run.path)]) == 4
    said = capsys.readouterr().err
    assert "an alarm ended the run: step 9: the helpful reward rose by" in said
    assert "The checkpoint of step 10" in said
    latest = CheckpointStore(run.checkpoints_dir).latest()
    assert latest is not None
    assert latest.name == "step_000010"
    alarms = [alarm for alarm in read_alarms(run.alarms_path) if alarm["name"] == NAME]
    assert [alarm["step"] for alarm in alarms] == [9]
    assert not run.summary_path.exists()
    assert main(["train", "--resume", str(run.path)]) == 0  # the person wants it all the same
    assert len(read_metrics(run.metrics_path)) == 12


def test_the_share_of_steps() -> None:
    paper = RLConfig.model_validate({"preference": {"start": 0.7647}})
    assert paper.preference.first_step(106) == 81  # 25 of 106 are left, as 400 of 1,700
    assert paper.preference.first_step(1700) == 1300


@pytest.mark.parametrize(("steps", "told"), [(1, "1 step with"), (3, "3 steps with")])
def test_a_run_too_short_for_the_alarm_says_so(steps: int, told: str) -> None:
    [note] = short_note(RLConfig(steps=steps), {"helpful": Path("model")})
    assert note.startswith(told)
