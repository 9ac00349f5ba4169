"""`ponder train RECIPE --explain`: every knob, its value, where it came from, the arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ponder.config.distil import DistilConfig
from ponder.config.fields import leaf_fields
from ponder.config.pretrain import PretrainConfig
from ponder.config.recipes import COMMAND_LINE, DEFAULT, AnyConfig, Recipe
from ponder.config.reward_model import RewardModelConfig
from ponder.config.rl import RLConfig
from ponder.config.sft import SFTConfig

_WIDE_ENOUGH = 150
_STYLES = {DEFAULT: "dim", COMMAND_LINE: "bold yellow"}


def print_explanation(recipe: Recipe, out: Console) -> None:
    """Print the knobs of ``recipe`` and what they multiply to."""
    out.print(Text(f"{recipe.config.name}: {recipe.about}", style="bold"))
    out.print(Text(f"layers: default < {' < '.join(recipe.lineage)} < {COMMAND_LINE}"))
    out.print()
    if out.width >= _WIDE_ENOUGH:
        out.print(_knob_table(recipe))
    else:
        for line in _knob_lines(recipe):
            out.print(line)
    out.print()
    out.print(_arithmetic(recipe.config))


def _knob_lines(recipe: Recipe) -> Iterator[Text]:
    """Two lines per knob: what fits a narrow terminal."""
    for key, value, origin, doc in _knobs(recipe):
        style = _STYLES.get(origin, "")
        yield Text.assemble((key, f"bold {style}"), (f" = {value}  ({origin})", style))
        yield Text(f"    {doc}", style="dim")


def _knobs(recipe: Recipe) -> Iterator[tuple[str, str, str, str]]:
    """(key, value, origin, doc) of every knob."""
    for key, field in leaf_fields(type(recipe.config)).items():
        value = show_value(value_at(recipe.config, key))
        yield key, value, recipe.origin(key), (field.description or "").replace("``", "`")


def _knob_table(recipe: Recipe) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("key", no_wrap=True)
    table.add_column("value", overflow="fold", max_width=44)
    table.add_column("from", no_wrap=True)
    table.add_column("what it is", overflow="fold", ratio=1)
    for row in _knobs(recipe):
        table.add_row(*map(Text, row), style=_STYLES.get(row[2], ""))
    return table


def value_at(config: BaseModel, key: str) -> Any:
    """The value of a dotted key."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def show_value(value: Any) -> str:
    """A value as one would write it on the command line."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={show_value(item)}" for key, item in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _arithmetic(config: AnyConfig) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, sum_ in _sums(config):
        table.add_row(Text(name, style="bold"), Text(sum_))
    return table


def _sums(config: AnyConfig) -> Iterator[tuple[str, str]]:
    if isinstance(config, RLConfig):
        return rl_arithmetic(config)
    if isinstance(config, SFTConfig):
        return _sft_arithmetic(config)
    if isinstance(config, RewardModelConfig):
        return _reward_arithmetic(config)
    if isinstance(config, DistilConfig):
        return _distil_arithmetic(config)
    return _pretrain_arithmetic(config)


def rl_arithmetic(config: RLConfig) -> Iterator[tuple[str, str]]:
    """The arithmetic of a step and of the run: (name, sum as text)."""
    batch, limit, algorithm = config.batch, config.sampling.max_completion_tokens, config.algorithm
    rollouts = batch.prompts_per_step * batch.group_size
    updates = config.steps * batch.minibatches
    yield (
        "rollouts per step",
        f"{batch.prompts_per_step} prompts x {batch.group_size} = {rollouts:,}",
    )
    yield (
        "updates per step",
        f"{batch.minibatches} (minibatches of {batch.prompts_per_step // batch.minibatches} prompts"
        f" = {rollouts // batch.minibatches:,} rollouts each)",
    )
    yield (
        "tokens per step, at most",
        f"{rollouts:,} rollouts x {limit:,} = {rollouts * limit:,}",
    )
    yield "total rollouts", f"{config.steps:,} steps x {rollouts:,} = {config.steps * rollouts:,}"
    yield "total updates", f"{config.steps:,} steps x {batch.minibatches} = {updates:,}"
    if algorithm.kl_coef and algorithm.reference_every:
        steps = algorithm.reference_every / batch.minibatches
        yield (
            "reference replaced",
            f"every {algorithm.reference_every} updates = every {steps:g} steps",
        )
    yield "held-out evaluation", _evaluation(config)


def _evaluation(config: RLConfig | SFTConfig | DistilConfig) -> str:
    samples = config.eval.num_problems * config.eval.k
    if not samples:
        return "none (eval.num_problems = 0)"
    every = f", and every {config.eval.every} steps" if config.eval.every else ""
    sum_ = f"{config.eval.num_problems} problems x {config.eval.k} = {samples:,} samples"
    return f"{sum_}, before and after{every}"


def _pretrain_arithmetic(config: PretrainConfig) -> Iterator[tuple[str, str]]:
    rows = config.batch_tokens // config.sequence_length
    yield (
        "rows per update",
        f"{config.batch_tokens:,} tokens / {config.sequence_length} = {rows:,}",
    )
    yield (
        "total tokens",
        f"{config.steps:,} updates x {config.batch_tokens:,} = "
        f"{config.steps * config.batch_tokens:,}",
    )


def _sft_arithmetic(config: SFTConfig) -> Iterator[tuple[str, str]]:
    """What an update and the run look at; the number of updates follows from the data."""
    batch, data, optimizer = config.batch, config.data, config.optimizer
    size = f"{batch.samples:,} samples" if batch.samples else f"{batch.tokens:,} tokens at most"
    most = f", {config.max_steps:,} at most" if config.max_steps else ""
    yield "samples", str(data.path or "not named yet: data.path=FILE.jsonl")
    yield "an update", f"{size}; the loss is the mean over its completions' tokens"
    yield "updates", f"{config.epochs} epochs of all samples / {size}{most}"
    if optimizer.schedule == "cosine":
        low = optimizer.min_learning_rate
        yield "learning rate", f"{optimizer.learning_rate:g}, cosine to {low:g}"
    if batch.samples:
        sum_ = f"{batch.samples:,} samples x {data.max_tokens:,} = "
        yield "tokens per update, at most", f"{sum_}{batch.samples * data.max_tokens:,}"
    yield "pass@1 on problems", _evaluation(config)


def _reward_arithmetic(config: RewardModelConfig) -> Iterator[tuple[str, str]]:
    """What an update looks at; the number of updates follows from the data."""
    data, size = config.data, f"{config.batch_size:,}"
    what = "pairs" if config.objective == "pairwise" else "labelled completions"
    part = "the final answer" if config.scored_part == "answer" else "the whole completion"
    yield what, str(data.path or "not named yet: data.path=FILE.jsonl")
    yield "what is scored", f"{part}, at its last token"
    yield "an update", f"{size} {what}; the loss is their mean"
    yield "updates", f"{config.epochs} epochs of all that is not held out / {size}"
    share = f"{data.heldout_share:.0%} of the prompts of data.path"
    yield "held out", str(data.heldout_path or share)


def _distil_arithmetic(config: DistilConfig) -> Iterator[tuple[str, str]]:
    """What is sampled and learnt, by either method."""
    yield (
        "teacher -> student",
        f"{config.teacher or 'not named yet: teacher=MODEL'} -> {config.model}",
    )
    if config.method == "on_policy":
        policy = config.on_policy
        size = policy.prompts_per_step * policy.group_size
        yield "samples per step", f"{policy.prompts_per_step} x {policy.group_size} = {size:,}"
        yield (
            "samples of the student",
            f"{policy.steps:,} steps x {size:,} = {policy.steps * size:,}",
        )
        updates = policy.steps * policy.minibatches
        yield "total updates", f"{policy.steps:,} steps x {policy.minibatches} = {updates:,}"
    else:
        collect, learn = config.collect, config.off_policy
        most = collect.num_problems * collect.group_size
        sum_ = f"{collect.num_problems:,} problems x {collect.group_size} = {most:,} at most"
        yield "samples of the teacher", sum_
        yield "kept of a problem", f"{config.choose.at_most} at most, of the right and readable"
        yield "updates", f"{learn.epochs} epochs of the kept rows / {learn.samples}"
    yield "held-out evaluation", _evaluation(config)
