"""A generator with a script: the fake for tests of everything above the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ponder.errors import PonderError
from ponder.types import Completion, Prompt, Sampling


class ScriptedGenerator:
    """Completions come from a table or a function instead of a model.

    ``token_ids`` are the text's tokens and the tokenizer's end token; text beyond
    ``max_completion_tokens`` is cut off (finish reason "length"). All log-probabilities are 0, as
    of a model that is certain.

    Args:
        texts: problem id -> texts, of which sample i gets number i, starting over at the end; or
            a function of (prompt, sample_index, seed) that returns the text.
        tokenizer: a transformers tokenizer with an end token.
    """

    def __init__(
        self,
        texts: Mapping[str, Sequence[str]] | Callable[[Prompt, int, int], str],
        tokenizer: Any,
    ) -> None:
        self._texts = texts
        self._tokenizer = tokenizer
        self.version = 0

    def load(self, model: object, version: int) -> None:
        """Nothing to load; remembers ``version``, as a real generator does."""
        self.version = version

    def generate(
        self,
        prompts: Sequence[Prompt],
        group_size: int,
        sampling: Sampling,
        seed: int,
        on_finished: Callable[[Completion], None] | None = None,
    ) -> list[list[Completion]]:
        """``group_size`` scripted completions for each prompt.

        Raises:
            PonderError: a problem that is not in the script, or that has no texts.
        """
        groups = [
            [
                self._complete(prompt, index, self._text(prompt, index, seed), sampling)
                for index in range(group_size)
            ]
            for prompt in prompts
        ]
        for completion in (c for group in groups for c in group):
            if on_finished is not None:
                on_finished(completion)
        return groups

    def _text(self, prompt: Prompt, sample_index: int, seed: int) -> str:
        if callable(self._texts):
            return self._texts(prompt, sample_index, seed)
        texts = self._texts.get(prompt.problem_id, ())
        if not texts:
            raise PonderError("problem_id", prompt.problem_id, "the script has no text for it")
        return texts[sample_index % len(texts)]

    def _complete(
        self, prompt: Prompt, sample_index: int, text: str, sampling: Sampling
    ) -> Completion:
        token_ids = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        token_ids.append(self._tokenizer.eos_token_id)
        limit = sampling.max_completion_tokens
        is_whole = len(token_ids) <= limit
        if not is_whole:
            token_ids = token_ids[:limit]
            text = self._tokenizer.decode(token_ids)
        return Completion(
            problem_id=prompt.problem_id,
            sample_index=sample_index,
            token_ids=token_ids,
            text=text,
            sampler_logprobs=[0.0] * len(token_ids),
            finish_reason="stop" if is_whole else "length",
        )
