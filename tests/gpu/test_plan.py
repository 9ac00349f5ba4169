"""The planner on a GPU: refusals before anything is loaded, and peaks that are as predicted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ponder.config.rl import RLConfig
from ponder.errors import PonderError
from ponder.generate.local import LocalGenerator
from ponder.models.tiny import byte_level_tokenizer
from ponder.plan import make_plan
from ponder.plan.constants import GIB
from ponder.plan.demand import demand_of
from ponder.plan.devices import this_gpu
from ponder.plan.here import plan_run
from ponder.plan.read import shape_of
from ponder.train.rl.batch import Minibatch, PromptRows, Row
from ponder.train.rl.policy import Policy
from ponder.train.rl.session import open_session
from ponder.train.sizes import resolve_sizes
from ponder.types import Prompt, Sampling

pytestmark = pytest.mark.gpu

PROMPTS, GROUP, PROMPT_TOKENS, LIMIT = 16, 8, 64, 128


def test_what_cannot_fit_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    """The folder has no weights: loading it would be another error."""
    AutoConfig.for_model("deepseek_v3").save_pretrained(tmp_path)
    config = RLConfig(model=str(tmp_path), device="cuda", dtype="bfloat16")
    with pytest.raises(PonderError, match="use a smaller model"):
        open_session(config, None)


def test_a_run_s_plan_is_for_this_gpu() -> None:
    plan = plan_run(RLConfig(device="cuda"), "base-tiny")
    assert plan is not None
    assert plan.device.name == torch.cuda.get_device_name()
    assert plan.peak <= torch.cuda.get_device_properties(0).total_memory


def test_peaks_are_as_predicted() -> None:
    """Within a fifth, for a model small enough to make here (200M parameters)."""
    asked = AutoConfig.for_model(
        "qwen2", hidden_size=1024, intermediate_size=4096, num_hidden_layers=8,
        num_attention_heads=16, num_key_value_heads=4, vocab_size=32_000, tie_word_embeddings=True,
    )  # fmt: skip
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(asked, dtype=torch.bfloat16).eval()
    batch = {"prompts_per_step": PROMPTS, "group_size": GROUP, "microbatch_tokens": 8192}
    config = RLConfig.model_validate(
        {
            "device": "cuda",
            "dtype": "bfloat16",
            "batch": batch,
            "sampling": {"max_completion_tokens": LIMIT},
        }
    )
    device = this_gpu()
    assert device is not None
    plan = make_plan(demand_of(config, PROMPT_TOKENS), shape_of(asked, "small"), device)
    policy = Policy(model, resolve_sizes(config, plan))
    minibatch = _random_minibatch()
    policy.update(minibatch)
    torch.cuda.reset_peak_memory_stats()
    policy.update(minibatch)
    peak = torch.cuda.max_memory_allocated() - before
    predicted = sum(plan.update.values()) - plan.update["runtime"]
    assert peak / GIB == pytest.approx(predicted / GIB, rel=0.2)
    generator = LocalGenerator(model, byte_level_tokenizer())
    prompts = [Prompt(f"p{i}", "", g.prompt_ids) for i, g in enumerate(minibatch.groups)]
    torch.cuda.reset_peak_memory_stats()
    sampling = Sampling(max_completion_tokens=LIMIT, ignore_end_tokens=True)
    generator.generate(prompts, GROUP, sampling, seed=0)
    peak = torch.cuda.max_memory_allocated() - before
    predicted = sum(plan.rollout.values()) - plan.rollout["runtime"]
    assert peak / GIB == pytest.approx(predicted / GIB, rel=0.2)


def _random_minibatch() -> Minibatch:
    draw = torch.Generator().manual_seed(0)

    def some(count: int) -> list[int]:
        return torch.randint(10, 200, (count,), generator=draw).tolist()  # type: ignore[no-any-return]

    groups = tuple(
        PromptRows(
            tuple(some(PROMPT_TOKENS)),
            tuple(
                Row(some(LIMIT), [-10.0] * LIMIT, 1.0 if sample % 2 else -1.0)
                for sample in range(GROUP)
            ),
        )
        for _ in range(PROMPTS)
    )
    return Minibatch(groups, float(PROMPTS * GROUP * LIMIT))
