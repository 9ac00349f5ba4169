"""`ponder train` of a pretraining recipe: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ponder.cli.console import clock_time
from ponder.config.pretrain import PretrainConfig
from ponder.pipeline.stages.pretraining import told
from ponder.runlog.folder import RunFolder


def watch_pretraining(config: PretrainConfig, folder: RunFolder, out: Console) -> None:
    """Pretrain in ``folder`` (from its newest checkpoint, if it has one) and say how it goes."""
    from ponder.train.pretrain.loop import pretrain

    began = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, disable=not out.is_terminal) as progress:
        task = progress.add_task("starting", total=config.steps)

        def report(step: int, metrics: Mapping[str, float]) -> None:
            line = told(metrics)
            progress.update(task, completed=step, description=line)
            if not out.is_terminal:
                out.out(f"step {step}/{config.steps}  {line}", highlight=False)
                out.file.flush()

        model_path = pretrain(config, folder, report)
    out.print(f"done in {clock_time(time.monotonic() - began)}", soft_wrap=True)
    out.print(f"model   {model_path}", soft_wrap=True)
