"""`ponder plan`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoConfig

from ponder.cli.main import main
from ponder.config.recipes import load_recipe, recipe_names
from ponder.config.rl import RLConfig
from ponder.models.load import save_model
from ponder.models.tiny import make_tiny_model

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def qwen(tmp_path: Path) -> str:
    """A folder with nothing but a config of a 1.5B shape."""
    config = AutoConfig.for_model(
        "qwen2", hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
        num_attention_heads=12, num_key_value_heads=2, vocab_size=151936, tie_word_embeddings=True,
    )  # fmt: skip
    config.save_pretrained(tmp_path / "qwen")
    return str(tmp_path / "qwen")


def test_a_plan_for_a_gpu(qwen: str, tmp_path: Path, capsys: Capture) -> None:
    arguments = ["plan", "zero-tiny", f"model={qwen}", "dtype=bfloat16", "--gpu", "h100"]
    arguments += ["batch.prompts_per_step=64", "sampling.max_completion_tokens=256"]
    arguments += ["--prompt-tokens", "128", "--mean-tokens", "200"]
    assert main([*arguments, "--json", str(tmp_path / "plan.json")]) == 0
    printed = capsys.readouterr().out
    for text in ("1,543.7M parameters", "NVIDIA H100", "keys and values", "gradients"):
        assert text in printed
    assert "assumed" not in printed
    told = json.loads((tmp_path / "plan.json").read_text())
    assert told["sizes"]["microbatch_tokens"] == 4096  # zero-tiny's own
    assert told["memory_gib"]["rollout"]["weights"] == pytest.approx(2 * 1.5437e9 / 2**30, rel=1e-3)
    assert told["step_seconds"] == pytest.approx(sum(told["seconds"].values()))
    assert told["assumed"] == {"prompt_tokens": 128, "mean_tokens": 200}


def test_what_is_assumed_is_said(capsys: Capture) -> None:
    assert main(["plan", "zero-tiny", "--gpu", "l4"]) == 0
    printed = capsys.readouterr().out
    assert "prompts of 256 tokens (--prompt-tokens N)" in printed
    assert "every completion reaches the limit (--mean-tokens N)" in printed


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    """A random model that takes a moment to measure."""
    save_model(*make_tiny_model(0), tmp_path / "tiny")
    return str(tmp_path / "tiny")


def test_on_a_cpu_a_step_is_measured(tiny: str, tmp_path: Path, capsys: Capture) -> None:
    arguments = ["plan", "zero-tiny", f"model={tiny}", "device=cpu", "threads=1"]
    arguments += ["sampling.max_completion_tokens=16", "batch.prompts_per_step=2"]
    assert main([*arguments, "--mean-tokens", "10", "--json", str(tmp_path / "p.json")]) == 0
    printed = capsys.readouterr().out
    for text in ("time, seconds", "at most", "tokens a second", "on one thread"):
        assert text in printed
    told = json.loads((tmp_path / "p.json").read_text())
    assert 0 < told["step_seconds"] < told["most_step_seconds"]
    assert told["mean_tokens"] == 10


def test_nothing_is_measured_unasked(capsys: Capture) -> None:
    assert main(["plan", "zero-tiny", "device=cpu", "--no-measure"]) == 0
    printed = capsys.readouterr().out
    assert "nothing was measured" in printed
    assert "memory, GiB" in printed
    assert "time, seconds" not in printed


def test_reward_models_are_counted(qwen: str, tmp_path: Path, capsys: Capture) -> None:
    recipe = tmp_path / "r.toml"
    entries = '{ task = "products" }, { task = "requests", verifier = "helpful" }'
    recipe.write_text(f'extends = "modern"\nproblems = {{ mixture = [{entries}] }}\n')
    arguments = ["plan", str(recipe), f"preference.helpful={qwen}", "dtype=bfloat16"]
    assert main([*arguments, "model=base-tiny", "--gpu", "h100"]) == 0
    assert "reward model helpful" in capsys.readouterr().out


def test_other_kinds_are_planned_as_stages(tiny: str, tmp_path: Path, capsys: Capture) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"prompt": "1+1=", "completion": " 2"}) + "\n")
    arguments = ["plan", "sft-tiny", f"model={tiny}", f"data.path={rows}", "device=cpu"]
    assert main([*arguments, "threads=1", "--json", str(tmp_path / "p.json")]) == 0
    printed = capsys.readouterr().out
    assert "3 epochs, updates of 16 samples" in printed
    assert "about 0:0" in printed
    assert json.loads((tmp_path / "p.json").read_text())["rows"] == 3


def test_what_cannot_fit_is_refused_with_a_knob(qwen: str, capsys: Capture) -> None:
    arguments = ["plan", "zero-tiny", f"model={qwen}", "dtype=bfloat16", "--gpu", "rtx4090"]
    assert main([*arguments, "batch.microbatch_tokens=0"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: optimizer.offload = False: an update of")
    assert main([*arguments, "batch.microbatch_tokens=0", "optimizer.offload=true"]) == 0
    assert "GiB of the host's memory" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no such recipe"),
        (["sft-tiny"], "name the rows to learn from: data.path=FILE.jsonl"),
        (["distil"], "name the model to learn from: teacher=MODEL"),
        (["base-tiny", "--gpu", "h100"], "planned for this machine alone"),
        (["base-tiny", "--mean-tokens", "9"], "only RL recipes take it"),
        (["zero-tiny", "--gpu", "abacus"], "must be one of h100"),
        (["zero-tiny", "model=nowhere"], "no such folder or model"),
        (["zero-tiny", "--json", "/nowhere/plan.json"], "there is no such folder"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, capsys: Capture) -> None:
    assert main(["plan", *arguments]) == 2
    assert message in capsys.readouterr().err


def bundled(name: str) -> bool:
    config = load_recipe(name).config
    return isinstance(config, RLConfig) and config.model == "base-tiny"


@pytest.mark.parametrize("name", [name for name in recipe_names() if bundled(name)])
def test_every_recipe_whose_model_is_bundled_is_planned(name: str, capsys: Capture) -> None:
    assert main(["plan", name, "--gpu", "h100"]) == 0
    assert "chosen" in capsys.readouterr().out
