"""Rows without duplicates and without what is measured on, and the card that says what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder.config.curate import CurateConfig, FilterConfig
from ponder.config.sampling_stage import SampledConfig
from ponder.curate.card import make_card, token_counter, write_card
from ponder.curate.curate import CONTAMINATED, curate
from ponder.curate.evaluation import EvaluationText
from ponder.curate.rows import Mark, RowWriter, read_lines
from ponder.curate.state import CurateSummary
from ponder.errors import PonderError
from ponder.pipeline.context import StageContext
from ponder.pipeline.stages.collected import Collected
from ponder.pipeline.stages.teachers import name_of, open_tokenizer
from ponder.runlog import write_json_atomic

ROWS = "rows.jsonl"
_ALONE = 20 << 20
"""Bytes of rows up to which one process is faster than several that must be started first."""

READABLE = FilterConfig(
    min_characters=0,
    allow_truncated=True,
    format="any",
    min_language=0.0,
    max_repetition=1.0,
    allow_loop=True,
    max_paragraph_characters=0,
    allow_code_in_thought=True,
)
"""For rows that went through their filters already."""


def curated(
    context: StageContext, inputs: Sequence[Path], out: Path, filters: FilterConfig
) -> CurateSummary:
    """Filter, dedupe and decontaminate; what was done before a kill is not done again.

    Raises:
        PonderError: a file or an evaluation set cannot be read, or not one row is left.
    """
    config = context.config
    assert isinstance(config, SampledConfig)
    size = sum(path.stat().st_size for path in inputs if path.is_file())
    settings = CurateConfig(
        filters=filters,
        dedupe=config.dedupe,
        decontaminate=config.decontaminate,
        workers=1 if size < _ALONE else 0,
    )

    def progress(num_read: int, num_kept: int) -> None:
        context.view.progress(num_read, num_read, f"{num_kept} rows kept of those read")

    summary = curate(inputs, out, settings, benchmark_texts(config), on_progress=progress)
    if not summary.num_kept:
        why = ", ".join(f"{reason} {count:,}" for reason, count in summary.dropped.items())
        names = ", ".join(path.name for path in inputs)
        fix = (
            f"not one of {summary.num_read:,} rows of {names} is left ({why}): loosen filters, "
            "dedupe or decontaminate, or give more rows"
        )
        raise PonderError("rows", 0, fix)
    return summary


def benchmark_texts(config: SampledConfig) -> list[EvaluationText]:
    """Questions and answers of the problems that the pipeline's own evaluation measures on."""
    from ponder.curate.evaluation import problem_texts
    from ponder.pipeline.stages.benchmarks import benchmark_problems

    measured = config.measured()
    return [
        text
        for name in measured.benchmarks
        for text in problem_texts(name, benchmark_problems(name, measured))
    ]


def copy_rows(source: Path, out: Path) -> int:
    """A file of rows under another name; how many there are."""
    with RowWriter(out, at=Mark()) as writer:
        for _, line in read_lines(source):
            writer.write_line(line + b"\n")
    return writer.num_rows


def finish(
    context: StageContext,
    model: str,
    num_read: int,
    dropped: Counter[str],
    notes: Mapping[str, Any],
) -> None:
    """Write the card beside the rows, and summary.json."""
    path = context.folder / ROWS
    count = token_counter(open_tokenizer(model))
    notes = {**notes, "tokens counted by": name_of(model)}
    card = make_card(path, count, num_read, dict(sorted(dropped.items())), notes)
    write_card(card, path)
    total = card.total
    summary = {
        "name": context.name,
        "rows": total.rows,
        "read": num_read,
        "mean_tokens": total.mean_tokens,
        "dropped": card.dropped,
        **notes,
    }
    write_json_atomic(context.folder / "summary.json", summary)
    contaminated = dropped.get(CONTAMINATED, 0)
    said = f", {contaminated} contaminated" if contaminated else ""
    context.view.note(f"{total.rows:,} rows of {num_read:,} samples{said}; card: {path}.card.md")


def notes_of(collected: Collected, config: SampledConfig, teacher: str) -> dict[str, Any]:
    """What a card says of the sampling."""
    notes: dict[str, Any] = {
        "sampled from": teacher,
        "problems": collected.num_problems,
        "solved problems": collected.num_solved,
        "samples": collected.num_samples,
        "correct samples": collected.num_correct,
        "samples per problem": config.collect.group_size,
        "temperature": config.sampling.temperature,
        "sampled tokens": collected.sampled_tokens,
        "template": config.template.name,
    }
    if collected.num_doubtful:
        notes["references that all samples contradict alike"] = collected.num_doubtful
        notes["the first of them"] = ", ".join(collected.doubtful)
    return notes


def evaluation_notes(config: SampledConfig, summary: CurateSummary) -> dict[str, Any]:
    """What a card says of decontamination."""
    names = [one.name for one in config.decontaminate.sets] + list(config.benchmarks)
    if not names:
        return {"decontaminated against": "nothing"}
    return {
        "decontaminated against": ", ".join(names),
        "evaluation items": summary.evaluation.get("items", 0),
        "n-gram": config.decontaminate.ngram,
        "rows that hit an item": summary.dropped.get(CONTAMINATED, 0),
    }
