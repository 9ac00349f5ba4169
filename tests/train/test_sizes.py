"""Sizes that a config leaves open."""

from __future__ import annotations

from ponder.config.rl import BatchConfig, RLConfig
from ponder.train.sizes import resolve_sizes


def test_open_sizes_on_a_cpu_are_the_ones_of_always() -> None:
    batch = resolve_sizes(RLConfig(device="cpu")).batch
    assert (batch.microbatch_tokens, batch.logprob_chunk_tokens) == (16384, 1024)
    assert batch.recompute == "none"


def test_what_the_config_names_stays() -> None:
    named = BatchConfig(microbatch_tokens=7, recompute="layers")
    batch = resolve_sizes(RLConfig(device="cpu", batch=named)).batch
    assert (batch.microbatch_tokens, batch.logprob_chunk_tokens) == (7, 1024)
    assert batch.recompute == "layers"
    whole = RLConfig(
        device="cpu",
        batch=BatchConfig(microbatch_tokens=7, logprob_chunk_tokens=8, recompute="none"),
    )
    assert resolve_sizes(whole) == whole
