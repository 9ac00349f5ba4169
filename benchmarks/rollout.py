"""Rollouts: Ponder's engine, and vLLM and transformers' `generate` beside it on this machine.

    python benchmarks/rollout.py                                    # Ponder alone, 1.5B shape
    python benchmarks/rollout.py --shape 135m --vs vllm transformers --json out.json
    python benchmarks/rollout.py --shape smollm2 --device cpu --vs transformers
    python benchmarks/rollout.py engine.compile=false               # settings of the engine

Token ids in, token ids and (where a mode says so) log-probabilities out, end to end, at
temperature 1, with no end token: lengths are given. Weights are random, so only speed is compared.
Every engine runs in its own child process and has the device to itself; vLLM in its four modes
(in-process or with its engine process, with and without log-probabilities). `of floor` is the least
time that the bytes and FLOPs of the workload need at the ceilings measured at the start
(`shapes.rollout_floor`), divided by the time taken. `mean |d|` and `max |d|` compare the sampler's
log-probabilities with those of Ponder's training pass over the same tokens, in nats.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rollout_sides import Workload, work
from shapes import SHAPES
from sides import (
    SIZES,
    Job,
    Row,
    Side,
    base_job,
    child_result,
    common_options,
    finished_rows,
    given_sizes,
    parse,
    peer_environment,
    print_head,
    print_table,
    required_result,
    run_as_child,
    say,
    size_options,
    write_json,
)

from ponder.models.device import resolve_device

GPU_WORKLOADS = (
    Workload("fixed", 64, 8, 128, 512, slots=512),
    Workload("lognormal", 128, 8, 128, 400, slots=256, sigma=1.0),
    Workload("small 1 x 1", 1, 1, 128, 256, slots=512),
    Workload("small 8 x 1", 8, 1, 128, 256, slots=512),
)
CPU_WORKLOADS = (
    Workload("fixed", 8, 8, 64, 64, slots=64),
    Workload("lognormal", 16, 8, 64, 40, slots=32, sigma=1.0, cap=256),
    Workload("small 1 x 1", 1, 1, 64, 64, slots=64),
    Workload("small 8 x 1", 8, 1, 64, 64, slots=64),
)
COLUMNS = {
    "workload": "workload",
    "who": "name",
    "tokens/s": "tokens_per_second:,.0f",
    "slowest": "slowest:,.0f",
    "fastest": "fastest:,.0f",
    "ms/token": "ms_per_token_of_one:.2f",
    "of floor": "of_floor:.1%",
    "first run s": "first_seconds:.1f",
    "peak GiB": "peak_gib:.1f",
    "mean |d|": "mismatch_mean:.1e",
    "max |d|": "mismatch_max:.1e",
}
SCRIPT = Path(__file__).resolve()


def main(arguments: list[str]) -> int:
    if run_as_child(work, arguments):
        return 0
    options = parse_options(arguments)
    device = resolve_device(options.device).type
    workloads = chosen_workloads(options, device)
    job = base_job(options) | {"shape": options.shape, "device": device}
    job["settings"] = options.settings
    facts = required_result(SCRIPT, Side("facts", job | {"side": "facts"}), options.limit_seconds)
    job |= {key: facts[key] for key in ("ceilings", "size", "vocabulary", "context")}
    result = {
        "benchmark": "rollout",
        "command": sys.argv,
        "shape": options.shape,
        "dtype": options.dtype,
        "workloads": [asdict(workload) for workload in workloads],
        "machine": facts["machine"],
        "ceilings": facts["ceilings"],
        "size": facts["size"],
        "rows": [],
    }
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        run_sides(options, job | {"folder": folder}, workloads, result)
    report(result)
    return 1 if any("error" in row for row in result["rows"]) else 0


def parse_options(arguments: list[str]) -> argparse.Namespace:
    parser = common_options(__doc__ or "", ["vllm", "transformers"])
    add = parser.add_argument
    names = f"{', '.join(SHAPES)}, base-tiny, smollm2, or a model folder"
    add("--shape", default="1.5b", help=names)
    add("--workload", nargs="*", default=[], help="fixed, lognormal, small; default: all")
    size_options(parser, (*SIZES, "slots"))
    add("--vllm-process", nargs="*", default=["in", "own"], choices=["in", "own"], help="modes")
    both = ["with", "without"]
    add("--vllm-logprobs", nargs="*", default=both, choices=both, help="modes, times those")
    add("--vllm-memory", type=float, default=0.75, help="its gpu_memory_utilization")
    add("--transformers-tokens", type=int, default=256, help="most new tokens of generate")
    add("--folder", help="where the peers' checkpoint is kept for a while")
    return parse(parser, arguments)


def chosen_workloads(options: argparse.Namespace, device: str) -> list[Workload]:
    """Those asked for, with the sizes given; an argument that names none is refused."""
    known = GPU_WORKLOADS if device == "cuda" else CPU_WORKLOADS
    unknown = set(options.workload) - {workload.name.split()[0] for workload in known}
    if unknown:
        raise SystemExit(f"--workload {' '.join(sorted(unknown))}: use fixed, lognormal, small")
    return [
        replace(workload, **given_sizes(options))
        for workload in known
        if not options.workload or workload.name.split()[0] in options.workload
    ]


def run_sides(
    options: argparse.Namespace, job: Job, workloads: list[Workload], result: dict[str, Any]
) -> None:
    """Everyone in turn; the JSON is written anew after each."""
    sides = [] if options.only_peers else [ponder_side(job, workloads)]
    sides += peer_sides(options, job, workloads)
    if "vllm" in options.vs:
        say("saving the weights for vLLM")
        required_result(SCRIPT, Side("save", job | {"side": "save"}), options.limit_seconds)
    for turn in range(options.turns):
        for side in sides:
            say(f"turn {turn + 1}: {side.name}")
            answer = child_result(SCRIPT, side, options.limit_seconds)
            rows = finished_rows(answer, side, {"turn": turn})
            add_mismatch(rows, job, options.limit_seconds)
            result["rows"] += rows
            write_json(options.json, result)


def ponder_side(job: Job, workloads: list[Workload]) -> Side:
    return Side("ponder", job | {"side": "ponder", "workloads": [asdict(w) for w in workloads]})


def peer_sides(options: argparse.Namespace, job: Job, workloads: list[Workload]) -> list[Side]:
    """vLLM: a child for each mode and number of slots. transformers: one, of equal lengths."""
    environment = peer_environment(options.peer_path)
    sides = []
    for process in options.vllm_process if "vllm" in options.vs else []:
        own = environment | vllm_environment(process)
        for slots in sorted({workload.slots for workload in workloads}, reverse=True):
            some = [asdict(workload) for workload in workloads if workload.slots == slots]
            more = {"side": "vllm", "workloads": some, "in_process": process == "in"}
            more |= {"memory_share": options.vllm_memory, "logprobs": options.vllm_logprobs}
            sides.append(Side(f"vllm, {process} process, {slots} slots", job | more, own))
    if "transformers" in options.vs:
        some = [asdict(workload) for workload in workloads if not workload.sigma]
        more = {"side": "transformers", "workloads": some}
        more["new_tokens_at_most"] = options.transformers_tokens
        sides.append(Side("transformers", job | more))
    return sides


def vllm_environment(process: str) -> dict[str, str]:
    """FlashInfer's sampler compiles itself at first use, which fails without its tools: off,
    unless the environment says otherwise."""
    flashinfer = os.environ.get("VLLM_USE_FLASHINFER_SAMPLER", "0")
    own_process = "0" if process == "in" else "1"
    return {
        "VLLM_USE_FLASHINFER_SAMPLER": flashinfer,
        "VLLM_ENABLE_V1_MULTIPROCESSING": own_process,
    }


def add_mismatch(rows: list[Row], job: Job, limit_seconds: float) -> None:
    """Score a peer's completions with the trainer, in a child of its own."""
    sampled = [row for row in rows if "samples" in row]
    if not sampled:
        return
    more = {"side": "score", "samples": [row.pop("samples") for row in sampled]}
    answer = child_result(SCRIPT, Side("score", job | more), limit_seconds)
    if "error" in answer:
        say("\n".join([f"score: {answer['error']}", *answer["log"]]))
        return
    for row, scores in zip(sampled, answer["rows"], strict=True):
        row |= scores


def report(result: dict[str, Any]) -> None:
    """The table, then Ponder against the best mode of each peer."""
    print(f"shape {result['shape']};", end=" ")
    print_head(result)
    rows = [
        row | {"name": ", ".join(filter(None, [row["who"], row["mode"]]))} for row in result["rows"]
    ]
    rows.sort(key=lambda row: row["workload"])
    print_table(rows, COLUMNS)
    for name in dict.fromkeys(row["workload"] for row in rows):
        best: dict[str, float] = {}
        for row in (row for row in rows if row["workload"] == name and "error" not in row):
            best[row["who"]] = max(best.get(row["who"], 0.0), row["tokens_per_second"])
        for peer in best.keys() - {"ponder"} if "ponder" in best else ():
            print(f"{name}: {best['ponder'] / best[peer]:.2f} x {peer}'s best mode")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
