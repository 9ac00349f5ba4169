"""What a reward model looks at of a completion, as text and as token ids."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

from ponder.models.reward import RewardFacts
from ponder.text.final import final_answer
from ponder.text.templates import THINK, opens_thought


def scored_text(facts: RewardFacts, prompt: str, completion: str) -> tuple[str, str]:
    """The prompt and the part of the completion that a reward model of these facts looks at.

    Where it is the final answer, the ``<think>`` that a prompt may end with goes with the thought.
    """
    if facts.scored == "whole":
        return prompt, completion
    answer = final_answer(completion, prompt)
    if opens_thought(prompt):
        prompt = prompt.rstrip().removesuffix(THINK)
    return prompt, answer


def encode_scored(
    tokenizer: PreTrainedTokenizerBase, facts: RewardFacts, prompt: str, completion: str
) -> tuple[list[int], list[int]]:
    """Token ids of a prompt and of what is scored after it, which ends with the end token."""
    prompt, text = scored_text(facts, prompt, completion)
    prompt_ids = tokenizer.encode(prompt, add_special_tokens=False) or [tokenizer.eos_token_id]
    ids = tokenizer.encode(text, add_special_tokens=False)
    return prompt_ids, [*ids, tokenizer.eos_token_id]
