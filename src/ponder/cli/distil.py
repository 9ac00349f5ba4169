"""`ponder distil`: a teacher, a student, a run folder; it ends with a table of both."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ponder.cli.console import clock_time, console
from ponder.cli.explain import print_explanation
from ponder.cli.figures import result_rows
from ponder.cli.new_run import INTERRUPTED, discard_unused, new_run_path
from ponder.cli.pace_lines import pace_lines
from ponder.cli.pipeline_watch import PipelineWatch
from ponder.cli.plan_stage import expected_time
from ponder.cli.quiet import quiet_transformers
from ponder.cli.specs import choose_model
from ponder.cli.stop import StopOnSignal
from ponder.config.distil import DistilConfig
from ponder.config.recipes import DEFAULT, Recipe, load_recipe, read_config, to_toml
from ponder.config.rl import TemplateConfig
from ponder.errors import PonderError
from ponder.models.source import BUNDLED
from ponder.pipeline.context import StageContext, Stopped
from ponder.pipeline.paces import MeasuredPaces
from ponder.pipeline.stages.teachers import open_tokenizer
from ponder.pipeline.words import size_text
from ponder.report.html import write_report
from ponder.runlog import CheckpointStore, RunFolder, read_json


def run(arguments: Namespace) -> int:
    """Start a distillation, resume one, or only say what it would take."""
    out = console()
    if arguments.resume is not None:
        return _resume(arguments, out)
    recipe = _recipe(arguments)
    assert isinstance(recipe.config, DistilConfig)
    if arguments.explain:
        print_explanation(recipe, out)
        return 0
    if arguments.dry_run:
        print_estimate(recipe.config, out)
        return 0
    return start(recipe.config, out)


def start(config: DistilConfig, out: Console) -> int:
    """A new run folder, and the run in it."""
    from ponder.train.distil.teacher import teacher_of

    teacher_of(config)
    path = config.out or new_run_path(config.name)
    existed = os.path.exists(path)
    folder = RunFolder.create(path, to_toml(config))
    try:
        return go_on(config, folder, out)
    except PonderError:
        if not (folder.path / "data").exists():
            discard_unused(folder, existed)
        raise


def go_on(config: DistilConfig, folder: RunFolder, out: Console) -> int:
    """Do what is left of a run, and say what came of it."""
    from ponder.pipeline.stages.distillation import DISTIL

    quiet_transformers()
    watch = PipelineWatch(out)
    out.print(Text(f"{config.teacher} -> {config.model}, {DISTIL.describe(config)}, {folder.path}"))
    try:
        with StopOnSignal(watch) as stop:
            DISTIL.run(
                StageContext(config.name, "", config, folder.path, view=watch, should_stop=stop)
            )
    except Stopped:
        watch.close()
        _say(out, [("stopped", "its work is on the disk")])
        _say(out, [("resume", f"ponder distil --resume {folder.path}")])
        return INTERRUPTED
    finally:
        watch.close()
    _print_ending(config, folder, out)
    return 0


def print_estimate(config: DistilConfig, out: Console) -> None:
    """What a run would take, at a pace that is measured on a CPU; nothing of it is run."""
    from ponder.pipeline.stages.distillation import DISTIL
    from ponder.train.distil.teacher import teacher_of

    teacher_of(config)
    quiet_transformers()
    paces = MeasuredPaces()
    found = DISTIL.estimate(config, {}, paces)
    what = "samples of the student" if config.method == "on_policy" else "rows at most"
    lines = [("teacher", str(config.teacher)), ("student", config.model)]
    lines += [("does", DISTIL.describe(config)), ("rows", f"{found.rows or 0:,} {what}")]
    lines += [("memory", size_text(found.memory)), ("disk", size_text(found.bytes))]
    _say(out, [*lines, ("time", expected_time(found))])
    for line in pace_lines(paces):
        out.print(Text(line, style="dim"))


def _recipe(arguments: Namespace) -> Recipe:
    """The recipe with TEACHER and STUDENT in it; a run's folder stands for its checkpoint."""
    words = [word for word in (arguments.teacher, arguments.student) if word is not None]
    if len(words) < 2 or any("=" in word for word in words):
        fix = "name both: ponder distil TEACHER STUDENT [key=value ...]"
        raise PonderError("TEACHER STUDENT", " ".join(words), fix)
    teacher, student = (choose_model(word) for word in words)
    recipe = load_recipe(arguments.recipe, arguments.overrides)
    if not isinstance(recipe.config, DistilConfig):
        fix = 'not a recipe of kind "distil"; `ponder train` runs it'
        raise PonderError("--recipe", arguments.recipe, fix)
    update: dict[str, Any] = {"teacher": teacher.source, "model": student.source}
    if recipe.origin("template.name") == DEFAULT:
        update["template"] = teacher.template or _template(teacher.source, student.source)
    if arguments.out is not None:
        update["out"] = arguments.out
    return replace(recipe, config=recipe.config.model_copy(update=update))


