"""The local engine: samples from the trainer's own model, in process, without a second copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from ponder.config.rl import EngineConfig
from ponder.errors import PonderError
from ponder.generate import batch
from ponder.generate.attention import engine_mode
from ponder.generate.device.engine import DeviceEngine
from ponder.generate.device.static import changing_rope
from ponder.generate.ending import Ending
from ponder.generate.pages import PagePool, pages_for
from ponder.generate.run import GenerateStats, GenerationRun
from ponder.types import Completion, Prompt, Sampling

_RESERVED_PAGES = 8
"""Pages per sequence that the memory begins with, where a completion may need more."""


class LocalGenerator:
    """Batched sampling around an unmodified transformers model. Implements ``types.Generator``.

    The model is the very object that is trained, so new weights need no hand-over; ``load`` only
    names them (or swaps the object). Keys and values live in pages: those of a prompt are computed
    once for its group, and a prefix that all prompts of a call share is computed once. Finished
    sequences leave the batch; waiting ones come in.

    Args:
        model: a decoder of transformers with full attention in all layers.
        tokenizer: its tokenizer; it and ``model.generation_config`` say which tokens end text.
        max_batch_size: most sequences decoded at once.
        engine: of a GPU: graphs, compilation, memory.

    Attributes:
        model: the model as given; its weights may be trained in place between calls.
        version: of the weights, as last given to ``load``.
        last_stats: counts and seconds of the last ``generate``.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        max_batch_size: int = 512,
        engine: EngineConfig | None = None,
    ) -> None:
        self.version = 0
        self._config = engine or EngineConfig()
        self._engine: DeviceEngine | None = None
        self.last_stats = GenerateStats()
        self.model = model
        self._tokenizer = tokenizer
        self._max_batch_size = max_batch_size
        self._ending: tuple[Sampling, Ending] | None = None

    def load(self, model: PreTrainedModel, version: int) -> None:
        """Sample from ``model`` (usually the object it already has) and call its weights
        ``version`` from now on."""
        self.model = model
        self.version = version
        self._ending = None

    def generate(
        self,
        prompts: Sequence[Prompt],
        group_size: int,
        sampling: Sampling,
        seed: int,
        on_finished: Callable[[Completion], None] | None = None,
        limits: Sequence[Sequence[int]] | None = None,
    ) -> list[list[Completion]]:
        """``group_size`` completions for each prompt, in the order of ``prompts``.

        ``on_finished`` gets each one when it has ended, between two decoding steps. ``limits``
        [prompts][group_size] are the most tokens of each completion, where they differ.

        Raises:
            PonderError: an empty prompt, a limit below 1, or more tokens than the model's context.
        """
        if not prompts:
            return []
        if group_size < 1:
            raise PonderError("group_size", group_size, "must be at least 1")
        self._check(prompts, sampling, limits)
        if limits is not None and [len(group) for group in limits] != [group_size] * len(prompts):
            shape = [len(group) for group in limits]
            raise PonderError("limits", shape, f"need {group_size} for each of the prompts")
        most = sampling.max_completion_tokens
        caps = [[most] * group_size] * len(prompts)
        if limits is not None:
            caps = [[min(most, limit) for limit in group] for group in limits]
        ending = self._ending_of(sampling)
        finished = _Finished(ending, on_finished)
        run = self._run_on_cpu if self.model.device.type == "cpu" else self._run_on_device
        with torch.inference_mode():
            groups = run(list(prompts), caps, sampling, seed, ending, finished)
        return [[finished.completions[id(row)] for row in group] for group in groups]

    def _run_on_cpu(
        self,
        prompts: list[Prompt],
        limits: list[list[int]],
        sampling: Sampling,
        seed: int,
        ending: Ending,
        finished: _Finished,
    ) -> list[list[batch.Sequence]]:
        with engine_mode(self.model):
            pool = self._new_pool(prompts, limits)
            run = GenerationRun(self.model, pool, ending, sampling, self._max_batch_size, finished)
            groups = run.run(prompts, limits, seed)
        self.last_stats = run.stats
        return groups

    def _run_on_device(
        self,
        prompts: list[Prompt],
        limits: list[list[int]],
        sampling: Sampling,
        seed: int,
        ending: Ending,
        finished: _Finished,
    ) -> list[list[batch.Sequence]]:
        if self._engine is None or not self._engine.fits(self.model):
            self._engine = DeviceEngine(self.model, self._max_batch_size, self._config)
        groups, self.last_stats = self._engine.run(
            prompts, limits, sampling, seed, ending, finished
        )
        return groups

    def _check(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        limits: Sequence[Sequence[int]] | None,
    ) -> None:
        for prompt in prompts:
            if not prompt.token_ids:
                raise PonderError("prompt", prompt.problem_id, "a prompt needs at least one token")
        limit = sampling.max_completion_tokens
        if limits is not None and not all(n >= 1 for group in limits for n in group):
            raise PonderError("limits", limits, "each must be at least 1")
        if limit < 1:
            raise PonderError("sampling.max_completion_tokens", limit, "must be at least 1")
        longest = max(len(prompt.token_ids) for prompt in prompts)
        context = context_tokens(self.model)
        changing = changing_rope(self.model)
        if changing is not None and longest + limit > changing:
            raise PonderError(
                "model",
                self.model.config.model_type,
                f"its rotary embedding changes with the longest sequence from {changing} tokens "
                "on, and would be wrong for the others of a batch: lower "
                f"sampling.max_completion_tokens to {changing - longest}, or use another generator",
            )
        if longest + limit > context:
            raise PonderError(
                "sampling.max_completion_tokens",
                limit,
                f"with the longest prompt ({longest} tokens) this exceeds the model's context of "
                f"{context} tokens: lower it to {context - longest} or shorten the prompts",
            )

    def _ending_of(self, sampling: Sampling) -> Ending:
        """Kept from call to call: finding a vocabulary's stop tokens takes a moment."""
        if self._ending is None or self._ending[0] != sampling:
            ends = end_tokens(self.model, self._tokenizer)
            if sampling.ignore_end_tokens:
                ends = set()
            ending = Ending(self._tokenizer, ends, sampling.stop)
            self._ending = (sampling, ending)
        return self._ending[1]

    def _new_pool(self, prompts: Sequence[Prompt], limits: list[list[int]]) -> PagePool:
        num_rows = min(sum(len(group) for group in limits), self._max_batch_size)
        most = max(limit for group in limits for limit in group)
        per_row = min(pages_for(most) + 1, _RESERVED_PAGES)
        longest = max(pages_for(len(prompt.token_ids)) for prompt in prompts)
        num_groups = min(len(prompts), num_rows)
        weight = self.model.get_input_embeddings().weight
        num_pages = num_rows * per_row + num_groups * longest
        # Wide keys and values cost memory, but rounding them again would part sampler and trainer.
        dtype = torch.promote_types(weight.dtype, torch.float32)
        return PagePool(num_pages, weight.device, dtype)


