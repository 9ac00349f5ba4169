"""One update: independent of the split, right by hand, and guarded."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch

from ponder.config.rl import (
    AlgorithmConfig,
    BatchConfig,
    OptimizerConfig,
    RLConfig,
    SamplingConfig,
)
from ponder.errors import GuardError, PonderError
from ponder.models.tiny import make_tiny_model
from ponder.train.masters import MasterAdamW
from ponder.train.optimizer import PlainAdamW
from ponder.train.rl.batch import make_batch
from ponder.train.rl.policy import Policy
from ponder.train.rl.reference import FrozenCopy
from ponder.types import Group

VARIANTS = [
    {"loss": "grpo", "normalise": "sequence"},
    {"loss": "dapo", "normalise": "token"},
    {"loss": "dr_grpo", "normalise": "constant", "advantage": "mean"},
    {"loss": "cispo", "normalise": "token", "clip_low": 1.0},
    {"loss": "gspo", "normalise": "sequence", "clip_low": 3e-4, "clip_high": 4e-4},
    {"loss": "dapo", "normalise": "token", "kl_coef": 0.1},
    {"loss": "dapo", "normalise": "sequence", "mask_truncated": True},
]


def config(algorithm: dict[str, Any], **batch: Any) -> RLConfig:
    return RLConfig(
        steps=4,
        algorithm=AlgorithmConfig(**algorithm),
        batch=BatchConfig(**{"prompts_per_step": 4, **batch}),
        sampling=SamplingConfig(max_completion_tokens=12, temperature=0.8),
        optimizer=OptimizerConfig(learning_rate=1e-2, max_grad_norm=1e9),
    )


@pytest.fixture
def groups(make_group: Any) -> list[Group]:
    return [
        make_group("a", [1, 0, 0.5], [3, 12, 5], cut=[1], prompt_tokens=7),
        make_group("b", [1, None, 0], [2, 4, 6], prompt_tokens=4),
        make_group("same", [1, 1], [8, 9]),
        make_group("d", [0, 1, 1, 0], [1, 2, 3, 4]),
    ]


class Keeping(Policy):
    """Keeps the gradients of its last update, which frees them."""

    gradients = torch.empty(0)

    def _step(self, loss: float) -> dict[str, float]:
        parts = [p.grad.flatten() for p in self.model.parameters() if p.grad is not None]
        self.gradients = torch.cat(parts) if parts else torch.empty(0)
        return super()._step(loss)


def updated(groups: list[Group], settings: RLConfig) -> tuple[dict[str, float], Keeping]:
    model, _ = make_tiny_model(3)
    policy = Keeping(model, settings)
    batch = make_batch(groups, settings, 0)
    policy.score(batch)
    return [policy.update(minibatch) for minibatch in batch.minibatches][-1], policy


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v["loss"] + "-" + v["normalise"])
def test_loss_and_gradient_do_not_depend_on_the_split(
    groups: list[Group], variant: dict[str, Any]
) -> None:
    whole, one = updated(groups, config(variant, microbatch_tokens=10_000))
    split, many = updated(groups, config(variant, microbatch_tokens=20, logprob_chunk_tokens=3))
    assert set(whole) == set(split)
    for key, value in whole.items():
        assert split[key] == pytest.approx(value, rel=1e-4, abs=1e-6), key
    assert torch.allclose(one.gradients, many.gradients, rtol=1e-3, atol=1e-6)
    assert one.gradients.abs().max() > 1e-4


class MainGradients(Policy):
    """Keeps the float32 gradients of its last update, which frees them."""

    gradients = torch.empty(0)

    def _step(self, loss: float) -> dict[str, float]:
        assert isinstance(self.optimizer, MasterAdamW)
        self.gradients = self.optimizer.gradients.flat.clone()
        return super()._step(loss)


def test_bfloat16_gradients_do_not_depend_on_the_split(make_group: Any) -> None:
    """In whole and in 24 parts: the sum adds no error to that of bfloat16's own passes."""
    groups = [make_group(f"g{i}", [1, 0, 0.5], [4, 8, 6], prompt_tokens=5) for i in range(8)]

    def gradient(dtype: torch.dtype, microbatch_tokens: int) -> torch.Tensor:
        batch = {"microbatch_tokens": microbatch_tokens, "prompts_per_step": 8}
        settings = config({"loss": "dapo"}, **batch)
        optimizer = settings.optimizer.model_copy(update={"offload": True})  # masters in float32
        settings = settings.model_copy(update={"optimizer": optimizer})
        policy = MainGradients(make_tiny_model(3)[0].to(dtype), settings)
        policy.update(make_batch(groups, settings, 0).minibatches[0])
        return policy.gradients

    exact, whole = gradient(torch.float32, 10_000), gradient(torch.bfloat16, 10_000)
    split = gradient(torch.bfloat16, 1)
    own = float((whole - exact).norm() / exact.norm())
    assert 1e-3 < own < 0.1
    assert float((split - exact).norm() / exact.norm()) < 1.5 * own
    assert float((split - whole).norm() / exact.norm()) < 1.5 * own


