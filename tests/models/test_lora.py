"""Adapters: one object for engine and trainer, never merged but for files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from ponder.config.rl import LoraConfig, RLConfig
from ponder.errors import PonderError
from ponder.generate.local import LocalGenerator
from ponder.models import lora as adapters
from ponder.models.layers import decoder_layers
from ponder.models.load import load_model, save_model
from ponder.models.packed import check_trainable
from ponder.models.tiny import make_tiny_model
from ponder.train.rl.batch import make_batch
from ponder.train.rl.policy import Policy
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Sampling, Verdict

peft = pytest.importorskip("peft")

LORA = LoraConfig(rank=4, alpha=8.0)
IDS = torch.tensor([[5, 77, 131, 9, 200, 31, 64]])


def adapted(lora: LoraConfig = LORA, seed: int = 3) -> PreTrainedModel:
    return adapters.add_lora(make_tiny_model(3)[0], lora, seed)


def shaken(model: PreTrainedModel) -> PreTrainedModel:
    """Adapters that change something, as after training."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapters.adapter_parameters(model).values():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    return model


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS, use_cache=False).logits.float()


def test_the_model_stays_itself_and_begins_unchanged() -> None:
    model, _ = make_tiny_model(3)
    before, layers = logits(model), decoder_layers(model)
    assert adapters.add_lora(model, LORA, 0) is model
    assert torch.equal(logits(model), before)
    assert decoder_layers(model) is layers
    assert isinstance(model.get_output_embeddings(), torch.nn.Linear)
    check_trainable(model)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained == list(adapters.adapter_parameters(model))
    assert len(trained) == 2 * 2 * 7  # A and B, two layers, seven linears each


def test_the_seed_alone_decides_how_adapters_begin() -> None:
    torch.manual_seed(11)
    one = adapted(seed=5)
    torch.manual_seed(12)
    drawn = torch.rand(1)
    torch.manual_seed(12)
    two, other = adapted(seed=5), adapted(seed=6)
    assert torch.equal(torch.rand(1), drawn), "torch's own random state is left alone"
    for a, b, c in zip(*(adapters.adapter_parameters(m).values() for m in (one, two, other)),
                       strict=True):  # fmt: skip
        assert torch.equal(a, b)
        assert torch.equal(a, c) == (not bool(a.any()))


def test_off_is_the_base_and_on_again_the_adapters() -> None:
    base, model = make_tiny_model(3)[0], shaken(adapted())
    changed = logits(model)
    assert float((changed - logits(base)).abs().max()) > 0.1
    with adapters.adapters_off(model):
        assert torch.equal(logits(model), logits(base))
    assert torch.equal(logits(model), changed)
    assert all(p.requires_grad for p in adapters.adapter_parameters(model).values())


def trained(policy: Policy, generator: LocalGenerator, steps: int) -> list[dict[str, float]]:
    """Updates towards even tokens, sampled by the engine itself."""
    problem = Problem("p", "p", "0")
    prompts = [Prompt(f"p{i}", "", (50 + i, 60, 70)) for i in range(2)]
    sampling = Sampling(temperature=0.9, max_completion_tokens=6)
    metrics = []
    for step in range(steps):
        groups = []
        for prompt, completions in zip(
            prompts, generator.generate(prompts, 6, sampling, step), strict=True
        ):
            rollouts = [_judged(c) for c in completions]
            groups.append(
                Group(Problem(prompt.problem_id, problem.question, "0"), prompt, rollouts)
            )
        batch = make_batch(groups, policy.config, step)
        policy.score(batch)
        metrics += [policy.update(minibatch) for minibatch in batch.minibatches]
        generator.load(policy.model, version=step + 1)
    return metrics


def _judged(completion: Completion) -> Rollout:
    reward = sum(token % 2 == 0 for token in completion.token_ids) / len(completion.token_ids)
    return Rollout(completion, Judgement(Verdict.CORRECT), {"accuracy": reward}, reward)


def settings(**algorithm: Any) -> RLConfig:
    return RLConfig.model_validate(
        {
            "steps": 8,
            "device": "cpu",
            "lora": LORA.model_dump(),
            "algorithm": algorithm,
            "sampling": {"temperature": 0.9, "max_completion_tokens": 6},
            "batch": {"prompts_per_step": 2, "group_size": 6},
            "optimizer": {"learning_rate": 2e-2},
        }
    )


