"""`ponder plan` of a recipe that is no RL: what its stage of a pipeline would be told to take."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.text import Text

from ponder.cli.console import console
from ponder.cli.outfile import write_json
from ponder.cli.pace_lines import pace_lines
from ponder.cli.pipeline_watch import time_text
from ponder.config.distil import DistilConfig
from ponder.config.pretrain import PretrainConfig
from ponder.config.reward_model import RewardModelConfig
from ponder.config.sft import SFTConfig
from ponder.errors import PonderError
from ponder.pipeline.kinds import NO_PACES, Estimate, Source, Sources
from ponder.pipeline.paces import MeasuredPaces
from ponder.pipeline.words import size_text

Planned = SFTConfig | RewardModelConfig | DistilConfig | PretrainConfig


def plan_stage(config: Planned, arguments: Namespace) -> int:
    """Print, and write the JSON if one was asked for."""
    from ponder.pipeline.stages import KINDS

    _check(config, arguments)
    kind = KINDS[config.kind]
    settings, sources = _sources(config)
    paces = None if arguments.no_measure else MeasuredPaces()
    found = kind.estimate(settings, sources, paces or NO_PACES)
    lines = {
        "does": kind.describe(config),
        "rows": "-" if found.rows is None else f"{found.rows:,}",
    }
    if not isinstance(config, PretrainConfig):
        lines = {"model": config.model} | lines
    lines |= {"memory": size_text(found.memory), "disk": size_text(found.bytes)}
    lines["time"] = expected_time(found)
    out = console()
    for name, value in lines.items():
        out.print(Text.assemble((f"{name:<8}", "bold"), value))
    for line in pace_lines(paces):
        out.print(Text(line, style="dim"))
    if arguments.json is not None:
        write_json(arguments.json, _to_json(found))
        out.print(Text(f"written to {arguments.json}"), soft_wrap=True)
    return 0


def _check(config: Planned, arguments: Namespace) -> None:
    if arguments.gpu is not None:
        fix = "a recipe of this kind is planned for this machine alone; leave it out"
        raise PonderError("--gpu", arguments.gpu, fix)
    for option in ("prompt_tokens", "mean_tokens"):
        if (value := getattr(arguments, option)) is not None:
            fix = "only RL recipes take it: lengths come from the data here; leave it out"
            raise PonderError(f"--{option.replace('_', '-')}", value, fix)
    if isinstance(config, DistilConfig) and config.teacher is None:
        raise PonderError("teacher", None, "name the model to learn from: teacher=MODEL")


def _sources(config: Planned) -> tuple[Planned, Sources]:
    """The config as a stage has it, whose data is an input."""
    if not isinstance(config, SFTConfig | RewardModelConfig):
        return config, {}
    path = config.data.path
    if path is None:
        raise PonderError("data.path", None, "name the rows to learn from: data.path=FILE.jsonl")
    data = config.data.model_copy(update={"path": None})
    return config.model_copy(update={"data": data}), {"data": [Source(path)]}


def expected_time(found: Estimate) -> str:
    """Seconds, and at most; "-" where nobody knows."""
    if found.seconds is None:
        return "-"
    most = "" if found.most_seconds is None else f", at most {time_text(found.most_seconds)}"
    return f"about {time_text(found.seconds)}{most}"


def _to_json(found: Estimate) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "memory_bytes": found.memory,
        "disk_bytes": found.bytes,
        "seconds": found.seconds,
        "most_seconds": found.most_seconds,
    }
