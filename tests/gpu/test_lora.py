"""Adapters on a GPU: engine and trainer agree, compiled, in bfloat16 and over 4-bit weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from ponder.config.rl import RLConfig
from ponder.generate.local import LocalGenerator
from ponder.models import lora as adapters
from ponder.models.load import save_model
from ponder.models.tiny import make_tiny_model
from ponder.train.rl.batch import make_batch
from ponder.train.rl.policy import Policy
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Sampling, Verdict

pytest.importorskip("peft")

pytestmark = pytest.mark.gpu


def config_of(quantize: str, dtype: str) -> RLConfig:
    return RLConfig.model_validate(
        {
            "steps": 4,
            "device": "cuda",
            "dtype": dtype,
            "lora": {"rank": 8, "quantize": quantize},
            "algorithm": {"kl_coef": 0.01},
            "sampling": {"max_completion_tokens": 24},
            "batch": {"prompts_per_step": 4, "group_size": 8},
            "optimizer": {"learning_rate": 5e-3},
        }
    )


def even(completion: Completion) -> Rollout:
    reward = sum(token % 2 == 0 for token in completion.token_ids) / len(completion.token_ids)
    return Rollout(completion, Judgement(Verdict.CORRECT), {"accuracy": reward}, reward)


@pytest.mark.parametrize("quantize", ["none", "nf4"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sampled_from_what_is_trained(tmp_path: Path, quantize: str, dtype: str) -> None:
    if quantize == "nf4":
        pytest.importorskip("bitsandbytes")
    config = config_of(quantize, dtype)
    model, tokenizer = make_tiny_model(
        3, hidden_size=256, num_heads=4, num_kv_heads=2, intermediate_size=512, init_std=0.05
    )
    model = adapters.add_lora(model.to("cuda", getattr(torch, dtype)), config.lora, 0)
    generator = LocalGenerator(model, tokenizer, engine=config.engine)
    policy = Policy(model, config)
    prompts = [Prompt(f"p{i}", "", (50 + i, 60, 70)) for i in range(4)]
    sampling = Sampling(max_completion_tokens=24)
    rewards, mismatches = [], []
    for step in range(4):
        groups = [
            Group(Problem(p.problem_id, "", "0"), p, [even(c) for c in completions])
            for p, completions in zip(
                prompts, generator.generate(prompts, 8, sampling, step), strict=True
            )
        ]
        rewards.append(sum(r.reward or 0 for g in groups for r in g.rollouts) / 32)
        batch = make_batch(groups, config, step)
        policy.score(batch)
        metrics = policy.update(batch.minibatches[0])
        mismatches.append(metrics["policy/mismatch_mean"])
        generator.load(model, version=step + 1)
    assert max(mismatches) < (1e-4 if dtype == "float32" else 0.02)
    assert metrics["loss/kl"] > 1e-4
    print(f"\n{quantize} {dtype}: rewards {rewards}, mismatch {mismatches}")
    save_model(model, tokenizer, tmp_path, adapters.merged_state_dict(model))
    plain = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).cuda()
    ids = torch.tensor([[5, 77, 131, 9]], device="cuda")
    with torch.no_grad():
        error = (plain(ids).logits - model(ids).logits.float()).abs().max()
        assert float(error / plain(ids).logits.abs().mean()) < (1e-2 if dtype == "float32" else 0.2)
