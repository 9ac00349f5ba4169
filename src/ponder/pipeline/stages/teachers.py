"""Who is sampled, or asked to rewrite: a model of this machine, or an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.config.asked import AskedConfig
from ponder.config.benchmarks import BenchmarksConfig
from ponder.config.endpoint import EndpointConfig
from ponder.config.preferences import PreferencesConfig
from ponder.config.sampling_stage import SampledConfig
from ponder.generate.endpoint_cost import Estimate
from ponder.text.asking import MakePrompt, as_message, chat_prompts
from ponder.text.templates import render
from ponder.types import Generator, Problem, Prompt, Sampling

Forecast = Callable[[Sequence[Prompt], int, Sampling, int], Estimate]
"""What sampling will cost, before anything is sent; see ``EndpointGenerator.estimate``."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """A generator, what it is given for a problem, and the prompt of the row that comes of it.

    ``row_prompt`` is what the model that learns from the row will see; of a model that is sampled
    itself it is the same text.
    """

    name: str
    generator: Generator
    make_prompt: Callable[[Problem], Prompt]
    row_prompt: Callable[[Problem], str]
    forecast: Forecast | None = None
    close: Callable[[], None] = lambda: None


def open_model(config: SampledConfig, source: str) -> Teacher:
    """A local model that is sampled with the template of the config."""
    from ponder.rollout.prompts import PromptMaker

    generator, tokenizer = open_generator(config, source, config.sampling.max_batch_size)
    make_prompt = PromptMaker(config.template, tokenizer)
    return Teacher(
        name_of(source),
        generator,
        make_prompt,
        lambda problem: render(config.template, problem.question, tokenizer),
    )


def open_generator(
    config: SampledConfig | PreferencesConfig | BenchmarksConfig, source: str, max_batch_size: int
) -> tuple[Generator, Any]:
    """The local engine around a model, and its tokenizer. Sets torch's number of threads."""
    import torch

    from ponder.generate.local import LocalGenerator
    from ponder.models.load import load_model
    from ponder.train.threads import physical_cores

    torch.set_num_threads(config.threads or physical_cores())
    model, tokenizer = load_model(source, config.device, config.dtype)
    return LocalGenerator(model, tokenizer, max_batch_size, engine=config.engine), tokenizer


def open_endpoint(
    config: SampledConfig, endpoint: EndpointConfig, cache: Path, ask: str, source: str
) -> Teacher:
    """An endpoint; rows have the prompts that the model ``source`` would see.

    Args:
        cache: where answers are kept if the config names no place.
        ask: the message, with {question} in it.
    """
    from ponder.generate.endpoint import EndpointGenerator

    generator = EndpointGenerator(kept(endpoint, cache))
    tokenizer = open_tokenizer(source) if config.template.name == "chat" else None
    return Teacher(
        endpoint.model,
        generator,
        lambda problem: as_message(problem.id, ask.replace("{question}", problem.question)),
        lambda problem: render(config.template, problem.question, tokenizer),
        generator.estimate,
        generator.close,
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A generator that is asked in messages."""

    generator: Generator
    make_prompt: MakePrompt
    sampling: Sampling
    close: Callable[[], None] = lambda: None


def open_asked(config: SampledConfig, settings: AskedConfig, cache: Path, section: str) -> Asked:
    """Whom ``settings``, the config's ``section``, name; ``cache`` as of ``open_endpoint``."""
    from ponder.generate.endpoint import EndpointGenerator

    limit = settings.max_completion_tokens
    sampling = Sampling(settings.temperature, max_completion_tokens=limit)
    if settings.by == "endpoint":
        endpoint = EndpointGenerator(kept(settings.endpoint, cache), f"{section}.endpoint")
        return Asked(endpoint, as_message, sampling, endpoint.close)
    generator, tokenizer = open_generator(config, settings.model, config.sampling.max_batch_size)
    return Asked(generator, chat_prompts(tokenizer), sampling)


def kept(endpoint: EndpointConfig, cache: Path) -> EndpointConfig:
    """The endpoint with a cache in any case: what was paid for must outlive a kill."""
    return endpoint if endpoint.cache else endpoint.model_copy(update={"cache": cache})


def open_tokenizer(source: str) -> Any:
    """The tokenizer of a model, without its weights."""
    from transformers import AutoTokenizer

    from ponder.models.source import find_source

    path, options = find_source(source)
    return AutoTokenizer.from_pretrained(path, **options)


def name_of(source: str) -> str:
    """A model in the metadata of rows: equal runs in other folders give equal rows."""
    path = Path(source)
    return path.name if path.is_dir() else source
