"""A model opened for questions: what `ponder eval` and `ponder chat` share."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ponder.cli.quiet import quiet_transformers
from ponder.cli.specs import ModelChoice, choose_model
from ponder.config.rl import RLConfig, TemplateConfig
from ponder.errors import PonderError
from ponder.generate.local import LocalGenerator, context_tokens
from ponder.models.load import BUNDLED, load_model
from ponder.rollout.prompts import PromptMaker
from ponder.types import Problem, Sampling

DEFAULT_MAX_COMPLETION_TOKENS = 1024
MAX_BATCH_SIZE = 512


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A generator with the prompts and the sampling that the arguments ask for."""

    generator: LocalGenerator
    make_prompt: PromptMaker
    asked: Sampling
    """As the arguments say, whether or not it fits the context."""
    limit_is_default: bool
    run_config: RLConfig | None

    def sampling_for(self, problems: Sequence[Problem]) -> Sampling:
        """The sampling; a default limit is lowered to what the context leaves to the prompts.

        A limit that was asked for stays; the generator refuses one that does not fit.
        """
        if not self.limit_is_default:
            return self.asked
        longest = max(len(self.make_prompt(problem).token_ids) for problem in problems)
        room = context_tokens(self.generator.model) - longest
        limit = max(1, min(self.asked.max_completion_tokens, room))
        return replace(self.asked, max_completion_tokens=limit)


def open_model(arguments: Namespace) -> OpenModel:
    """Load ``arguments.model``; what the arguments leave open comes from its run, if it has one.

    Raises:
        PonderError: the model cannot be opened, or a sampling argument is out of range.
    """
    choice = choose_model(arguments.model)
    limit = arguments.max_completion_tokens or _default_limit(choice)
    sampling = _sampling(arguments.temperature, arguments.top_p, limit)
    quiet_transformers()
    model, tokenizer = load_model(choice.source, arguments.device, arguments.dtype)
    template = _template(arguments.template, choice, tokenizer)
    generator = LocalGenerator(model, tokenizer, MAX_BATCH_SIZE)
    return OpenModel(
        generator=generator,
        make_prompt=PromptMaker(template, tokenizer),
        asked=sampling,
        limit_is_default=arguments.max_completion_tokens is None,
        run_config=choice.config,
    )


def _sampling(temperature: float, top_p: float, limit: int) -> Sampling:
    if not 0 <= temperature < math.inf:
        raise PonderError("--temperature", temperature, "must be 0 (greedy) or more, and finite")
    if not 0 < top_p <= 1:
        raise PonderError("--top-p", top_p, "must be above 0 and at most 1 (1 is off)")
    return Sampling(temperature, top_p, max_completion_tokens=limit)


def _default_limit(choice: ModelChoice) -> int:
    if choice.config is None:
        return DEFAULT_MAX_COMPLETION_TOKENS
    return choice.config.sampling.max_completion_tokens


def _template(name: Any, choice: ModelChoice, tokenizer: Any) -> TemplateConfig:
    if name is not None:
        return TemplateConfig(name=name)
    if choice.template is not None:
        return choice.template
    has_chat = tokenizer.chat_template and choice.source not in BUNDLED
    return TemplateConfig(name="chat" if has_chat else "r1_zero")
