"""Reward models are trained, resumed, and learn a planted preference."""

from __future__ import annotations

import math
import random
import shutil
from pathlib import Path

import pytest
import torch
from tests.rows import comparable

from ponder.algo.preference import pairwise_loss, pointwise_loss
from ponder.config.reward_model import RewardModelConfig
from ponder.curate.preferences import Labelled, Pair, write_preferences
from ponder.errors import GuardError, PonderError
from ponder.models.reward import RewardFacts, RewardModel, open_reward_model
from ponder.models.tiny import make_tiny_model
from ponder.runlog import CheckpointStore, RunFolder, read_json, read_metrics
from ponder.train.observer import NullObserver, Phase
from ponder.train.optimizer import make_optimizer
from ponder.train.reward.data import Example, batch_of, is_heldout, load_examples, passes
from ponder.train.reward.loop import train_reward_model
from ponder.train.reward.scores import evaluate, score
from ponder.train.reward.session import update

WORDS = ["red", "blue", "sun", "moon", "tree", "river", "stone", "bird", "wind", "rain"]
POLITE = ("please", "thanks")


def sentence(draw: random.Random, polite: bool) -> str:
    words = draw.choices(WORDS, k=draw.randint(2, 5))
    words.insert(draw.randrange(len(words) + 1), draw.choice(POLITE if polite else WORDS))
    return " " + " ".join(words)


