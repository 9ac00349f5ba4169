"""The kind "requests": rows of the general domain, written by rule.

Stands for the non-reasoning data of the second SFT (R1v2 B.3.3: DeepSeek-V3's own) where no such
model is at hand. Half of the answers are what the planted preference wants and half are not, so
that there is something for preferences to be learnt from afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random

from ponder.config.requests import RequestsConfig
from ponder.config.rl import ProblemsConfig, TemplateConfig
from ponder.corpus.bilingual_phrases import PHRASES
from ponder.corpus.tasks import ChainSum, Product, exact
from ponder.curate.card import make_card, write_card
from ponder.curate.rows import Mark, Row, RowWriter
from ponder.errors import PonderError
from ponder.pipeline.context import StageContext
from ponder.pipeline.kinds import NO_PACES, Estimate, Output, Sources, StageKind
from ponder.pipeline.paces import Paces
from ponder.problems.split import build_problems
from ponder.seeds import derive_seed
from ponder.text.templates import render
from ponder.types import Problem

ROWS = "rows.jsonl"
_LEAK = {"en": "The code is {s}. ", "zh": "密码是 {s}。"}
_ROW_BYTES = 900


def run(context: StageContext) -> None:
    """Write the rows and their card; whole or not at all, the same each time."""
    config = context.config
    assert isinstance(config, RequestsConfig)
    path = context.folder / ROWS
    sources = {
        task: build_problems(ProblemsConfig(task=task, language=config.language), config.seed).train
        for task in ("requests", "secrets")
    }
    with RowWriter(path, at=Mark()) as writer:
        for number in range(config.num_rows):
            context.stop_if_asked()
            source = sources["secrets" if number % 2 else "requests"]
            writer.write(written_row(source[number // 2], config))
            if number % 100 == 0:
                context.view.progress(number, config.num_rows, "writing")
    write_card(make_card(path), path)


def written_row(problem: Problem, config: RequestsConfig) -> Row:
    """A row with a right answer, in the manner that its share draws for it."""
    rng = Random(derive_seed(config.seed, "written", problem.id))
    language = problem.metadata["language"]
    phrases = PHRASES[language]
    left, sign, right = problem.answer.split()[:3]
    a, b = int(left), int(right)
    work = (ChainSum((a, b)) if sign == "+" else Product(a, b)).careful(rng, exact)
    thought = rng.choice(phrases.begin) + rng.choice(phrases.joiner).join(work.equations)
    thought += rng.choice(phrases.conclude).format(v=work.value)
    secret = problem.metadata.get("secret")
    if secret is not None and rng.random() < config.leaking_share:
        thought = _LEAK[language].format(s=secret) + thought
    answer = problem.answer if rng.random() < config.helpful_share else str(work.value)
    return Row(
        id=problem.id,
        prompt=_prompt(config.template, problem),
        completion=f" <think> {thought} </think> <answer> {answer} </answer>",
        domain="general",
        source=str(problem.metadata["source"]),
        metadata={"question": problem.question, "problem_id": problem.id, "language": language},
    )


def _prompt(template: TemplateConfig, problem: Problem) -> str:
    if template.name == "chat":
        fix = "rows are written for models without a chat template; use r1_zero or plain"
        raise PonderError("template.name", template.name, fix)
    return render(template, problem.question)


def estimate(config: RequestsConfig, sources: Sources, paces: Paces = NO_PACES) -> Estimate:
    """A millisecond a row."""
    rows = config.num_rows
    return Estimate(seconds=1e-3 * rows, bytes=float(_ROW_BYTES * rows), rows=rows)


def describe(config: RequestsConfig) -> str:
    """Rows."""
    return f"{config.num_rows:,} rows of the general domain, written by rule"


def files(config: RequestsConfig) -> Mapping[str, Path]:
    """None."""
    return {}


REQUESTS = StageKind(
    config_class=RequestsConfig,
    inputs={},
    outputs={"rows": Output("rows", ROWS)},
    run=run,
    estimate=estimate,
    describe=describe,
    code=(
        "ponder.corpus",
        "ponder.curate",
        "ponder.pipeline.stages.requests",
        "ponder.problems",
        "ponder.text",
    ),
    files=files,
)