def test_engine_and_trainer_agree_after_updates_and_the_sampler_has_changed() -> None:
    """The famous bug: adapters that are trained and never reach the sampler."""
    model, tokenizer = make_tiny_model(3)
    frozen = {name: p.clone() for name, p in model.named_parameters()}
    adapters.add_lora(model, LORA, 0)
    generator = LocalGenerator(model, tokenizer)
    policy = Policy(model, settings(kl_coef=0.01))
    ask = ([Prompt("q", "", (1, 2, 3))], 4, Sampling(max_completion_tokens=8), 0)
    before = generator.generate(*ask)
    metrics = trained(policy, generator, 8)
    assert [m["policy/mismatch_max"] < 1e-4 for m in metrics] == [True] * 8
    assert metrics[0]["loss/kl"] == pytest.approx(0.0, abs=1e-7)
    assert metrics[-1]["loss/kl"] > 1e-3, "the reference is the base, and the policy has moved"
    after = generator.generate(*ask)
    assert [c.token_ids for c in after[0]] != [c.token_ids for c in before[0]]
    now = {name.replace(".base_layer.", "."): p for name, p in model.named_parameters()}
    assert all(torch.equal(now[name], value) for name, value in frozen.items())
    assert policy.state()["reference"] is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merged_weights_are_the_same_model_in_a_plain_folder(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    base, tokenizer = make_tiny_model(3)
    model = shaken(adapters.add_lora(base.to(dtype), LORA, 0))
    before = logits(model)
    save_model(model, tokenizer, tmp_path, adapters.merged_state_dict(model))
    plain = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=dtype)
    assert torch.equal(logits(model), before), "saving changes nothing"
    assert [n for n, _ in plain.named_parameters()] == [
        n for n, _ in make_tiny_model(3)[0].named_parameters()
    ]
    scale = float(logits(model).abs().mean())
    error = float((logits(plain) - logits(model)).abs().max()) / scale
    assert error < (1e-5 if dtype is torch.float32 else 0.1)
    opened, _ = load_model(str(tmp_path), "cpu", str(dtype).removeprefix("torch."))
    assert not any("lora" in name for name, _ in opened.named_parameters())


def test_a_saved_adapter_is_read_back_and_is_pefts(tmp_path: Path) -> None:
    model = shaken(adapted())
    adapters.save_adapters(model, tmp_path, "the/base")
    again = adapted(seed=9)
    adapters.load_adapters(again, tmp_path)
    assert torch.equal(logits(again), logits(model))
    theirs = peft.PeftModel.from_pretrained(make_tiny_model(3)[0], tmp_path)
    assert torch.allclose(logits(theirs), logits(model), atol=1e-6)
    told = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (told["r"], told["lora_alpha"], told["base_model_name_or_path"]) == (4, 8.0, "the/base")


def test_adapters_of_another_shape_are_refused(tmp_path: Path) -> None:
    adapters.save_adapters(adapted(), tmp_path, "base")
    for other in (LoraConfig(rank=2), LoraConfig(rank=4, targets=["q_proj"])):
        with pytest.raises(PonderError, match="another rank or other targets"):
            adapters.load_adapters(adapted(other), tmp_path)
    with pytest.raises(PonderError, match="no adapters here"):
        adapters.load_adapters(adapted(), tmp_path / "nowhere")


def test_targets_are_names_or_an_expression_inside_the_decoder() -> None:
    def names(targets: str | list[str]) -> set[str]:
        model = adapted(LoraConfig(rank=2, targets=targets))
        return {n.split(".lora_")[0].split(".", 2)[2] for n in adapters.adapter_parameters(model)}

    assert names(["q_proj", "v_proj"]) == {
        f"{i}.self_attn.{p}_proj" for i in range(2) for p in "qv"
    }
    assert names(r".*layers\.1\.mlp\.up_proj") == {"1.mlp.up_proj"}
    with pytest.raises(PonderError, match=r"lora\.targets = \['nowhere'\]"):
        adapted(LoraConfig(rank=2, targets=["nowhere"]))
    for outside in (["lm_head"], ["embed_tokens"]):
        with pytest.raises(PonderError, match="is no linear layer of the decoder"):
            adapted(LoraConfig(rank=2, targets=outside))


def test_bfloat16_adapters_are_of_the_models_type() -> None:
    model = adapters.add_lora(make_tiny_model(3)[0].bfloat16(), LORA, 0)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_four_bits_train_and_merge(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    exact, tokenizer = make_tiny_model(3, hidden_size=64, intermediate_size=128)
    before = logits(exact)
    model = adapters.add_lora(exact, LORA.model_copy(update={"quantize": "nf4"}), 0)
    error = float((logits(model) - before).norm() / before.norm())
    assert 0.01 < error < 0.5, "4 bits are not the weights, but near them"
    check_trainable(model)
    metrics = trained(Policy(model, settings(kl_coef=0.01)), LocalGenerator(model, tokenizer), 4)
    assert metrics[-1]["loss/kl"] > 0
    save_model(model, tokenizer, tmp_path, adapters.merged_state_dict(model))
    plain = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert float((logits(plain) - logits(model)).abs().max()) < 1e-2
