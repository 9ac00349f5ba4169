"""The kind "distil": a student learns from a teacher's right answers, or from its probabilities.

off_policy (R1v2 B.4.3): sample the teacher, verify, filter, choose; fine-tune the student on that.
on_policy: the student samples, the teacher scores (``train.distil``). Both leave a model and rows:
those that were learnt, or all that the student wrote.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ponder.config.distil import DistilConfig
from ponder.config.recipes import to_toml
from ponder.curate.choose import candidates_of
from ponder.curate.rows import Mark, RowWriter
from ponder.pipeline.context import StageContext
from ponder.pipeline.kinds import CHECKPOINTS, Input, Output, StageKind
from ponder.pipeline.stages.collected import Collected
from ponder.pipeline.stages.curated import (
    READABLE,
    ROWS,
    curated,
    evaluation_notes,
    finish,
    notes_of,
)
from ponder.pipeline.stages.distillation_config import sampled_config, sft_config
from ponder.pipeline.stages.distillation_estimate import estimate
from ponder.pipeline.stages.drawn import open_problems
from ponder.pipeline.stages.finishing import Verified
from ponder.pipeline.stages.models import MODEL_CODE, local_model
from ponder.pipeline.stages.sampled import (
    SAMPLES,
    Collector,
    collected_before,
    domain_of,
)
from ponder.pipeline.stages.teachers import Teacher, name_of, open_model, open_tokenizer
from ponder.pipeline.words import count_text
from ponder.runlog import (
    RunFolder,
    list_steps,
    read_json,
    read_rollouts,
    write_json_atomic,
)
from ponder.runlog.rollouts import rollouts_path

DATA = "data"
"""The folder of what was sampled of the teacher, in the stage's own."""


def run(context: StageContext) -> None:
    """Rows and training, from where an earlier process was; then the teacher is measured."""
    from ponder.train.distil.teacher import teacher_of

    config = stage_config(context)
    teacher_of(config)
    assert isinstance(context.config, DistilConfig)
    folder, _ = context.open_run(to_toml(context.config))
    if config.method == "off_policy":
        _sample(context, config, folder)
        _fine_tune(context, config, folder)
    else:
        _train(context, config, folder)
        _write_rows(config, folder)
    _measure(context, config, folder)


def stage_config(context: StageContext) -> DistilConfig:
    """The config with the models of the inputs, where there are such."""
    assert isinstance(context.config, DistilConfig)
    given = {"teacher": context.optional("teacher"), "model": context.optional("student")}
    return context.config.model_copy(update={k: str(v) for k, v in given.items() if v})


def _sample(context: StageContext, config: DistilConfig, folder: RunFolder) -> None:
    """DATA/rows.jsonl: the teacher's right, readable, chosen answers, and their card."""
    assert config.teacher is not None
    data = folder.path / DATA
    if (data / "summary.json").is_file():  # written last
        return
    data.mkdir(exist_ok=True)
    settings = sampled_config(config)
    part = replace(context, folder=data, config=settings, inputs={})
    with folder.lock():
        collected = _collect(part, config)
        summary = curated(part, [data / SAMPLES], data / ROWS, READABLE)
    dropped = Counter(collected.dropped) + Counter(summary.dropped)
    notes = notes_of(collected, settings, name_of(config.teacher))
    notes |= evaluation_notes(settings, summary)
    finish(part, config.model, collected.num_samples, dropped, notes)


def _collect(part: StageContext, config: DistilConfig) -> Collected:
    """Sample, verify, choose: DATA/samples.jsonl."""
    from ponder.verify.verifier_pool import VerifierPool

    if (before := collected_before(part)) is not None:
        return before
    with VerifierPool() as pool:
        problems = open_problems(part, pool)
        ending = None if config.collect.write_as == "as_sampled" else Verified(pool)
        collector = Collector(part, problems, pool, config.filters, ending)
        return collector.run(lambda: _open_teacher(config))