class _Finished:
    """Turns sequences that have ended into completions, kept by the sequence's ``id``."""

    def __init__(self, ending: Ending, on_finished: Callable[[Completion], None] | None) -> None:
        self.completions: dict[int, Completion] = {}
        self._ending = ending
        self._on_finished = on_finished

    def __call__(self, rows: list[batch.Sequence]) -> None:
        texts = self._ending.texts([row.token_ids for row in rows])
        for row, text in zip(rows, texts, strict=True):
            completion = Completion(
                problem_id=row.group.prompt.problem_id,
                sample_index=row.sample_index,
                token_ids=row.token_ids,
                text=text,
                sampler_logprobs=row.logprobs,
                finish_reason=row.finish_reason or "length",
            )
            self.completions[id(row)] = completion
            if self._on_finished is not None:
                self._on_finished(completion)


def context_tokens(model: PreTrainedModel) -> int:
    """The longest sequence that the model takes. PonderError where its config names none."""
    context = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(context, int):
        raise PonderError(
            "model",
            model.config.model_type,
            "its config has no max_position_embeddings (no plain text decoder with positions): "
            "the local engine cannot run it; use another model",
        )
    return context


def end_tokens(model: PreTrainedModel, tokenizer: Any) -> set[int]:
    """Ids of the tokens that end a completion: the tokenizer's and the generation config's."""
    named = [tokenizer.eos_token_id]
    if model.generation_config is not None:
        configured = model.generation_config.eos_token_id
        named += configured if isinstance(configured, list) else [configured]
    return {token for token in named if token is not None}
