"""The KL divergence to the reference, estimated from the sampled tokens."""

from __future__ import annotations

import torch
from torch import Tensor


def k3(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """exp(d) - d - 1 with d = ref_logprobs - logprobs, per token, in nats; never negative.

    Unbiased for KL(policy || reference) where tokens were sampled from the policy itself. The
    gradient flows through ``logprobs``. It goes into the loss, not the reward.

    Source: R1 (arXiv 2501.12948 v2) eq. 2; Schulman, "Approximating KL divergence" (k3).
    """
    difference = ref_logprobs.detach() - logprobs
    return torch.expm1(difference) - difference
