"""Runs of fine-tuning: they learn; bad input is said; killed and resumed is uninterrupted."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train import living
from tests.train.living import Lives, after, last_checkpoint, live_through, there
from transformers import AutoModelForCausalLM, AutoTokenizer

from ponder.config.recipes import to_toml
from ponder.config.sft import SFTConfig
from ponder.errors import PonderError
from ponder.generate.local import LocalGenerator
from ponder.models.load import load_model, save_model
from ponder.models.tiny import make_tiny_model
from ponder.rollout.prompts import PromptMaker
from ponder.runlog import RunFolder
from ponder.train.sft.loop import fine_tune
from ponder.train.sft.summary import SFTSummary
from ponder.types import Problem, Sampling

FACTS = {
    "What is the capital of France?": " Paris.",
    "What is 2 + 3?": " <think>2 + 3 = 5</think> 5",
    "一加一等于几？": "等于二。",
    "Say nothing much.": " ok",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model, rows, and problems."""
    path = tmp_path_factory.mktemp("inputs")
    save_model(*make_tiny_model(0), path / "model")
    write_rows(path / "facts.jsonl", FACTS.items())
    sums = [(f"{a} + {b} =", f" {a + b}") for a in range(9) for b in range(9)]
    write_rows(path / "sums.jsonl", sums)
    rows = [{"question": prompt, "answer": answer.strip()} for prompt, answer in sums]
    (path / "problems.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return path


def write_rows(path: Path, rows: Any) -> None:
    lines = [json.dumps({"prompt": p, "completion": c}, ensure_ascii=False) for p, c in rows]
    path.write_text("\n".join(lines) + "\n")


def make_config(folder: Path, rows: str, **settings: Any) -> SFTConfig:
    data = {"path": str(folder / rows), **settings.pop("data", {})}
    base = {"model": str(folder / "model"), "threads": 1, "device": "cpu", "data": data}
    return SFTConfig.model_validate(base | settings)


def run(config: SFTConfig, path: Path, **more: Any) -> SFTSummary:
    return fine_tune(config, RunFolder.create(path, to_toml(config)), **more)


@pytest.mark.parametrize("lora", [{}, {"rank": 16}])
def test_it_learns_a_few_samples_by_heart(
    folder: Path, tmp_path: Path, lora: dict[str, int]
) -> None:
    if lora:
        pytest.importorskip("peft")
    config = make_config(
        folder,
        "facts.jsonl",
        epochs=80 if lora else 60,
        batch={"samples": 4},
        lora=lora,
        optimizer={"learning_rate": 1e-2, "min_learning_rate": 1e-3},
        checkpoint={"every": 1000},
    )
    summary = run(config, tmp_path / "run")
    assert summary.first_loss is not None
    assert summary.last_loss is not None
    assert summary.first_loss > 3
    # A frozen head of random weights gives no token more than half of the probability.
    assert summary.last_loss < (0.8 if lora else 0.05)
    model = AutoModelForCausalLM.from_pretrained(summary.model_path)
    tokenizer = AutoTokenizer.from_pretrained(summary.model_path)
    for prompt, completion in FACTS.items():
        ids = tokenizer.encode(prompt, return_tensors="pt")
        written = model.generate(ids, do_sample=False, max_new_tokens=60, pad_token_id=257)[0]
        assert written.tolist() == [*ids[0].tolist(), *tokenizer.encode(completion), 256]


@pytest.fixture(scope="module")
def config(folder: Path) -> SFTConfig:
    """Everything that has state or is random: epochs, packing over a window, a held-out part."""
    return make_config(
        folder,
        "sums.jsonl",
        name="kill",
        epochs=2,
        data={"heldout_samples": 9},
        batch={"samples": 0, "tokens": 100, "window": 40, "microbatch_tokens": 60},
        optimizer={"learning_rate": 3e-3, "min_learning_rate": 3e-4, "warmup_steps": 3},
        template={"name": "plain"},
        problems={"path": str(folder / "problems.jsonl")},
        eval={"num_problems": 3, "k": 2, "every": 5, "max_completion_tokens": 6},
        checkpoint={"every": 4, "keep": 2},
    )


def contents(path: Path) -> dict[str, Any]:
    """All that a run leaves, without the clock."""
    state = torch.load(last_checkpoint(path) / "trainer_state.pt", weights_only=True)
    moments = state["optimizer"]["state"]
    return living.contents(path) | {
        "moments": {i: m["exp_avg_sq"].tolist() for i, m in moments.items()}
    }


MOMENTS = {
    "checkpoints": [there(f"checkpoints/.tmp_step_0000{s}") for s in ("04", "08", "12")],
    "evaluations": [there("evals/step_000000.json"), there("evals/step_000005.json")],
    "end": [there("checkpoints/.tmp_step_000012/trainer_state.pt"), there("checkpoints/*16")],
    "random": [after(s) for s in random.Random(5).choices([x / 100 for x in range(2, 60)], k=5)],
}


@pytest.mark.parametrize("name", MOMENTS)
def test_killed_and_resumed_is_uninterrupted(
    name: str, lives: Lives, uninterrupted: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    live_through(lives, path, MOMENTS[name])
    ours, theirs = contents(path), contents(uninterrupted)
    for part, expected in theirs.items():
        assert ours[part] == expected, part


def test_the_uninterrupted_run_is_worth_comparing(uninterrupted: Path) -> None:
    found = contents(uninterrupted)
    rows, summary = found["metrics"], found["summary"]
    steps = summary["steps"]
    assert steps > 12
    assert [row["step"] for row in rows] == list(range(steps + 1))
    evaluated = [s for s, row in enumerate(rows) if "eval/loss" in row]
    assert evaluated == [*range(0, steps, 5), steps]
    assert [s for s, row in enumerate(rows) if "eval/pass@1" in row] == evaluated
    assert {row["sft/epoch"] for row in rows[:-1]} == {0, 1}
    assert sum(row["sft/samples"] for row in rows[:-1]) == 2 * summary["data"]["samples"]
    assert summary["data"]["samples"] + summary["data"]["heldout_samples"] == 81
    assert all(row["sft/tokens"] <= 100 for row in rows[:-1])
    assert any(row["sft/forward_passes"] == 2 for row in rows[:-1])
    assert summary["last_loss"] < summary["first_loss"]
    assert summary["heldout_loss"][1] < summary["heldout_loss"][0]
    assert summary["before"]["num_problems"] == 3


def test_asked_to_stop_finishes_the_step_and_resumes(
    config: SFTConfig, uninterrupted: Path, tmp_path: Path
) -> None:
    asked = iter([False] * 6 + [True])
    summary = run(config, tmp_path / "run", should_stop=lambda: next(asked))
    assert (summary.steps, summary.finished) == (6, False)
    assert not (tmp_path / "run" / "summary.json").exists()
    fine_tune(config, RunFolder.open(tmp_path / "run"), resume=True)
    ours, theirs = contents(tmp_path / "run"), contents(uninterrupted)
    for part in ("metrics", "evals", "weights", "moments", "summary"):
        assert ours[part] == theirs[part], part


def test_a_finished_run_and_a_folder_in_use_say_so(config: SFTConfig, uninterrupted: Path) -> None:
    opened = RunFolder.open(uninterrupted)
    with pytest.raises(PonderError, match=r"this run is finished \((\d+) of \1 steps\)"):
        fine_tune(config, opened, resume=True)
    with pytest.raises(PonderError, match="this folder holds a run"):
        fine_tune(config, opened)


def test_data_that_changed_is_noticed_at_a_resume(folder: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes((folder / "sums.jsonl").read_bytes())
    config = make_config(tmp_path, "rows.jsonl", batch={"samples": 9}, checkpoint={"every": 2})
    config = config.model_copy(update={"model": str(folder / "model")})
    asked = iter([False] * 3 + [True])
    run(config, tmp_path / "run", should_stop=lambda: next(asked))
    rows.write_text(rows.read_text().replace("8 + 8", "8 + 9"))
    with pytest.raises(PonderError, match=r"data.path = .*: its samples are not those that"):
        fine_tune(config, RunFolder.open(tmp_path / "run"), resume=True)


MODES: dict[str, dict[str, Any]] = {
    "adapters": {"lora": {"rank": 4}, "optimizer": {"learning_rate": 1e-2}},
    "bfloat16": {"dtype": "bfloat16"},
    "offload": {"dtype": "bfloat16", "optimizer": {"offload": True}},
}


@pytest.mark.parametrize("name", MODES)
def test_other_weights_resume_as_well(name: str, folder: Path, tmp_path: Path) -> None:
    if name == "adapters":
        pytest.importorskip("peft")
    sizes = {"batch": {"samples": 20}, "checkpoint": {"every": 2}}
    config = make_config(folder, "sums.jsonl", **MODES[name], **sizes)
    whole = run(config, tmp_path / "whole")
    asked = iter([False] * 3 + [True])
    run(config, tmp_path / "cut", should_stop=lambda: next(asked))
    resumed = fine_tune(config, RunFolder.open(tmp_path / "cut"), resume=True)
    files = [s.model_path / "model.safetensors" for s in (whole, resumed)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert whole.last_loss == resumed.last_loss
    adapter = whole.model_path / "adapter" / "adapter_model.safetensors"
    assert adapter.is_file() == (name == "adapters")


def test_samples_beyond_the_context_are_left_out_and_said(folder: Path, tmp_path: Path) -> None:
    rows = [("p", " c"), ("p" * 1500, "c" * 1500)]
    write_rows(tmp_path / "rows.jsonl", rows)
    notes: list[str] = []

    class Watcher:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *args: notes.extend(args[0].notes) if name == "on_start" else None

    config = make_config(folder, "sums.jsonl", max_steps=1)
    config = config.model_copy(
        update={"data": config.data.model_copy(update={"path": tmp_path / "rows.jsonl"})}
    )
    summary = run(config, tmp_path / "run", observer=Watcher())
    assert summary.data["dropped"] == 1
    assert notes == [
        f"1 of 2 samples of {tmp_path / 'rows.jsonl'} are left out (longer than 2,048 tokens)"
    ]


def test_no_data_is_said_before_a_model_is_opened(tmp_path: Path) -> None:
    config = SFTConfig(model="no such model")
    with pytest.raises(PonderError, match=r"data.path = None: name the rows to learn"):
        run(config, tmp_path / "run")


@pytest.mark.parametrize("lora", [{}, {"rank": 16}])
def test_a_chat_model_learns_to_answer_in_its_template(
    folder: Path, tmp_path: Path, lora: dict[str, int]
) -> None:
    """Questions get the chat template in training as in sampling, from a folder that has one."""
    if lora:
        pytest.importorskip("peft")
    model, tokenizer = make_tiny_model(0)
    tokenizer.chat_template = (
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
    )
    save_model(model, tokenizer, tmp_path / "chat")
    rows = [{"question": question, "completion": answer} for question, answer in FACTS.items()]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    config = make_config(
        tmp_path,
        "rows.jsonl",
        model=str(tmp_path / "chat"),
        template={"name": "chat"},
        epochs=80 if lora else 60,
        batch={"samples": 4},
        lora=lora,
        optimizer={"learning_rate": 1e-2, "min_learning_rate": 1e-3},
        checkpoint={"every": 1000},
    )
    summary = run(config, tmp_path / "run")
    trained, its_tokenizer = load_model(str(summary.model_path), "cpu")
    make_prompt = PromptMaker(config.template, its_tokenizer)
    prompts = [make_prompt(Problem(str(i), question, "")) for i, question in enumerate(FACTS)]
    assert prompts[0].text == "<|user|>What is the capital of France?<|assistant|>"
    greedy = Sampling(temperature=0.0, max_completion_tokens=60)
    written = LocalGenerator(trained, its_tokenizer).generate(prompts, 1, greedy, 0)
    assert [one.text for [one] in written] == list(FACTS.values())
    assert {one.finish_reason for [one] in written} == {"stop"}