def _template(teacher: str, student: str) -> TemplateConfig:
    """The chat template where both models have one, as `ponder eval` takes it."""
    if {teacher, student} & BUNDLED.keys():
        return TemplateConfig()
    quiet_transformers()
    have = all(open_tokenizer(source).chat_template for source in (teacher, student))
    return TemplateConfig(name="chat" if have else "r1_zero")


def _resume(arguments: Namespace, out: Console) -> int:
    extra = [word for word in (arguments.teacher, arguments.student, *arguments.overrides) if word]
    if extra or arguments.explain or arguments.dry_run:
        fix = "a resumed run keeps its own config.toml; give --resume RUN and nothing else"
        raise PonderError("--resume", " ".join(extra), fix)
    folder = RunFolder.open(arguments.resume)
    config = read_config(folder.config_path)
    if not isinstance(config, DistilConfig):
        fix = "this is no distillation; ponder train --resume goes on with it"
        raise PonderError("--resume", str(folder.path), fix)
    if folder.summary_path.exists() and "teacher" in read_json(folder.summary_path):
        raise PonderError("resume", str(folder.path), "this run is finished: nothing to resume")
    return go_on(config, folder, out)


def _print_ending(config: DistilConfig, folder: RunFolder, out: Console) -> None:
    summary = read_json(folder.summary_path)
    out.print()
    if summary["before"] and summary["after"] and summary["teacher"]:
        out.print(figures_table(summary))
        out.print()
    lines = [("done", f"{summary['steps']} steps in {clock_time(summary['seconds'])}")]
    if "data" in summary:
        data = summary["data"]
        told = f"{data['samples']:,} samples, {data['completion_tokens']:,} tokens"
        lines.append(("learnt", told))
    lines += [("run", str(folder.path)), ("report", str(write_report(folder.path)))]
    model = CheckpointStore(folder.checkpoints_dir).latest()
    _say(out, [*lines, ("model", str(model)), ("talk", f"ponder chat {folder.path}")])


def figures_table(summary: dict[str, Any]) -> Table:
    """The held-out figures of the student before and after, and of the teacher."""
    before, after, teacher = (result_rows(summary[who]) for who in ("before", "after", "teacher"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"{summary['before']['num_problems']} held-out problems", no_wrap=True)
    table.add_column("student before", justify="right", no_wrap=True)
    table.add_column("after", justify="right", no_wrap=True, style="bold")
    table.add_column("teacher", justify="right", no_wrap=True)
    for name, value in before.items():
        row = (name, value, after.get(name, "-"), teacher.get(name, "-"))
        table.add_row(*map(Text, row))
    return table


def _say(out: Console, lines: list[tuple[str, str]]) -> None:
    for name, value in lines:
        out.print(Text.assemble((f"{name:<8}", "bold"), value), soft_wrap=True)
