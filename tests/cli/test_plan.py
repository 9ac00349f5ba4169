"""`ponder plan`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoConfig

from ponder.cli.main import main
from ponder.config.recipes import load_recipe, recipe_names
from ponder.config.rl import RLConfig

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


def test_on_a_cpu_there_is_memory_and_no_time(capsys: Capture) -> None:
    assert main(["plan", "zero-tiny", "device=cpu"]) == 0
    printed = capsys.readouterr().out
    assert "no time is predicted on a CPU" in printed
    assert "memory, GiB" in printed
    assert "time, seconds" not in printed


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
        (["base-tiny"], "only RL recipes are planned"),
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
