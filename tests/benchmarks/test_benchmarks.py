"""The benchmarks at the tiny shape: every side of ours, the floors by hand, and one whole run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
CEILINGS = {"flops_per_second": 1e11, "bytes_per_second": 1e10}


@pytest.fixture(autouse=True)
def _beside_the_scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The scripts find their modules beside themselves; one thread, as in other tests."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def job(**more: Any) -> dict[str, Any]:
    usual = {"device": "cpu", "dtype": "float32", "repeats": 1, "threads": 0, "settings": []}
    return usual | {"ceilings": CEILINGS, "nominal": None} | more


def rollout_job(side: str, **sizes: Any) -> dict[str, Any]:
    from rollout_sides import Workload
    from shapes import config_of, size_of

    fields = {"prompts": 2, "group_size": 3, "prompt_tokens": 8, "new_tokens": 12, "slots": 4}
    workload = Workload("w", **fields | sizes)
    size = asdict(size_of(config_of("tiny")))
    known = {"shape": "tiny", "size": size, "vocabulary": 512, "context": 8192}
    return job(side=side, workloads=[asdict(workload)], new_tokens_at_most=8, **known)


def test_rollout_of_ponder_gives_every_token_and_the_trainers_logprobs() -> None:
    from rollout_sides import work

    for sizes in ({}, {"sigma": 1.0, "cap": 40}):
        row = work(rollout_job("ponder", **sizes))["rows"][0]
        assert row["stats"]["num_tokens"] == row["tokens"]
        assert row["mismatch_tokens"] == row["tokens"]
        assert 0 < row["mismatch_max"] < 1e-4
        assert 0 < row["of_floor"] < 1


def test_rollout_of_transformers_picks_a_cache_and_says_how_many_tokens() -> None:
    from rollout_sides import work

    row = work(rollout_job("transformers"))["rows"][0]
    assert row["tokens"] == 2 * 3 * 8
    assert "8 tokens" in row["mode"]
    assert set(row["trial_seconds"]) == {"dynamic", "static"}


def test_lognormal_lengths_have_their_mean_and_stay_the_same() -> None:
    from rollout import GPU_WORKLOADS

    workload = next(one for one in GPU_WORKLOADS if one.sigma)
    lengths = [limit for group in workload.limits() for limit in group]
    assert len(lengths) == 1024
    assert max(lengths) <= 4096
    assert 340 < sum(lengths) / len(lengths) < 460
    assert workload.limits() == workload.limits()


def test_a_side_that_ends_early_is_refused() -> None:
    from rollout_sides import Workload, check_lengths

    workload = Workload("w", 1, 2, 8, 12, slots=2)
    check_lengths(workload, [12, 12])
    with pytest.raises(RuntimeError, match="23 tokens instead of 24"):
        check_lengths(workload, [12, 11])


def test_update_of_ponder_and_of_transformers() -> None:
    from train import WORKLOADS, work

    for side in ("ponder", "transformers"):
        row = work(job(side=side, workload=asdict(WORKLOADS["tiny"])))["rows"][0]
        assert row["tokens"] == 16 * 64
        assert 0 < row["of_floor"] < 1


def test_settings_reach_the_trainer() -> None:
    from train import WORKLOADS, work

    settings = ["batch.microbatch_tokens=100", "optimizer.learning_rate=0.5"]
    sides = job(side="ponder", workload=asdict(WORKLOADS["tiny"])) | {"settings": settings}
    row = work(sides)["rows"][0]
    assert row["settings"]["batch"]["microbatch_tokens"] == 100
    assert row["settings"]["optimizer"]["learning_rate"] == 0.5


def test_step_of_ponder_trains_on_every_completion() -> None:
    from step import work
    from training import TrainWorkload

    workload = TrainWorkload("step", "tiny", 2, 3, 8, 10)
    row = work(job(side="ponder", workload=asdict(workload)))["rows"][0]
    assert row["tokens"] == 2 * 3 * 10
    assert row["metrics"]["policy/grad_norm"] > 0
    assert row["mismatch_max"] < 1e-4
    assert row["handover_ms"] < 100
    parts = sum(row[f"{name}_seconds"] for name in ("rollout", "update", "handover", "check"))
    assert parts <= row["step_seconds"] * 1.001


def test_size_of_a_shape() -> None:
    from shapes import config_of, size_of

    size = size_of(config_of("tiny"))
    attention = 32 * 32 * 2 + 32 * 16 * 2  # q and o, k and v of two heads
    assert size.linear == 2 * (attention + 3 * 32 * 64)
    assert size.head == 512 * 32
    assert size.kv == 2 * 2 * 2 * 8
    assert size.attention_flops(10) == 2 * 10 * 4 * 32


def test_floors_by_hand() -> None:
    from shapes import Ceilings, Size, rollout_floor, update_floor

    size = Size(parameters=1000, linear=800, head=200, layers=1, width=10, kv=4)
    only_bytes, only_flops = Ceilings(float("inf"), 1.0), Ceilings(1.0, float("inf"))
    limits = [[3, 2]]
    # Weights: prefill 800; 3 steps of 1,000 (two slots). Own keys and values: 0 + 1 + 2 and 0 + 1
    # tokens; the prompt's 5, in 3 steps, once for both.
    assert rollout_floor(size, 5, limits, 2, 2, only_bytes) == 2 * (800 + 3000 + 4 * (4 + 15))
    prefill = 5 * (2 * 800 + 4 * 10 * 2.5)
    assert rollout_floor(size, 5, limits, 2, 2, only_flops) == prefill + 5 * 2000 + 40 * (4 + 25)
    forward = 2 * 800 * 10 + 2 * 200 * 5 + 40 * (12.5 + 3 * 6.5 + 2 * 6)
    assert update_floor(size, 5, limits, only_flops) == 3 * forward
    assert update_floor(size, 5, limits, only_bytes) == 14 * 1000


def test_an_option_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    from train import parse_options

    assert parse_options(["batch.compile=false"]).settings == ["batch.compile=false"]
    with pytest.raises(SystemExit):
        parse_options(["--wrokload", "tiny"])
    assert "--wrokload: no such option" in capsys.readouterr().err


@pytest.mark.slow
def test_side_by_side_in_child_processes(tmp_path: Path) -> None:
    """A peer that fails (vLLM is not installed, or has no such device) is a row that says so."""
    out = tmp_path / "out.json"
    sizes = ["--prompts", "2", "--group-size", "2", "--new-tokens", "4", "--repeats", "1"]
    command = [sys.executable, str(FOLDER / "rollout.py"), "--shape", "tiny", "--device", "cpu"]
    command += ["--workload", "fixed", *sizes, "--vs", "transformers", "vllm"]
    command += ["--vllm-process", "in", "--json", str(out)]
    environment = os.environ | {"PYTHONPATH": str(FOLDER.parent / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    rows = json.loads(out.read_text())["rows"]
    assert [row["who"].split(",")[0] for row in rows] == ["ponder", "vllm", "transformers"]
    assert done.returncode == (1 if "error" in rows[1] else 0)
    assert "x transformers's best mode" in done.stdout
