"""The kind "preferences": what reward models learn from, pairs or labels (R1v2 3.1).

General prompts, several completions each from the model of the input; a judge (a model at an
endpoint, a local one, or a rule) compares pairs in both orders or labels completions one by one.
Chunk by chunk: what is sampled, then what is judged of it, is on the disk before the next begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ponder.config.preferences import PreferencesConfig
from ponder.curate.preferences import Labelled, Pair, write_preferences
from ponder.errors import PonderError
from ponder.pipeline.context import StageContext
from ponder.pipeline.kinds import NO_PACES, Estimate, Input, Output, Sources, StageKind
from ponder.pipeline.paces import Paces
from ponder.pipeline.stages.held import (
    held_while_sampling,
    sampling_demand,
    sampling_seconds,
)
from ponder.pipeline.stages.judged import judged_rows, open_judge
from ponder.pipeline.stages.models import MODEL_CODE, expected_model, local_model
from ponder.pipeline.stages.preference_card import balanced, count_tokens, write_card
from ponder.pipeline.stages.preference_samples import Sampler
from ponder.pipeline.stages.timed import Spent, is_to_be_made, sampled, with_time
from ponder.pipeline.workload import Workload
from ponder.plan.pace import Calls
from ponder.runlog import read_json, write_json_atomic
from ponder.runlog.durable import disk_errors, remove_stale

ROWS = "rows.jsonl"
_BYTES_PER_TOKEN = 6.0


def run(context: StageContext) -> None:
    """Sample and judge what is left to be, balance it, write the card and the rows."""
    config = context.config
    assert isinstance(config, PreferencesConfig)
    out = context.folder / ROWS
    if out.is_file():
        return
    source = str(context.optional("model") or config.model)
    folder = context.folder / "judged"
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
    remove_stale(folder)
    with ExitStack() as stack:
        order = _judge_all(context, config, source, folder, stack)
    counts: Counter[str] = Counter()
    found: list[Pair | Labelled] = []
    for number in range(len(_starts(order, config))):
        chunk = read_json(_chunk_path(folder, number))
        counts.update(chunk["counts"])
        found += judged_rows(config, chunk["rows"])
    tokens = count_tokens(source)
    rows, card = balanced(config, found, counts, tokens)
    if not rows:
        for number in range(len(_starts(order, config))):
            _chunk_path(folder, number).unlink()  # samples stay; a judge that was mended is asked
        raise nothing_kept(config, card)
    write_card(context, config, card, source)
    write_preferences(out, rows)


def _judge_all(
    context: StageContext, config: PreferencesConfig, source: str, folder: Path, stack: ExitStack
) -> list[int]:
    """Every chunk's file; returns which problems there are."""
    sampler = Sampler(context, config, source, stack)
    order = sampler.order
    starts = _starts(order, config)
    left = [n for n in range(len(starts)) if not _chunk_path(folder, n).is_file()]
    if not left:
        return order
    judge = open_judge(context, config, stack)
    for number in left:
        context.view.progress(number, len(starts), f"sampled and judged of {len(order)} prompts")
        context.stop_if_asked()
        start = starts[number]
        groups = sampler.groups(number, order[start : start + config.chunk_prompts])
        context.stop_if_asked()
        rows, counts = judge(groups)
        write_json_atomic(_chunk_path(folder, number), {"counts": counts, "rows": rows})
    context.view.progress(len(starts), len(starts), f"{len(order)} prompts")
    return order


def _starts(order: list[int], config: PreferencesConfig) -> range:
    return range(0, len(order), config.chunk_prompts)


def _chunk_path(folder: Path, number: int) -> Path:
    return folder / f"chunk_{number:06d}.json"


