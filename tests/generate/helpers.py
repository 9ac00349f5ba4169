"""Prompts and a model whose words are known, for the tests of generators."""

import random
from collections.abc import Mapping, Sequence

import torch
from transformers import PreTrainedModel

from ponder.models.tiny import make_tiny_model
from ponder.types import Completion, Prompt


def random_prompts(lengths: Sequence[int], seed: int = 0, common: int = 0) -> list[Prompt]:
    """Prompts of the given lengths, the first ``common`` tokens of all the same."""
    rng = random.Random(seed)
    start = tuple(rng.randrange(256) for _ in range(common))
    return [
        Prompt(f"p{index}", "", start + tuple(rng.randrange(256) for _ in range(length - common)))
        for index, length in enumerate(lengths)
    ]


def trainer_logprobs(
    model: PreTrainedModel, prompt: Prompt, completion: Completion, temperature: float
) -> torch.Tensor:
    """What a plain forward pass over prompt and completion says of the completion's tokens."""
    ids = torch.tensor([list(prompt.token_ids) + completion.token_ids], device=model.device)
    with torch.no_grad():
        logits = model(ids).logits[0, len(prompt.token_ids) - 1 : -1].float() / temperature
    targets = torch.tensor(completion.token_ids, device=model.device)
    return logits.log_softmax(-1).gather(1, targets.unsqueeze(1)).squeeze(1).cpu()


def chain_model(following: Mapping[int, int]) -> PreTrainedModel:
    """A real Qwen2 that always writes ``following[token]`` after ``token``: each token has its own
    direction, attention and MLP add nothing, and the head maps it to the next token's logit."""
    model, _ = make_tiny_model(0, hidden_size=288, num_layers=1, num_heads=9, num_kv_heads=3)
    with torch.no_grad():
        layer = model.model.layers[0]
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(258, 288))
        model.lm_head.weight.zero_()
        for token, successor in following.items():
            model.lm_head.weight[successor, token] = 100.0
    return model
