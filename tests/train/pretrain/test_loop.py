"""Pretraining: it learns, its checkpoint opens as it is, and a stopped run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from ponder.config.pretrain import ArchitectureConfig, CorpusConfig, PretrainConfig
from ponder.models.tiny import make_tiny_model
from ponder.runlog.folder import RunFolder
from ponder.runlog.metrics import read_metrics
from ponder.train.pretrain.loop import Clock, pretrain
from ponder.train.pretrain.model import next_token_loss
from ponder.train.pretrain.update import rate_of

CONFIG = PretrainConfig(
    corpus=CorpusConfig(num_documents=400, workers=1),
    architecture=ArchitectureConfig(
        vocab_size=400,
        hidden_size=32,
        intermediate_size=64,
        num_layers=1,
        num_heads=2,
        num_kv_heads=2,
    ),
    steps=40,
    batch_tokens=512,
    sequence_length=64,
    learning_rate=1e-2,
    warmup_steps=5,
    checkpoint_every=20,
)


def run(folder: Path, config: PretrainConfig = CONFIG) -> Path:
    opened = RunFolder.open(folder) if folder.exists() else RunFolder.create(folder, "")
    return pretrain(config, opened, lambda step, metrics: None)


def test_it_learns_and_opens_with_from_pretrained(tmp_path: Path) -> None:
    final = run(tmp_path / "run")
    losses = {
        row["step"]: row["loss/total"] for row in read_metrics(tmp_path / "run/metrics.jsonl")
    }
    assert losses[39] < losses[0] - 1.5
    model = AutoModelForCausalLM.from_pretrained(final)
    tokenizer = AutoTokenizer.from_pretrained(final)
    assert model.config.model_type == "qwen2"
    with safe_open(final / "model.safetensors", "pt") as weights:
        names = weights.keys()
        assert {weights.get_tensor(name).dtype for name in names} == {torch.bfloat16}
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert tokenizer.encode("12") == [tokenizer.encode(d)[0] for d in "12"]


def test_a_run_stopped_at_a_checkpoint_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = AutoModelForCausalLM.from_pretrained(run(tmp_path / "whole"))

    class StopError(Exception):
        pass

    def stop_late(step: int, metrics: dict[str, float]) -> None:
        if step >= 39:
            raise StopError

    folder = RunFolder.create(tmp_path / "cut", "")
    with pytest.raises(StopError):
        pretrain(CONFIG, folder, stop_late)
    assert [p.name for p in folder.checkpoints_dir.iterdir()] == ["step_000020"]
    resumed = AutoModelForCausalLM.from_pretrained(run(tmp_path / "cut"))
    for (name, a), (_, b) in zip(
        whole.state_dict().items(), resumed.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name


def test_learning_rate_warms_up_and_falls_to_a_tenth() -> None:
    config = CONFIG.model_copy(update={"steps": 105, "warmup_steps": 5, "learning_rate": 1.0})
    assert rate_of(0, config) == 0.2
    assert rate_of(4, config) == 1.0
    assert rate_of(55, config) == 0.55
    assert abs(rate_of(104, config) - 0.1) < 1e-3


def test_the_loss_is_that_of_transformers() -> None:
    model, _ = make_tiny_model(0)
    batch = torch.randint(0, 256, (3, 33), generator=torch.Generator().manual_seed(1))
    expected = model(input_ids=batch, labels=batch, use_cache=False).loss
    torch.testing.assert_close(next_token_loss(model, batch), expected)


def test_speed_is_of_all_steps_since_the_last_report(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter((100.0, 102.0, 103.0))
    monkeypatch.setattr("ponder.train.pretrain.loop.time.perf_counter", lambda: next(now))
    clock = Clock(40, batch_tokens=10)
    assert clock.read(43)["speed/update_tokens_per_second"] == 20.0
    assert clock.read(44)["speed/update_tokens_per_second"] == 10.0