def test_equal_rewards_are_skipped_and_change_nothing(groups: list[Group], make_group: Any) -> None:
    """The forward pass leaves them out; the loss is as if it had not."""
    settings = config({"loss": "dapo"})
    _, policy = updated(groups, settings)
    model, _ = make_tiny_model(3)
    slow = Keeping(model, settings)
    slow.reference = FrozenCopy(model)  # with a reference nothing is skipped; kl_coef is 0
    slow.update(make_batch(groups, settings, 0).minibatches[0])
    assert torch.allclose(policy.gradients, slow.gradients, rtol=1e-4, atol=1e-7)


def test_gradient_of_the_first_update_is_that_of_reinforce(groups: list[Group]) -> None:
    """On policy the ratio is 1: the gradient is -sum A grad logprob / tokens, by autograd here."""
    settings = config({"loss": "grpo", "normalise": "token", "importance_cap": 0.0})
    metrics, policy = updated(groups, settings)
    model, _ = make_tiny_model(3)
    total, num_tokens = torch.zeros(()), 0
    for group in groups:
        for rollout in group.rollouts:
            if rollout.advantage is None:
                continue
            ids, start = rollout.completion.token_ids, len(group.prompt.token_ids)
            logits = model(torch.tensor([[*group.prompt.token_ids, *ids]])).logits[0] / 0.8
            logprobs = logits.log_softmax(-1)[start - 1 : -1]
            chosen = logprobs.gather(1, torch.tensor(ids)[:, None])
            total = total - rollout.advantage * chosen.sum()
            num_tokens += len(ids)
    (total / num_tokens).backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert torch.allclose(policy.gradients, expected, rtol=1e-3, atol=1e-6)
    assert metrics["loss/ratio_max"] == 1.0
    assert metrics["policy/grad_norm"] == pytest.approx(float(expected.norm()), rel=1e-4)


def test_several_minibatches_score_first_and_drift_after(groups: list[Group]) -> None:
    settings = config({"loss": "dapo", "importance_cap": 0.0}, minibatches=2)
    model, _ = make_tiny_model(3)
    policy, batch = Policy(model, settings), make_batch(groups, settings, 0)
    policy.score(batch)
    assert all(
        row.old_logprobs is not None
        for m in batch.minibatches[1:]
        for g in m.groups
        for row in g.rows
        if any(r.advantage for r in g.rows)
    )
    first, second = [policy.update(minibatch) for minibatch in batch.minibatches]
    assert first["loss/ratio_max"] == 1.0  # its own pass serves: not even rounding is between
    assert second["loss/ratio_max"] > 1.001
    assert policy.num_updates == 2


def test_guard_old_logprobs_of_other_weights(groups: list[Group]) -> None:
    settings = config({"loss": "dapo"}, minibatches=2)
    model, _ = make_tiny_model(3)
    policy, batch = Policy(model, settings), make_batch(groups, settings, 0)
    policy.score(batch)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(1.05)
    with pytest.raises(GuardError, match=r"mean \|log ratio\|"):
        policy.update(batch.minibatches[0])


