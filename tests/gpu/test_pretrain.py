"""Pretraining on a GPU: compiled parts, bfloat16 compute and float32 weights."""

from __future__ import annotations

import pytest
import torch

from ponder.config.pretrain import ArchitectureConfig
from ponder.models.tiny import byte_level_tokenizer
from ponder.train.pretrain.model import build_model, compile_parts, next_token_loss

pytestmark = pytest.mark.gpu

SHAPE = ArchitectureConfig(
    vocab_size=300, hidden_size=128, intermediate_size=256, num_layers=3, num_heads=2,
    num_kv_heads=2,
)  # fmt: skip


def test_compiled_parts_give_the_loss_and_the_gradients_of_float32() -> None:
    tokenizer = byte_level_tokenizer()
    plain = build_model(SHAPE, tokenizer, seed=0).cuda()
    fast = build_model(SHAPE, tokenizer, seed=0).cuda()
    batch = torch.randint(0, 250, (8, 129), generator=torch.Generator().manual_seed(0)).cuda()
    expected = next_token_loss(plain, batch)
    expected.backward()
    loss_of = compile_parts(fast)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = loss_of(fast, batch)
    loss.backward()
    assert abs(float(loss) - float(expected)) < 0.01
    for (name, ours), theirs in zip(fast.named_parameters(), plain.parameters(), strict=True):
        assert ours.dtype == torch.float32
        assert ours.grad is not None
        assert theirs.grad is not None
        far = (ours.grad - theirs.grad).norm() / (theirs.grad.norm() + 1e-6)
        assert far < 0.05, name
