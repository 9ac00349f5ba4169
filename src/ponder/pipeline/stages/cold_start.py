"""The kind "cold_start": traces for the first fine-tuning (R1v2 B.3.2).

A teacher (the zero model, any model, any endpoint) is sampled; what is correct and readable is
kept, some of each problem chosen, perhaps rewritten by a model and verified again; then a person
looks at every row. Or the traces are there already (input ``rows``): then they are filtered and
looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ponder.config.cold_start import ColdStartConfig
from ponder.curate.review import apply_review, review_status, write_review
from ponder.curate.row import Row
from ponder.errors import PonderError
from ponder.pipeline.context import StageContext, Waiting
from ponder.pipeline.kinds import NO_PACES, Estimate, Input, Output, Sources, StageKind
from ponder.pipeline.paces import Paces
from ponder.pipeline.stages.collected import Collected
from ponder.pipeline.stages.curated import (
    READABLE,
    ROWS,
    copy_rows,
    curated,
    evaluation_notes,
    finish,
    notes_of,
)
from ponder.pipeline.stages.drawn import open_problems
from ponder.pipeline.stages.finishing import Rewritten, Verified
from ponder.pipeline.stages.models import MODEL_CODE, expected_model, local_model
from ponder.pipeline.stages.sampled import (
    SAMPLES,
    Chosen,
    Collector,
    Finish,
    collected_before,
)
from ponder.pipeline.stages.sampling_estimate import describe, sampling_estimate
from ponder.pipeline.stages.teachers import (
    Teacher,
    name_of,
    open_asked,
    open_endpoint,
    open_model,
)
from ponder.pipeline.stages.timed import is_to_be_made

if TYPE_CHECKING:
    from ponder.verify.verifier_pool import VerifierPool

CANDIDATES = "candidates.jsonl"
REVIEW = "review.txt"
REJECTED = "rejected in the review"


def run(context: StageContext) -> None:
    """Traces, candidates, the review, rows; each is done once."""
    config = context.config
    assert isinstance(config, ColdStartConfig)
    model = context.optional("model")
    source = str(model) if model else config.model
    candidates = context.folder / CANDIDATES
    ready = context.optional("rows")
    dropped: Counter[str] = Counter()
    if ready is None:
        collected = collect(context, config, source)
        summary = curated(context, [context.folder / SAMPLES], candidates, READABLE)
        dropped.update(collected.dropped)
        num_read = collected.num_samples
        notes = notes_of(collected, config, teacher_name(config, source))
    else:
        _check_ready(config)
        summary = curated(context, [ready], candidates, config.filters)
        num_read, notes = summary.num_read, {"traces": ready.name}
    dropped.update(summary.dropped)
    dropped.update(review(context, config, candidates))
    notes |= evaluation_notes(config, summary)
    finish(context, source, num_read, dropped, notes)


def collect(context: StageContext, config: ColdStartConfig, source: str) -> Collected:
    """Sample, verify, choose, rewrite: ``samples.jsonl``."""
    from ponder.verify.verifier_pool import VerifierPool

    if (before := collected_before(context)) is not None:
        return before
    with VerifierPool() as pool, ExitStack() as stack:
        problems = open_problems(context, pool)
        filters, ending = config.filters, finisher(context, config, pool, stack)
        if config.rewrite.by != "none":  # mixed thoughts are translated, tags are written anew
            filters = config.filters.model_copy(update={"min_language": 0.0})
        collector = Collector(context, problems, pool, filters, ending)
        return collector.run(opener(context, config, source))


def opener(context: StageContext, config: ColdStartConfig, source: str) -> Callable[[], Teacher]:
    """Who is sampled, opened when there is something to sample."""
    if config.teacher == "model":
        return lambda: open_model(config, source)
    cache = context.folder.parent / "teacher_cache.jsonl"  # for the stage under other keys, too
    return lambda: open_endpoint(config, config.endpoint, cache, config.ask, source)


def teacher_name(config: ColdStartConfig, source: str) -> str:
    """As in the metadata of rows."""
    return config.endpoint.model if config.teacher == "endpoint" else name_of(source)


def finisher(
    context: StageContext, config: ColdStartConfig, pool: VerifierPool, stack: ExitStack
) -> Finish | None:
    """What happens to chosen samples: a rewriting, or only the verdict on their new tags."""
    if config.rewrite.by == "none":
        return None if config.collect.write_as == "as_sampled" else Verified(pool)
    return _Opened(lambda: _rewritten(context, config, pool, stack))


class _Opened:
    """A rewriter that is opened for its first row."""

    def __init__(self, opening: Callable[[], Finish]) -> None:
        self._opening = opening
        self._finish: Finish | None = None

    def __call__(self, chosen: Sequence[Chosen], seed: int) -> list[Row | str]:
        self._finish = self._finish or self._opening()
        return self._finish(chosen, seed)


def _rewritten(
    context: StageContext, config: ColdStartConfig, pool: VerifierPool, stack: ExitStack
) -> Finish:
    from ponder.curate.rewrite import Rewriter

    settings = config.rewrite
    cache = context.folder.parent / "rewriter_cache.jsonl"
    asked = open_asked(config, settings, cache, "rewrite")
    stack.callback(asked.close)
    rewriter = Rewriter(
        asked.generator,
        asked.make_prompt,
        asked.sampling,
        settings.attempts,
        settings.parts == "summary",
        settings.examples.read_text(encoding="utf-8") if settings.examples else "",
        config.filters.min_language,
    )
    shape = config.collect.write_as
    return Rewritten(rewriter, pool, config.filters, shape, settings.failed)


def review(context: StageContext, config: ColdStartConfig, candidates: Path) -> dict[str, int]:
    """The rows that a person keeps; what was dropped in the review.

    Raises:
        Waiting: rows are not marked yet.
    """
    out, path = context.folder / ROWS, context.folder / REVIEW
    if not config.review:
        copy_rows(candidates, out)
        return {}
    write_review(candidates, path)
    found = review_status(path)
    if found.num_unmarked and not context.yes:
        total = found.num_unmarked + found.num_kept + found.num_dropped
        fix = (
            f"{found.num_unmarked} of {total} rows are not marked: open this file, answer every "
            '"keep: ?" with yes or no (completions may be edited), then run again; or --yes keeps '
            "all that are not marked"
        )
        raise Waiting("review", str(path), fix)
    done = apply_review(path, candidates, out, context.yes)
    if not done.num_kept:
        fix = "every row was marked keep: no: there is nothing to go on with; keep some"
        raise PonderError("review", str(path), fix)
    return {REJECTED: done.num_dropped} if done.num_dropped else {}


def _check_ready(config: ColdStartConfig) -> None:
    if config.rewrite.by != "none":
        fix = "ready-made rows are filtered and reviewed, not rewritten: leave it out"
        raise PonderError("rewrite.by", config.rewrite.by, fix)


def estimate(config: ColdStartConfig, sources: Sources, paces: Paces = NO_PACES) -> Estimate:
    """Samples, the memory of the models of this machine, and seconds unless a model rewrites."""
    if sources.get("rows"):
        return Estimate()
    model = None if config.teacher == "endpoint" else expected_model(sources, config.model)
    others = {"rewrite": config.rewrite.model} if config.rewrite.by == "model" else {}
    found = sampling_estimate(config, model, is_to_be_made(sources), others, paces)
    return replace(found, seconds=None) if config.rewrite.by != "none" else found


def about(config: ColdStartConfig) -> str:
    """Samples, who rewrites, and whether a person is waited for."""
    said = describe(config, config.endpoint.model if config.teacher == "endpoint" else "")
    said += f", rewritten by {config.rewrite.who()}" if config.rewrite.by != "none" else ""
    return f"{said}, reviewed" if config.review else said


def about_ready(config: ColdStartConfig) -> str:
    """Of rows that are there already."""
    return f"given rows, filtered{', reviewed' * config.review}"


def files(config: ColdStartConfig) -> Mapping[str, Path]:
    """The models, where they are on this machine."""
    found = local_model(config.model)
    if config.rewrite.by == "model":
        found |= {f"rewrite.{key}": path for key, path in local_model(config.rewrite.model).items()}
    return found


COLD_START = StageKind(
    config_class=ColdStartConfig,
    inputs={
        "model": Input("model", optional=True),
        "rows": Input("rows", optional=True, describe=about_ready),
    },
    outputs={"rows": Output("rows", ROWS)},
    run=run,
    estimate=estimate,
    describe=about,
    code=(
        *MODEL_CODE,
        "ponder.curate",
        "ponder.pipeline.stages.cold_start",
        "ponder.pipeline.stages.collected",
        "ponder.pipeline.stages.benchmarks",
        "ponder.pipeline.stages.curated",
        "ponder.pipeline.stages.drawn",
        "ponder.pipeline.stages.finishing",
        "ponder.pipeline.stages.sampled",
        "ponder.pipeline.stages.teachers",
    ),
    files=files,
    unhashed=("name", "out", "chunk_problems", "endpoint.cache", "rewrite.endpoint.cache"),
)