def test_guard_nan_leaves_the_weights_alone(groups: list[Group]) -> None:
    settings = config({"loss": "dapo"})
    model, _ = make_tiny_model(3)
    policy, batch = Policy(model, settings), make_batch(groups, settings, 0)
    next(row for row in batch.rows if row.advantage).advantage = float("inf")
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(GuardError, match=r"update 0: .*the weights are untouched"):
        policy.update(batch.minibatches[0])
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_reference_is_replaced_every_so_many_updates(groups: list[Group]) -> None:
    settings = config({"loss": "grpo", "kl_coef": 0.1, "reference_every": 2})
    model, _ = make_tiny_model(3)
    policy, kls = Policy(model, settings), []
    for step in range(4):
        (minibatch,) = make_batch(groups, settings, step).minibatches
        kls.append(policy.update(minibatch)["loss/kl"])
    assert kls[0] == pytest.approx(0.0, abs=1e-7)
    assert kls[1] > 1e-5
    assert kls[2] == pytest.approx(0.0, abs=1e-7)
    assert kls[3] > 1e-5


def test_state_restores_optimizer_reference_and_count(groups: list[Group]) -> None:
    settings = config({"loss": "grpo", "kl_coef": 0.1, "reference_every": 3})
    (minibatch,) = make_batch(groups, settings, 0).minibatches
    model, _ = make_tiny_model(3)
    policy = Policy(model, settings)
    policy.update(minibatch)
    saved = copy.deepcopy(policy.state())
    resumed = Policy(copy.deepcopy(model), settings)
    resumed.restore(saved, policy.num_updates)
    for _ in range(3):
        assert policy.update(minibatch) == resumed.update(minibatch)
    for ours, theirs in zip(policy.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_resumed_run_has_the_settings_of_its_config(groups: list[Group]) -> None:
    """config.toml may have been edited between: none of it is silently the old value."""
    settings = config({"loss": "grpo"})
    (minibatch,) = make_batch(groups, settings, 0).minibatches
    policy = Policy(make_tiny_model(3)[0], settings)
    policy.update(minibatch)
    changed = {"optimizer": OptimizerConfig(beta1=0.5, eps=1e-3, weight_decay=0.25)}
    resumed = Policy(policy.model, settings.model_copy(update=changed))
    resumed.restore(policy.state(), 1)
    assert isinstance(resumed.optimizer, PlainAdamW)
    inner = resumed.optimizer.inner
    for group, weight_decay in zip(inner.param_groups, (0.25, 0.0), strict=True):
        assert (group["betas"], group["eps"]) == ((0.5, 0.95), 1e-3)
        assert group["weight_decay"] == weight_decay
    assert len(inner.state) == len(list(policy.model.parameters()))
    with pytest.raises(PonderError, match="the checkpoint has no reference"):
        Policy(policy.model, config({"kl_coef": 0.1})).restore(policy.state(), 1)


def test_nothing_in_the_loss_is_an_update_of_zero(make_group: Any) -> None:
    settings = config({"loss": "dapo"})
    metrics, policy = updated([make_group("a", [1, 1], [3, 4])], settings)
    assert metrics["loss/total"] == 0.0
    assert metrics["policy/grad_norm"] == 0.0
    assert policy.num_updates == 1
    fresh, _ = make_tiny_model(3)
    for ours, theirs in zip(policy.model.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_split_guard_is_silent_where_only_the_kl_is_left(make_group: Any) -> None:
    """A resumed run may begin with groups of equal rewards: its loss is then the KL alone."""
    settings = config({"loss": "grpo", "kl_coef": 1.0, "normalise": "sequence"})
    equal = [make_group(name, [1, 1, 1], [38, 29, 1], prompt_tokens=20) for name in "pqr"]
    for pair in itertools.combinations(equal, 2):
        (minibatch,) = make_batch(pair, settings, 0).minibatches
        policy = Policy(make_tiny_model(3)[0], settings)
        with torch.no_grad():
            for parameter in policy.model.parameters():
                noise = torch.Generator().manual_seed(0)
                parameter.add_(1e-3 * torch.randn(parameter.shape, generator=noise))
        assert policy.update(minibatch)["loss/kl"] > 1e-5
