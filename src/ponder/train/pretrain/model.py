"""The small base model: random weights in transformers' own module, and its next-token loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from ponder.config.pretrain import ArchitectureConfig
from ponder.models.layers import decoder_layers

LossOf = Callable[[PreTrainedModel, Tensor], Tensor]
"""(model, rows of token ids [B, T + 1]) -> the mean loss."""


def build_model(
    config: ArchitectureConfig, tokenizer: PreTrainedTokenizerFast, seed: int
) -> PreTrainedModel:
    """A Qwen2 with random weights that follow from ``seed``; input and output embeddings tied."""
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            max_position_embeddings=config.max_position_embeddings,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def next_token_loss(model: PreTrainedModel, batch: Tensor) -> Tensor:
    """Mean cross-entropy in nats of each token given those before it; ``batch``: [B, T + 1]."""
    return head_loss(hidden_states(model, batch), model.get_output_embeddings().weight, batch)


def hidden_states(model: PreTrainedModel, batch: Tensor) -> Tensor:
    """[B, T, H] for the first T tokens of each row.

    The mask is given as "none": the attention is causal by itself, and neither a mask of [T, T] nor
    a look at the tokens (which would wait for the device) is needed.
    """
    output = model.get_decoder()(
        input_ids=batch[:, :-1], attention_mask={"full_attention": None}, use_cache=False
    )
    hidden: Tensor = output.last_hidden_state
    return hidden


def head_loss(hidden: Tensor, weight: Tensor, batch: Tensor) -> Tensor:
    """The loss from the last hidden states: logits are float32 from here on."""
    logits = functional.linear(hidden, weight).float()
    return functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def compile_parts(model: PreTrainedModel) -> LossOf:
    """``next_token_loss`` compiled: decoder layers share one compilation, the head has another."""
    for layer in decoder_layers(model):
        layer.compile(dynamic=False)
    head = torch.compile(head_loss, dynamic=False)

    def loss_of(model: PreTrainedModel, batch: Tensor) -> Tensor:
        loss: Tensor = head(
            hidden_states(model, batch), model.get_output_embeddings().weight, batch
        )
        return loss

    return loss_of
