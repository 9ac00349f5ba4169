"""Several engines on one machine, one after the other, each in a child process of its own.

Nothing of one is in the memory of another, and the device is wholly its own while it runs. A child
that fails becomes a row that says so; the others go on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import MemoryWatch

Row = dict[str, Any]
Job = dict[str, Any]
SIZES = ("prompts", "group_size", "prompt_tokens", "new_tokens")
"""Of every workload."""


@dataclass
class Side:
    """One child: the job it gets as JSON, and the environment that it needs beside ours."""

    name: str
    job: Job
    environment: Mapping[str, str] = field(default_factory=dict)


def child_result(script: Path, side: Side, limit_seconds: float) -> Row:
    """Run ``script --child`` with the side's job; its answer, or {"error": the end of its log}."""
    with tempfile.TemporaryDirectory() as folder:
        job, answer, log = (Path(folder) / name for name in ("job.json", "answer.json", "log"))
        job.write_text(json.dumps(side.job))
        command = [sys.executable, str(script), "--child", str(job), str(answer)]
        watch = MemoryWatch()
        watch.start()
        start = time.perf_counter()
        with log.open("wb") as out:
            code = _wait(command, {**os.environ, **side.environment}, out, limit_seconds)
        used = watch.end()
        if code != 0 or not answer.exists():
            tail = log.read_text(errors="replace").strip().splitlines()[-25:]
            return {"error": f"exit status {code}", "log": tail}
        result: Row = json.loads(answer.read_text())
    result["child_seconds"] = round(time.perf_counter() - start, 1)
    result["device_peak_gib"] = None if used is None else round(used / 1024, 2)
    return result


def required_result(script: Path, side: Side, limit_seconds: float) -> Row:
    """The answer of a child without which nothing goes on; where it fails, the end of its log."""
    answer = child_result(script, side, limit_seconds)
    if "error" in answer:
        raise SystemExit("\n".join([answer["error"], *answer["log"]]))
    return answer


def _wait(command: Sequence[str], environment: Mapping[str, str], out: Any, limit: float) -> int:
    process = subprocess.Popen(
        command, env=dict(environment), stdout=out, stderr=subprocess.STDOUT, process_group=0
    )
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return 124
    finally:
        _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """An engine's own child processes end with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def run_as_child(work: Callable[[Job], Row], arguments: Sequence[str]) -> bool:
    """True where this process is a child (``--child JOB ANSWER``), whose work is now done."""
    if not arguments or arguments[0] != "--child":
        return False
    job, answer = map(Path, arguments[1:3])
    result = work(json.loads(job.read_text()))
    result["rss_peak_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    answer.write_text(json.dumps(result))
    return True


def work_of(sides: Mapping[str, Callable[[Job], Row]], job: Job) -> Row:
    """What a child does: the work of its job's side, on as many threads as the job says."""
    import torch

    if job["threads"]:
        torch.set_num_threads(job["threads"])
    return sides[job["side"]](job)


def rate(tokens: int, seconds: Sequence[float], floor_seconds: float | None = None) -> Row:
    """Median, slowest and fastest tokens per second of the repeats, and the floor's share."""
    median = statistics.median(seconds)
    row = {
        "tokens": tokens,
        "seconds": [round(value, 4) for value in seconds],
        "median_seconds": round(median, 4),
        "tokens_per_second": round(tokens / median, 1),
        "slowest": round(tokens / max(seconds), 1),
        "fastest": round(tokens / min(seconds), 1),
    }
    if floor_seconds is not None:
        row |= {"floor_seconds": round(floor_seconds, 5), "of_floor": floor_seconds / median}
    return row


def common_options(description: str, peers: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--vs", nargs="*", default=[], choices=peers, help="peers to run beside")
    add("--only-peers", action="store_true", help="leave Ponder out")
    add("--device", default="auto", choices=["auto", "cpu", "cuda"])
    add("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    add("--repeats", type=int, default=3, help="timed runs of each")
    add("--turns", type=int, default=1, help="rounds in which each gets its turn")
    add("--threads", type=int, default=0, help="CPU threads of torch; 0: its default")
    add("--peer-path", default="", help="folders for the PYTHONPATH of the peers alone (a:b)")
    add("--limit-seconds", type=float, default=1800, help="of each child process")
    add("--json", type=Path, help="write the result there, again after every child")
    return parser


def size_options(parser: argparse.ArgumentParser, names: Sequence[str] = SIZES) -> None:
    for name in names:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, help="instead of the workload's own")


def given_sizes(options: argparse.Namespace) -> dict[str, int]:
    """The sizes of a workload that the options name."""
    given = {name: getattr(options, name, None) for name in (*SIZES, "slots")}
    return {name: size for name, size in given.items() if size is not None}


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """The options, and as ``settings`` the key=value arguments beside them."""
    options, settings = parser.parse_known_args(arguments)
    wrong = [text for text in settings if text.startswith("-") or "=" not in text]
    if wrong:
        parser.error(f"{wrong[0]}: no such option (settings are written key=value)")
    options.settings = settings
    return options


def peer_environment(peer_path: str) -> dict[str, str]:
    known = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": ":".join(filter(None, [peer_path, known])), "HF_HUB_OFFLINE": "1"}


def base_job(options: argparse.Namespace) -> Job:
    keys = ("device", "dtype", "repeats", "threads")
    return {key: getattr(options, key) for key in keys}


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def write_json(path: Path | None, result: Mapping[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(result, indent=2) + "\n")


def finished_rows(answer: Row, side: Side, known: Row) -> list[Row]:
    """A child's rows with what only its parent knows; one row with the error where it failed.

    ``peak_gib`` is of the device (nvidia-smi, all that the processes hold), on a CPU of the child.
    """
    first = {"workload": "-", "who": side.name, "mode": ""}
    if "error" in answer:
        say("\n".join([f"{side.name}: {answer['error']}", *answer["log"]]))
        return [first | known | answer]
    on_gpu = side.job["device"] == "cuda"
    known = known | {"peak_gib": answer["device_peak_gib" if on_gpu else "rss_peak_gib"]}
    known |= {key: answer.get(key) for key in ("child_seconds", "version")}
    return [first | row | known for row in answer["rows"]]


def print_head(result: Mapping[str, Any]) -> None:
    """One line: the machine and its ceilings."""
    machine, ceilings = result["machine"], result["ceilings"]
    print(
        f"{machine['gpu'] or machine['cpu']}, {result['dtype']}; ceilings: "
        f"{ceilings['flops_per_second'] / 1e12:.1f} TFLOP/s, "
        f"{ceilings['bytes_per_second'] / 1e9:,.0f} GB/s"
    )


def print_table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """``columns``: heading -> format of the row's key of that name, e.g. ``"tokens/s: ,.0f"``."""
    cells = [[_cell(row, key) for key in columns.values()] for row in rows]
    table = [list(columns), *cells]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    for line in table:
        texts = [
            text.ljust(width) if i < 2 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(texts).rstrip())


def _cell(row: Mapping[str, Any], column: str) -> str:
    key, _, form = column.partition(":")
    value = row.get(key)
    return "-" if value is None else format(value, form)
