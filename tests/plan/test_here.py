"""The plan of a run on this machine, and what the trainer takes from it."""

from __future__ import annotations

from tests.plan.shapes import config, demand, shape

from ponder.config.rl import RLConfig
from ponder.plan import make_plan
from ponder.plan.devices import GPUS
from ponder.plan.here import plan_run
from ponder.train.sizes import resolve_sizes


def test_a_run_on_a_cpu_has_no_plan() -> None:
    assert plan_run(RLConfig(device="cpu"), "nowhere") is None


def test_open_sizes_become_the_plan_s() -> None:
    plan = make_plan(demand(), shape("Qwen2.5-1.5B"), GPUS["h100"])
    batch = resolve_sizes(config(), plan).batch
    assert batch.microbatch_tokens == plan.sizes.microbatch_tokens
    assert batch.logprob_chunk_tokens == plan.sizes.chunk_tokens
    assert batch.recompute == plan.sizes.recompute
    named = config(batch={"microbatch_tokens": 77})
    assert resolve_sizes(named, plan).batch.microbatch_tokens == 77