def polite_pairs(count: int, seed: int) -> list[Pair]:
    """Polite answers are preferred. Thoughts are polite at random: they must not count."""
    draw = random.Random(seed)
    pairs = []
    for i in range(count):
        chosen, rejected = (
            f"<think>{sentence(draw, draw.random() < 0.5)} </think>{sentence(draw, polite)}"
            for polite in (True, False)
        )
        pairs.append(Pair(f"{i} say {draw.choice(WORDS)}", chosen, rejected))
    return pairs


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    words = [f" {word}" for word in (*WORDS, *POLITE, "say")]
    model, tokenizer = make_tiny_model(0, words=words, init_std=0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def config_for(model: Path, data: Path, **settings: object) -> RewardModelConfig:
    defaults = {
        "model": str(model),
        "device": "cpu",
        "batch_size": 32,
        "microbatch_tokens": 2048,
        "data": {"path": str(data), "heldout_share": 0.2},
        "optimizer": {"learning_rate": 3e-3},
        "checkpoint": {"every": 7},
    }
    return RewardModelConfig.model_validate(defaults | settings)


def new_run(path: Path) -> RunFolder:
    return RunFolder.create(path, "")


def test_a_planted_preference_is_learnt_and_an_untrained_model_has_none(
    tmp_path: Path, model_folder: Path
) -> None:
    data = tmp_path / "pairs.jsonl"
    write_preferences(data, polite_pairs(1200, seed=1))
    run = new_run(tmp_path / "run")
    summary = train_reward_model(config_for(model_folder, data), run)
    final = summary.model_path
    rows = read_metrics(run.metrics_path)
    assert 0.3 < rows[0]["eval/accuracy"] < 0.7
    assert rows[-1]["eval/accuracy"] > 0.9
    model, tokenizer = open_reward_model(final, "cpu")
    config = config_for(model_folder, data)
    heldout = load_examples(config, tokenizer, model.facts).heldout
    measured = evaluate(model, heldout, config)
    assert measured.accuracy == rows[-1]["eval/accuracy"]
    assert (model.facts.mean, model.facts.std) == pytest.approx((measured.mean, measured.std))
    assert len(heldout) > 100
    assert summary.accuracy is not None
    assert summary.accuracy[:2] == (rows[0]["eval/accuracy"], rows[-1]["eval/accuracy"])
    assert read_json(run.summary_path)["data"]["heldout_examples"] == len(heldout)


def test_a_pointwise_model_reads_the_thought(tmp_path: Path, model_folder: Path) -> None:
    draw = random.Random(2)
    rows = [
        Labelled(f"{i} say", f"<think>{sentence(draw, good)} </think>{sentence(draw, False)}", good)
        for i in range(1000)
        for good in [draw.random() < 0.5]
    ]
    data = tmp_path / "labels.jsonl.zst"
    write_preferences(data, rows)
    run = new_run(tmp_path / "run")
    config = config_for(model_folder, data, objective="pointwise")
    train_reward_model(config, run)
    assert read_metrics(run.metrics_path)[-1]["eval/accuracy"] > 0.9
    blind = config_for(model_folder, data, objective="pointwise", scored="answer")
    blind_run = new_run(tmp_path / "blind")
    train_reward_model(blind, blind_run)
    assert read_metrics(blind_run.metrics_path)[-1]["eval/accuracy"] < 0.7


class Killed(Exception):  # noqa: N818
    pass


class Killer(NullObserver):
    """Ends the process, as far as the run can see, when a phase begins."""

    def __init__(self, step: int, phase: str) -> None:
        self.moment = (step, phase)

    def on_phase(self, step: int, phase: Phase) -> None:
        if (step, phase) == self.moment:
            raise Killed


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> RewardModelConfig:
    data = tmp_path_factory.mktemp("short") / "pairs.jsonl"
    write_preferences(data, polite_pairs(200, seed=3))
    return config_for(
        model_folder, data, batch_size=16, epochs=2, checkpoint={"every": 3, "keep": 2}
    )


@pytest.fixture(scope="module")
def whole(short: RewardModelConfig, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = new_run(tmp_path_factory.mktemp("whole") / "run")
    train_reward_model(short, run)
    return run


LAST = 22
"""Updates of a short run: of 200 pairs those that are not held out, in batches of 16, twice."""


def same(run: RunFolder, whole: RunFolder) -> None:
    assert comparable(run.path) == comparable(whole.path)
    first, second = (CheckpointStore(r.checkpoints_dir).latest() for r in (run, whole))
    assert first is not None
    assert second is not None
    assert first.name == second.name == f"step_{LAST:06d}"
    for name in ("model.safetensors", "reward_head.safetensors", "reward_head.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize(
    "moment",
    [(0, "evaluate"), (1, "update"), (2, "checkpoint"), (11, "update"), (LAST, "evaluate"),
     (LAST - 1, "checkpoint")],
)  # fmt: skip
def test_killed_and_resumed_is_uninterrupted(
    moment: tuple[int, str], tmp_path: Path, short: RewardModelConfig, whole: RunFolder
) -> None:
    run = new_run(tmp_path / "b")
    with pytest.raises(Killed):
        train_reward_model(short, run, observer=Killer(*moment))
    assert train_reward_model(short, run, resume=True).finished
    same(run, whole)


def test_killed_before_its_summary(
    tmp_path: Path, short: RewardModelConfig, whole: RunFolder
) -> None:
    run = RunFolder(tmp_path / "c")
    shutil.copytree(whole.path, run.path)
    run.summary_path.unlink()
    assert train_reward_model(short, run, resume=True).finished
    same(run, whole)


def test_asked_to_stop_finishes_the_step_and_resumes(
    tmp_path: Path, short: RewardModelConfig, whole: RunFolder
) -> None:
    run, asked = new_run(tmp_path / "d"), iter(range(99))
    summary = train_reward_model(short, run, should_stop=lambda: next(asked) == 5)
    assert (summary.steps, summary.finished, summary.accuracy) == (5, False, None)
    assert not run.summary_path.exists()
    assert train_reward_model(short, run, resume=True).finished
    same(run, whole)


def test_a_run_in_the_folder_says_so(short: RewardModelConfig, whole: RunFolder) -> None:
    with pytest.raises(PonderError, match="holds a run"):
        train_reward_model(short, whole)
    with pytest.raises(PonderError, match="finished"):
        train_reward_model(short, whole, resume=True)


def test_broken_numbers_never_reach_the_weights(model_folder: Path, tmp_path: Path) -> None:
    config = config_for(model_folder, tmp_path)
    model = _fresh()
    with torch.no_grad():
        model.head.bias.fill_(math.nan)
    before = model.base.state_dict()["embed_tokens.weight"].clone()
    batch = [Example([1, 2], ([3], [4, 5]))]
    with pytest.raises(GuardError, match="untouched"):
        update(model, make_optimizer(model, config.optimizer), batch, config, 0, 1)
    assert torch.equal(model.base.state_dict()["embed_tokens.weight"], before)


def test_an_update_does_not_depend_on_how_it_is_cut(model_folder: Path, tmp_path: Path) -> None:
    draw = random.Random(0)
    ids = lambda n: [draw.randrange(256) for _ in range(n)]  # noqa: E731
    batch = [Example(ids(4), (ids(3 + i), ids(9 - i))) for i in range(8)]
    rows = []
    for tokens in (1, 40, 10_000):
        config = config_for(model_folder, tmp_path, microbatch_tokens=tokens)
        base, _ = make_tiny_model(0)
        model = RewardModel(base.base_model, RewardFacts("pairwise", "whole"))
        rows.append(update(model, make_optimizer(model, config.optimizer), batch, config, 0, 1))
    assert rows[0] == pytest.approx(rows[1], rel=1e-5)
    assert rows[0] == pytest.approx(rows[2], rel=1e-5)
    with torch.no_grad():
        margins = [float(r[0] - r[1]) for r in score(_fresh(), batch)]
    by_hand = sum(math.log1p(math.exp(-m)) for m in margins) / len(margins)
    assert rows[0]["loss/total"] == pytest.approx(by_hand, rel=1e-5)


def _fresh() -> RewardModel:
    base, _ = make_tiny_model(0)
    return RewardModel(base.base_model, RewardFacts("pairwise", "whole"))


def test_losses_by_hand() -> None:
    # -log sigmoid(1) = log(1 + e^-1) = 0.313262; -log sigmoid(-2) = 2.126928
    got = pairwise_loss(torch.tensor([1.5, 0.0]), torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(got, torch.tensor([0.313262, 2.126928]))
    got = pointwise_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(got, torch.tensor([0.313262, 2.126928]))


def test_every_row_is_seen_once_an_epoch_in_an_order_of_its_own() -> None:
    first = [i for step in range(3) for i in batch_of(step, 10, 4, seed=0)]
    second = [i for step in range(3, 6) for i in batch_of(step, 10, 4, seed=0)]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_passes_keep_every_example_and_the_limit() -> None:
    examples = [Example([1] * n, ([2] * n, [3] * n)) for n in (1, 5, 2, 30, 3)]
    cut = list(passes(examples, 40))
    assert sorted(len(e.prompt_ids) for part in cut for e in part) == [1, 2, 3, 5, 30]
    assert all(sum(e.num_tokens for e in part) <= 40 or len(part) == 1 for part in cut)


def test_rows_of_a_prompt_stay_on_one_side_and_long_rows_are_left_out(
    tmp_path: Path, model_folder: Path
) -> None:
    pairs = [Pair(f"p{i % 40}", f"a{i}", "b") for i in range(200)] + [Pair("p", "x" * 99, "y")]
    data = tmp_path / "p.jsonl"
    write_preferences(data, pairs)
    settings = {"path": str(data), "heldout_share": 0.3, "max_tokens": 60}
    config = RewardModelConfig.model_validate({"data": settings})
    _, tokenizer = make_tiny_model(0)
    examples = load_examples(config, tokenizer, _fresh().facts)
    sides = [{tuple(e.prompt_ids) for e in side} for side in (examples.train, examples.heldout)]
    assert not sides[0] & sides[1]
    assert examples.num_too_long == 1
    assert len(examples.train) + len(examples.heldout) == 200
    assert {is_heldout("p1", 0.3) for _ in range(3)} in ({True}, {False})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"prompt": "a", "chosen": "b"}', ":1 rejected"),
        ('{"prompt": "a", "chosen": "b", "rejected": "c", "margin": -1}', "0 or more"),
        ("[1]", "object"),
        ("{", "not JSON"),
    ],
)
def test_a_bad_row_is_told_with_its_line(
    tmp_path: Path, model_folder: Path, line: str, says: str
) -> None:
    data = tmp_path / "p.jsonl"
    data.write_text(line + "\n")
    with pytest.raises(PonderError, match=says):
        train_reward_model(config_for(model_folder, data), new_run(tmp_path / "run"))