def nothing_kept(config: PreferencesConfig, card: Mapping[str, object]) -> PonderError:
    """The error of a stage without a row to learn from."""
    why = ", ".join(f"{name} {value}" for name, value in card.items() if isinstance(value, int))
    asked, unjudged = (int(str(card.get(name) or 0)) for name in ("asked", "unjudged"))
    if 2 * unjudged > asked:  # the others may have had no answer to be judged
        fix = "the judge gave no verdict that could be read: look at its replies, or mend the rule"
        if config.judge.by == "endpoint":
            fix += "; when it is mended, take its judge_cache.jsonl away and run again"
        return PonderError("judge", config.judge.by, f"{fix} ({why})")
    if config.objective == "pointwise":
        fix = "all labels are alike: nothing can be learnt of them; take other prompts"
        return PonderError("judge", config.judge.by, f"{fix} ({why})")
    fix = (
        "no pair is left: ask for more (num_prompts, group_size), lower judge.least_margin, or "
        "set balance_lengths=false"
    )
    return PonderError("num_prompts", config.num_prompts, f"{fix} ({why})")


def estimate(config: PreferencesConfig, sources: Sources, paces: Paces = NO_PACES) -> Estimate:
    """Rows at most, samples on the disk, memory, and seconds unless a model judges."""
    from ponder.plan.devices import device_for

    model = expected_model(sources, config.model)
    device = device_for(config.device)
    samples = config.num_prompts * config.group_size
    is_pairs = config.objective == "pairwise"
    judge = {"judge": config.judge.model} if config.judge.by == "model" else {}
    demand = sampling_demand(_work(config), config.engine, device.is_gpu)
    parts = held_while_sampling(model, demand, device, judge)
    found = Estimate(
        bytes=samples * config.sampling.max_completion_tokens * _BYTES_PER_TOKEN / 2,
        rows=config.num_prompts * config.pairs_per_prompt if is_pairs else samples,
        memory=sum(parts.values()),
    )
    calls = Calls.in_chunks(
        config.num_prompts,
        config.group_size,
        config.sampling.max_batch_size,
        config.chunk_prompts,
    )
    if device.is_gpu:
        whole = replace(demand, prompts=config.num_prompts)
        seconds = sampling_seconds(model, whole, parts, device)
        return replace(found, seconds=seconds if config.judge.by == "rule" else None)
    timed = sampled(paces, model, _work(config), calls, is_to_be_made(sources))
    if timed is None:
        return found
    spent, long, pace = timed
    texts = 2 if is_pairs else 1
    found = replace(found, row_tokens=pace.prompt_tokens + texts * long.expected)
    return found if config.judge.by != "rule" else with_time(found, Spent() + spent)


def _work(config: PreferencesConfig) -> Workload:
    return Workload(
        dtype=config.dtype,
        threads=config.threads,
        problems=config.problems,
        template=config.template,
        sampling=config.sampling,
        prompts=min(config.chunk_prompts, config.num_prompts),
        group_size=config.group_size,
    )


def describe(config: PreferencesConfig) -> str:
    """Prompts, completions, who judges."""
    problems, judge = config.problems, config.judge
    source = problems.task or problems.name or problems.hub or problems.path or "a mixture"
    by = {"rule": judge.rule or "the problems' rules", "endpoint": judge.endpoint.model}
    who = by.get(judge.by, judge.model)
    return f"{config.num_prompts:,} prompts x {config.group_size} on {source}, judged by {who}"


def files(config: PreferencesConfig) -> Mapping[str, Path]:
    """The models, where they are on this machine."""
    found = local_model(config.model)
    if config.judge.by == "model":
        found |= {f"judge.{key}": path for key, path in local_model(config.judge.model).items()}
    return found


PREFERENCES = StageKind(
    config_class=PreferencesConfig,
    inputs={"model": Input("model", optional=True)},
    outputs={"rows": Output("rows", ROWS)},
    run=run,
    estimate=estimate,
    describe=describe,
    code=(
        *MODEL_CODE,
        "ponder.curate",
        "ponder.pipeline.stages.drawn",
        "ponder.pipeline.stages.judged",
        "ponder.pipeline.stages.preference_card",
        "ponder.pipeline.stages.preference_samples",
        "ponder.pipeline.stages.preferences",
        "ponder.pipeline.stages.teachers",
    ),
    files=files,
    unhashed=("name", "judge.endpoint.cache"),
)
