"""Who judges preferences, and what becomes of a chunk of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, Protocol

from ponder.config.preferences import PreferencesConfig
from ponder.curate.labels import LabelJudge, Written
from ponder.curate.pairs import (
    MarginJudge,
    PairCounts,
    PairJudge,
    PairSettings,
    candidates_of,
    judge_batch,
)
from ponder.curate.preferences import Labelled, Pair
from ponder.curate.ruled import RuledLabels, RuledPairs, judgements
from ponder.pipeline.context import StageContext
from ponder.pipeline.stages.teachers import kept, open_generator
from ponder.seeds import derive_seed
from ponder.text.asking import MakePrompt, as_message, chat_prompts
from ponder.types import Generator, Group, Sampling

Judged = tuple[list[dict[str, Any]], dict[str, int]]
"""Rows as JSON, and counts by what became of the candidates."""
Judge = Callable[[Sequence[Group]], Judged]


class Labels(Protocol):
    """Says of completions whether they are good."""

    def labels(self, items: Sequence[Written]) -> list[bool | None]:
        """One for each; None: no verdict."""
        ...


def open_judge(context: StageContext, config: PreferencesConfig, stack: ExitStack) -> Judge:
    """What turns the groups of a chunk into rows and counts; ``stack`` closes it.

    Raises PonderError where a local judge has no chat template, or the model is not there.
    """
    if config.judge.by == "rule":
        if config.objective == "pairwise":
            return lambda groups: pairs_of(
                groups, config, RuledPairs(judgements(groups), settings_of(config))
            )
        return lambda groups: labels_of(groups, RuledLabels(judgements(groups)))
    generator, make_prompt = _asked(context, config, stack)
    judge = config.judge
    sampling = Sampling(judge.temperature, max_completion_tokens=judge.max_completion_tokens)
    if config.objective == "pairwise":
        pair_judge = PairJudge(generator, make_prompt, sampling, settings_of(config))
        return lambda groups: pairs_of(groups, config, pair_judge)
    seed = derive_seed(config.seed, "judge")
    label_judge = LabelJudge(
        generator, make_prompt, sampling, judge.guidelines, judge.label_votes, seed
    )
    return lambda groups: labels_of(groups, label_judge)


def settings_of(config: PreferencesConfig) -> PairSettings:
    """As ``curate.pairs`` has them."""
    judge, seed = config.judge, derive_seed(config.seed, "judge")
    return PairSettings(judge.votes, judge.least_margin, config.length_step, seed)


def pairs_of(groups: Sequence[Group], config: PreferencesConfig, judge: MarginJudge) -> Judged:
    """The pairs of a chunk whose margin is large enough."""
    counts = PairCounts()
    candidates = list(
        candidates_of(groups, config.pairs_per_prompt, derive_seed(config.seed, "pairs"))
    )
    rows = [asdict(pair) for pair in judge_batch(candidates, judge, counts)]
    found = {
        "asked": counts.candidates,
        "without_answer": counts.without_answer,
        "unjudged": counts.unjudged,
        "small_margin": counts.small_margin,
    }
    return rows, _of_samples(groups) | found


def labels_of(groups: Sequence[Group], judge: Labels) -> Judged:
    """The labelled completions of a chunk; those that were cut off are not asked about."""
    items = list(_written(groups))
    rows = []
    for item, label in zip(items, judge.labels(items), strict=True):
        if label is not None:
            rows.append(asdict(Labelled(item.prompt, item.completion, label)))
    found = {"asked": len(items), "unjudged": len(items) - len(rows)}
    return rows, _of_samples(groups) | found


def judged_rows(
    config: PreferencesConfig, rows: Sequence[Mapping[str, Any]]
) -> list[Pair] | list[Labelled]:
    """Rows as they were read from a chunk's file."""
    if config.objective == "pairwise":
        return [Pair(**row) for row in rows]
    return [Labelled(**row) for row in rows]


def _of_samples(groups: Sequence[Group]) -> dict[str, int]:
    reasons = [r.completion.finish_reason for group in groups for r in group.rollouts]
    return {
        "prompts": len(groups),
        "completions": len(reasons),
        "cut_off": sum(reason != "stop" for reason in reasons),
    }


def _written(groups: Sequence[Group]) -> Iterator[Written]:
    for group in groups:
        problem, prompt = group.problem, group.prompt.text
        for one in (rollout.completion for rollout in group.rollouts):
            if one.finish_reason == "stop":
                name = f"{problem.id}/{one.sample_index}"
                yield Written(name, problem.question, prompt, one.text)


def _asked(
    context: StageContext, config: PreferencesConfig, stack: ExitStack
) -> tuple[Generator, MakePrompt]:
    if config.judge.by == "model":
        batch = config.sampling.max_batch_size
        generator, tokenizer = open_generator(config, config.judge.model, batch)
        return generator, chat_prompts(tokenizer)
    from ponder.generate.endpoint import EndpointGenerator

    cache = context.folder.parent / "judge_cache.jsonl"  # for the stage under other keys, too
    endpoint = EndpointGenerator(kept(config.judge.endpoint, cache), "judge.endpoint")
    stack.callback(endpoint.close)
    context.view.note(_requests(config))
    return endpoint, as_message


def _requests(config: PreferencesConfig) -> str:
    judge = config.judge
    if config.objective == "pairwise":
        most = config.num_prompts * config.pairs_per_prompt * judge.votes
    else:
        most = config.num_prompts * config.group_size * judge.label_votes
    where = f"{judge.endpoint.model} at {judge.endpoint.url}"
    return f"the judge is {where}: at most {most:,} requests, those in the cache included"
