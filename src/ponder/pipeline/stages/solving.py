"""The kind "solutions": cold-start rows of a data set's own worked solutions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ponder.config.solutions import SolutionsConfig
from ponder.curate.rows import Mark, RowWriter
from ponder.models.source import find_source
from ponder.pipeline.context import StageContext
from ponder.pipeline.kinds import NO_PACES, Estimate, Input, Output, Sources, StageKind
from ponder.pipeline.paces import Paces
from ponder.pipeline.stages.models import expected_model, local_model
from ponder.types import Problem

ROWS = "rows.jsonl.zst"
_BYTES = 300
"""Of a row on the disk, compressed."""


def run(context: StageContext) -> None:
    """Write the rows, from the first: seconds, so a killed stage begins anew."""
    from ponder.curate.solutions import solution_rows

    config = context.config
    assert isinstance(config, SolutionsConfig)
    path = context.folder / ROWS
    if path.exists():
        return
    model = context.optional("model")
    make_prompt = _PromptText(config, str(model) if model else config.model)
    with RowWriter(path, at=Mark()) as writer:
        for row in solution_rows(config, make_prompt):
            writer.write(row)
            if writer.num_rows % 1000 == 0:
                context.stop_if_asked()
                context.view.note(f"{writer.num_rows:,} rows")


class _PromptText:
    """Questions with the template; only a chat template opens the model's tokenizer."""

    def __init__(self, config: SolutionsConfig, model: str) -> None:
        self._template = config.template
        self._tokenizer = _tokenizer(model) if config.template.name == "chat" else None

    def __call__(self, problem: Problem) -> str:
        from ponder.text.templates import render

        return render(self._template, problem.question, self._tokenizer)


def _tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    source, options = find_source(model)
    return AutoTokenizer.from_pretrained(source, **options)


def estimate(config: SolutionsConfig, sources: Sources, paces: Paces = NO_PACES) -> Estimate:
    """At most; how many problems can be varied is not known before."""
    from ponder.problems.solved import solved_problems

    rows = sum(1 for _ in solved_problems(config.problems)) * (1 + config.variations)
    rows += config.calculations
    model = expected_model(sources, config.model)
    return Estimate(bytes=float(_BYTES * rows), rows=rows, model=model, row_tokens=_BYTES / 4)


def describe(config: SolutionsConfig) -> str:
    """The source, and how often it is varied."""
    more = f", with up to {config.variations} variations each" if config.variations else ""
    plain = f", {config.calculations:,} rows of calculations" if config.calculations else ""
    return f"worked solutions of {config.problems.name}{more}{plain}"


def files(config: SolutionsConfig) -> Mapping[str, Path]:
    """The model, where it is on this machine."""
    return local_model(config.model) if config.template.name == "chat" else {}


SOLUTIONS = StageKind(
    config_class=SolutionsConfig,
    inputs={"model": Input("model", optional=True)},
    outputs={"rows": Output("rows", ROWS)},
    run=run,
    estimate=estimate,
    describe=describe,
    code=(
        "ponder.curate.solutions",
        "ponder.pipeline.stages.solving",
        "ponder.problems",
        "ponder.text",
        "ponder.verify",
    ),
    files=files,
)