def _open_teacher(config: DistilConfig) -> Teacher:
    """The teacher with its own prompts; those of the rows are what the student will see."""
    from ponder.text.templates import render

    assert config.teacher is not None
    tokenizer = open_tokenizer(config.model)
    return replace(
        open_model(sampled_config(config), config.teacher),
        row_prompt=lambda problem: render(config.template, problem.question, tokenizer),
    )


def _fine_tune(context: StageContext, config: DistilConfig, folder: RunFolder) -> None:
    from ponder.train.sft.loop import fine_tune
    from ponder.train.sft.record import samples_dir

    if folder.summary_path.exists():
        shutil.rmtree(samples_dir(folder), ignore_errors=True)  # it may have been killed there
        return
    settings = sft_config(config, folder.path / DATA / ROWS)
    context.train(fine_tune, settings, folder, resume=True)


def _train(context: StageContext, config: DistilConfig, folder: RunFolder) -> None:
    from ponder.train.distil.loop import distil_on_policy

    if not folder.summary_path.exists():
        context.train(distil_on_policy, config, folder, resume=True)


def _write_rows(config: DistilConfig, folder: RunFolder) -> None:
    """DATA/rows.jsonl: all that the student wrote and was scored on, with the verdicts."""
    path = folder.path / DATA / ROWS
    if path.is_file():
        return
    settings = sampled_config(config)
    with RowWriter(path, at=Mark()) as writer:
        for step in list_steps(folder.rollouts_dir):
            for group in read_rollouts(rollouts_path(folder.rollouts_dir, step)):
                for one in candidates_of(group, domain_of(group.problem, settings), "student"):
                    about = {**one.row.metadata, "step": step, "verdict": one.verdict.value}
                    writer.write(replace(one.row, id=f"{step}/{one.row.id}", metadata=about))


def _measure(context: StageContext, config: DistilConfig, folder: RunFolder) -> None:
    """The teacher's figures beside the student's in summary.json."""
    from ponder.train.distil.evaluation import measure_teacher

    summary = read_json(folder.summary_path)
    if "teacher" in summary:
        return
    context.view.note("measuring the teacher on the held-out problems")
    result = measure_teacher(config, folder)
    figures = result.figures() if result else None
    write_json_atomic(folder.summary_path, summary | {"method": config.method, "teacher": figures})


def describe(config: DistilConfig) -> str:
    """What is sampled, and how it is learnt."""
    if config.method == "on_policy":
        policy = config.on_policy
        size = f"{policy.prompts_per_step} x {policy.group_size}"
        steps = count_text(policy.steps, "step")
        return f"on-policy: {steps} of {size} of the student's own samples"
    collect, learn = config.collect, config.off_policy
    sampled = f"{collect.num_problems:,} problems x {collect.group_size} of the teacher"
    return f"{sampled}, {count_text(learn.epochs, 'epoch')}, updates of {learn.samples} samples"


def files(config: DistilConfig) -> Mapping[str, Path]:
    """The models, where they are on this machine."""
    teacher = local_model(config.teacher).get("model") if config.teacher else None
    return local_model(config.model) | ({"teacher": teacher} if teacher else {})


DISTIL = StageKind(
    config_class=DistilConfig,
    inputs={
        "teacher": Input("model", optional=True),
        "student": Input("model", optional=True),
    },
    outputs={"model": Output("model", CHECKPOINTS), "rows": Output("rows", f"{DATA}/{ROWS}")},
    run=run,
    estimate=estimate,
    describe=describe,
    code=(
        *MODEL_CODE,
        "ponder.curate",
        "ponder.train.*",
        "ponder.train.distil",
        "ponder.train.rl",
        "ponder.train.sft",
        "ponder.pipeline.stages.benchmarks",
        "ponder.pipeline.stages.curated",
        "ponder.pipeline.stages.distillation",
        "ponder.pipeline.stages.distillation_config",
        "ponder.pipeline.stages.drawn",
        "ponder.pipeline.stages.finishing",
        "ponder.pipeline.stages.collected",
        "ponder.pipeline.stages.sampled",
        "ponder.pipeline.stages.teachers",
    ),
    files=files,
    unhashed=("name", "out", "log", "checkpoint", "chunk_problems"),
)
