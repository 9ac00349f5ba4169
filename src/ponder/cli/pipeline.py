"""`ponder pipeline`: the stages of R1 as one graph: run, status, dry run."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ponder.cli.console import console
from ponder.cli.forecast import print_forecast
from ponder.cli.new_run import INTERRUPTED, new_run_path
from ponder.cli.pipeline_watch import PipelineWatch, time_text
from ponder.cli.quiet import quiet_transformers
from ponder.cli.stage_table import print_table
from ponder.cli.stop import StopOnSignal
from ponder.config.pipeline import PipelineRecipe, load_pipeline
from ponder.errors import AlarmError, GuardError, PonderError
from ponder.pipeline.context import Waiting
from ponder.pipeline.estimate import forecast
from ponder.pipeline.graph import Graph, build_graph
from ponder.pipeline.kinds import NO_PACES
from ponder.pipeline.paces import MeasuredPaces
from ponder.pipeline.report import write_pipeline_report
from ponder.pipeline.run import Options, run_pipeline
from ponder.pipeline.stages import KINDS
from ponder.pipeline.status import Standing, pipeline_status
from ponder.pipeline.store import PipelineFolder
from ponder.pipeline.table import read_tables, table_paths
from ponder.pipeline.words import size_text


def run(arguments: Namespace) -> int:
    """Run a pipeline, or say where it stands or what it would take."""
    out = console()
    if arguments.action in ("status", "report"):
        folder = PipelineFolder.open(Path(arguments.recipe))
        graph = build_graph(load_pipeline(folder.toml_path), KINDS)
        if arguments.action == "report":
            out.out(str(write_pipeline_report(folder, graph)), highlight=False)
            return 0
        out.print(status_table(list(pipeline_status(graph, folder, arguments.any_code).values())))
        return 0
    recipe, path = _opened(arguments)
    graph = build_graph(recipe, KINDS)
    quiet_transformers()
    options = Options(
        start=arguments.start,
        only=arguments.only,
        yes=arguments.yes,
        prune=arguments.prune,
        any_code=arguments.any_code,
    )
    if arguments.dry_run:
        paces = None if arguments.no_measure else MeasuredPaces()
        stages = forecast(graph, PipelineFolder(path), options, paces or NO_PACES)
        print_forecast(stages, len(graph.stages), paces, out)
        return 0
    return _run(PipelineFolder.create(path), graph, options, out)


def _opened(arguments: Namespace) -> tuple[PipelineRecipe, Path]:
    """The recipe, and the folder to run it in: RECIPE itself may be that folder."""
    given = Path(arguments.recipe)
    if given.is_dir():
        folder = PipelineFolder.open(given)
        if arguments.out is not None and arguments.out.resolve() != given.resolve():
            fix = f"{given} is a pipeline's folder and goes on where it is; leave --out away"
            raise PonderError("--out", str(arguments.out), fix)
        return load_pipeline(folder.toml_path, arguments.overrides), given
    recipe = load_pipeline(arguments.recipe, arguments.overrides)
    return recipe, arguments.out or recipe.config.out or new_run_path(recipe.config.name)


def _run(folder: PipelineFolder, graph: Graph, options: Options, out: Console) -> int:
    watch = PipelineWatch(out, list(graph.stages))
    go_on = f"ponder pipeline run {folder.path}"
    try:
        with StopOnSignal(watch) as should_stop:
            outcome = run_pipeline(folder, graph, options, watch, should_stop)
    except (PonderError, GuardError, AlarmError) as error:
        watch.close()
        how = "when that is done" if isinstance(error, Waiting) else "when it is mended"
        if folder.toml_path.is_file():
            _say(out, [("go on", f"{go_on}   ({how}; nothing that was done is lost)")])
        raise
    finally:
        watch.close()
    out.print()
    if outcome.stopped is not None:
        _say(out, [("stopped", f"in stage {outcome.stopped}; its work is on the disk")])
        _say(out, [("go on", go_on)])
        return INTERRUPTED
    for title, table in read_tables(table_paths(graph, folder)).items():
        print_table(out, title, table)
        out.print()
    freed = [("pruned", size_text(outcome.freed))] if options.prune else []
    status = f"ponder pipeline status {folder.path}"
    report = write_pipeline_report(folder, graph)
    spent = sum(s.seconds or 0.0 for s in pipeline_status(graph, folder, any_code=True).values())
    freed.append(("time", f"{time_text(spent)} in all stages together"))
    _say(out, [*freed, ("run", str(folder.path)), ("status", status), ("report", str(report))])
    return 0


def _say(out: Console, lines: list[tuple[str, str]]) -> None:
    for name, value in lines:
        out.print(Text.assemble((f"{name:<8}", "bold"), value), soft_wrap=True)


def status_table(standings: list[Standing]) -> Table:
    """Stage, kind, state, key, time, size, and why it would run."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "kind", "state", "key"):
        table.add_column(name, no_wrap=True)
    for name in ("time", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why it would run", overflow="fold")
    styles = {"done": "green", "failed": "bold red", "damaged": "bold red"}
    for standing in standings:
        table.add_row(
            Text(standing.stage.name, style="bold"),
            Text(standing.stage.kind_name),
            Text(standing.state, style=styles.get(standing.state, "yellow")),
            Text(standing.key[:8], style="dim"),
            time_text(standing.seconds),
            size_text(standing.bytes),
            Text(standing.why),
        )
    return table
