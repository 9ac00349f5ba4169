"""Other decoders of transformers: those that fit work, the others say why not."""

import pytest
import torch
from tests.generate.helpers import random_prompts, trainer_logprobs
from transformers import (
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    Lfm2Config,
    Lfm2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    NemotronConfig,
    NemotronForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from ponder.errors import PonderError
from ponder.generate.local import LocalGenerator
from ponder.models.tiny import byte_level_tokenizer
from ponder.types import Sampling

SIZES = {
    "vocab_size": 258,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "eos_token_id": 256,
    "bos_token_id": None,
    "pad_token_id": 257,
}
LATENT = SIZES | {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 12,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 6,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "n_shared_experts": 1,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
}
SAMPLING = Sampling(max_completion_tokens=40)


def small(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if kind == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**SIZES)).eval()
    if kind == "deepseek_v3":
        return DeepseekV3ForCausalLM(DeepseekV3Config(**LATENT)).eval()
    if kind == "gemma2":
        return Gemma2ForCausalLM(Gemma2Config(**SIZES)).eval()
    if kind == "lfm2":
        layers = ["conv", "full_attention"]
        return Lfm2ForCausalLM(Lfm2Config(**SIZES, layer_types=layers)).eval()
    if kind == "nemotron":
        return NemotronForCausalLM(NemotronConfig(**SIZES)).eval()
    if kind == "mamba":
        sizes = {"vocab_size": 258, "hidden_size": 32, "num_hidden_layers": 2}
        return MambaForCausalLM(MambaConfig(**sizes, eos_token_id=256)).eval()
    if kind == "gpt2":
        sizes = {"vocab_size": 258, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
        return GPT2LMHeadModel(GPT2Config(**sizes, eos_token_id=256, bos_token_id=None)).eval()
    window = int(kind.removeprefix("mistral_"))
    return MistralForCausalLM(MistralConfig(**SIZES, sliding_window=window)).eval()


@pytest.mark.parametrize("kind", ["qwen3", "deepseek_v3", "mistral_200", "gpt2"])
def test_these_agree_with_a_plain_forward_pass(kind) -> None:
    model = small(kind)
    prompts = random_prompts((40, 3, 66), common=2)
    groups = LocalGenerator(model, byte_level_tokenizer()).generate(prompts, 2, SAMPLING, 0)
    for prompt, group in zip(prompts, groups, strict=True):
        for completion in group:
            expected = trainer_logprobs(model, prompt, completion, 1.0)
            found = torch.tensor(completion.sampler_logprobs)
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("lfm2", "only 1 of its 2 layers attended"),
        ("nemotron", "do not hand arguments on"),
        ("mamba", "max_position_embeddings"),
    ],
)
def test_other_kinds_of_layers_are_refused(kind: str, why: str) -> None:
    """They would run: without the state that their layers keep from token to token."""
    generator = LocalGenerator(small(kind), byte_level_tokenizer())
    with pytest.raises(PonderError, match=why):
        generator.generate(random_prompts((40,)), 1, SAMPLING, 0)


@pytest.mark.parametrize(
    ("kind", "why"), [("mistral_60", "its window of 60 tokens"), ("gemma2", "soft-capped scores")]
)
def test_these_are_refused(kind: str, why: str) -> None:
    generator = LocalGenerator(small(kind), byte_level_tokenizer())
    with pytest.raises(PonderError, match=why):
        generator.generate(random_prompts((40,)), 1, SAMPLING, 0)
