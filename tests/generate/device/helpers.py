"""The device engine on a CPU: all of it but kernels and graphs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from ponder.generate.local import LocalGenerator
from ponder.types import Completion, Prompt


class DeviceGenerator(LocalGenerator):
    """The generator of a GPU, wherever its model is."""

    _run_on_cpu = LocalGenerator._run_on_device


def greedy(model: PreTrainedModel, prompt: Prompt, limit: int) -> list[int]:
    """What transformers' own ``generate`` writes."""
    ids = torch.tensor([prompt.token_ids], device=model.device)
    out = model.generate(ids, do_sample=False, max_new_tokens=limit)
    return out[0, ids.shape[1] :].tolist()


def assert_same(
    found: Sequence[Sequence[Completion]],
    expected: Sequence[Sequence[Completion]],
    atol: float = 1e-5,
) -> None:
    """The same completions in the same order, log-probabilities up to rounding."""
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert one.token_ids == other.token_ids
            assert (one.problem_id, one.sample_index) == (other.problem_id, other.sample_index)
            assert (one.text, one.finish_reason) == (other.text, other.finish_reason)
            torch.testing.assert_close(
                torch.tensor(one.sampler_logprobs),
                torch.tensor(other.sampler_logprobs),
                atol=atol,
                rtol=1e-5,
            )
