"""One whole GRPO step: rollout, update, hand-over of the weights; TRL beside it on this machine.

    python benchmarks/step.py                                         # 1.5B shape, 64 x 8
    python benchmarks/step.py --vs trl --peer-path /tmp/site:/tmp/vw --json out.json
    python benchmarks/step.py batch.microbatch_tokens=32768 optimizer.master_weights=false

Settings of a run (``key=value``) may follow. Full fine-tune of random weights, completions of a
fixed length, rewards by coin: Ponder's own `rollout`, `make_batch`, `Policy` and `LocalGenerator`,
with a scorer that needs no verifier. TRL's GRPOTrainer does the same in two modes: transformers'
`generate`, and vLLM in the same process (its packages must be importable: `--peer-path`). `of
floor` is the least time of the bytes and FLOPs of both halves at the ceilings measured at the
start, divided by the time of the step.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from shapes import SHAPES
from sides import (
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
    work_of,
    write_json,
)
from step_sides import SIDES
from training import TrainWorkload

from ponder.models.device import resolve_device

COLUMNS = {
    "who": "who",
    "mode": "mode",
    "seconds": "median_seconds:.2f",
    "slowest": "slowest_seconds:.2f",
    "rollout": "rollout_seconds:.2f",
    "update": "update_seconds:.2f",
    "hand-over ms": "handover_ms:.2f",
    "check ms": "check_ms:.1f",
    "new tokens/s": "tokens_per_second:,.0f",
    "of floor": "of_floor:.1%",
    "first s": "first_seconds:.1f",
    "peak GiB": "peak_gib:.1f",
    "of it allocated": "allocated_gib:.1f",
    "mean |d|": "mismatch_mean:.1e",
    "max |d|": "mismatch_max:.1e",
}
USUAL = {
    "cuda": TrainWorkload("step", "1.5b", 64, 8, 128, 256),
    "cpu": TrainWorkload("step", "tiny", 4, 4, 32, 16),
}
SCRIPT = Path(__file__).resolve()


def main(arguments: list[str]) -> int:
    if run_as_child(work, arguments):
        return 0
    options = parse_options(arguments)
    device = resolve_device(options.device).type
    workload = workload_of(options, device)
    job = base_job(options) | {"device": device, "settings": options.settings}
    job |= {"workload": asdict(workload), "tokenizer": options.tokenizer}
    facts = required_result(SCRIPT, Side("facts", job | {"side": "facts"}), options.limit_seconds)
    job["ceilings"] = facts["ceilings"]
    result: dict[str, Any] = {"benchmark": "step", "command": sys.argv, "dtype": options.dtype}
    result |= {key: facts[key] for key in ("machine", "ceilings")}
    result |= {"workload": asdict(workload), "rows": []}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        run_sides(options, job | {"folder": folder}, result)
    print_head(result)
    print_table(result["rows"], COLUMNS)
    return 1 if any("error" in row for row in result["rows"]) else 0


def parse_options(arguments: list[str]) -> argparse.Namespace:
    parser = common_options(__doc__ or "", ["trl"])
    add = parser.add_argument
    add("--shape", help=f"{', '.join(SHAPES)}, or a model folder; default 1.5b, tiny on a CPU")
    size_options(parser)
    add("--trl-mode", nargs="*", default=["hf", "vllm"], choices=["hf", "vllm"])
    add("--vllm-memory", type=float, default=0.4, help="TRL's vllm_gpu_memory_utilization")
    add("--tokenizer", default="", help="a tokenizer folder for TRL instead of the byte-level one")
    add("--folder", help="where TRL's checkpoint is kept for a while")
    return parse(parser, arguments)


def workload_of(options: argparse.Namespace, device: str) -> TrainWorkload:
    usual = USUAL[device]
    shape = options.shape or usual.shape
    return replace(usual, shape=shape, **given_sizes(options))


def run_sides(options: argparse.Namespace, job: Job, result: dict[str, Any]) -> None:
    sides = [] if options.only_peers else [Side("ponder", job | {"side": "ponder"})]
    if "trl" in options.vs:
        required_result(SCRIPT, Side("save", job | {"side": "save"}), options.limit_seconds)
        environment = peer_environment(options.peer_path)
        environment |= {"VLLM_USE_FLASHINFER_SAMPLER": "0", "WANDB_MODE": "offline"}
        environment |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        for mode in options.trl_mode:
            more = {"side": "trl", "mode": mode, "memory_share": options.vllm_memory}
            sides.append(Side(f"trl, {mode}", job | more, environment))
    for turn in range(options.turns):
        for side in sides:
            say(f"turn {turn + 1}: {side.name}")
            answer = child_result(SCRIPT, side, options.limit_seconds)
            result["rows"] += finished_rows(answer, side, {"turn": turn})
            write_json(options.json, result)


def work(job: Job) -> Row:
    return work_of(SIDES, job)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
