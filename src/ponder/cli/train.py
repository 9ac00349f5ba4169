"""`ponder train`: a recipe becomes a run folder; the run is watched, and ends with a table."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TypeAlias

from rich.console import Console

from ponder.cli.console import console
from ponder.cli.ending import print_ending
from ponder.cli.explain import print_explanation
from ponder.cli.live import watching
from ponder.cli.new_run import INTERRUPTED, discard_unused, new_run_path
from ponder.cli.pretrain import watch_pretraining
from ponder.cli.quiet import quiet_transformers
from ponder.cli.stop import StopOnSignal
from ponder.cli.watch import Watch
from ponder.config.distil import DistilConfig
from ponder.config.pretrain import PretrainConfig
from ponder.config.recipes import load_recipe, read_config, to_toml
from ponder.config.reward_model import RewardModelConfig
from ponder.config.rl import RLConfig
from ponder.config.sft import SFTConfig
from ponder.errors import PonderError
from ponder.runlog.folder import RunFolder
from ponder.runlog.metrics import read_metrics
from ponder.train.summary import Summary

_Trained: TypeAlias = RLConfig | PretrainConfig | SFTConfig | RewardModelConfig


def run(arguments: Namespace) -> int:
    """Start a run, resume one, or only explain its recipe."""
    out = console()
    if arguments.resume is not None:
        return _resume(arguments, out)
    if arguments.recipe is None:
        raise PonderError("RECIPE", None, "name a recipe (`ponder recipes` lists them) or a file")
    recipe = load_recipe(arguments.recipe, arguments.overrides)
    if arguments.explain:
        print_explanation(recipe, out)
        return 0
    if isinstance(recipe.config, DistilConfig):
        from ponder.cli.distil import start  # the pipeline's modules take a third of a second

        return start(recipe.config, out)
    path = recipe.config.out or new_run_path(recipe.config.name)
    existed = os.path.exists(path)  # unlike path.exists(), False also for impossible names
    folder = RunFolder.create(path, to_toml(recipe.config))
    try:
        return _train(recipe.config, folder, False, out)
    except PonderError:
        discard_unused(folder, existed)
        raise


def _resume(arguments: Namespace, out: Console) -> int:
    extra = [word for word in (arguments.recipe, *arguments.overrides) if word]
    if extra or arguments.explain:
        fix = "a resumed run keeps its own config.toml; give --resume RUN and nothing else"
        raise PonderError("--resume", " ".join([*extra, *["--explain"] * arguments.explain]), fix)
    folder = RunFolder.open(arguments.resume)
    config = read_config(folder.config_path)
    if isinstance(config, DistilConfig):
        fix = f"this is a distillation: ponder distil --resume {folder.path}"
        raise PonderError("--resume", str(folder.path), fix)
    return _train(config, folder, True, out)


def _train(config: _Trained, folder: RunFolder, resume: bool, out: Console) -> int:
    if isinstance(config, PretrainConfig):
        quiet_transformers()
        with folder.lock():
            watch_pretraining(config, folder, out)
        return 0
    with watching(out) as watch, StopOnSignal(watch) as stop:
        quiet_transformers()
        watch.earlier_rows = read_metrics(folder.metrics_path) if resume else ()
        summary = _run(config, folder, resume, watch, stop)
    print_ending(summary, out)
    return 0 if summary.finished else INTERRUPTED


def _run(
    config: RLConfig | SFTConfig | RewardModelConfig,
    folder: RunFolder,
    resume: bool,
    watch: Watch,
    stop: StopOnSignal,
) -> Summary:
    """Imports what it needs here: that takes seconds, in which the view should be there."""
    if isinstance(config, RewardModelConfig):
        from ponder.train.reward.loop import train_reward_model

        return train_reward_model(config, folder, resume, watch, stop)
    if isinstance(config, SFTConfig):
        from ponder.train.sft.loop import fine_tune

        return fine_tune(config, folder, resume, watch, stop)
    from ponder.train.rl.loop import train

    return train(config, folder, resume, watch, stop)
