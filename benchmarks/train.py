"""The trainer alone: one full update (forward, backward, clipping, optimizer) on given tokens.

    python benchmarks/train.py                                   # all workloads of this device
    python benchmarks/train.py --workload 1.5b --vs transformers --json out.json
    python benchmarks/train.py --workload qwen3-0.6b batch.microbatch_tokens=32768

Settings of a run (``key=value``) may follow. Weights and tokens are random. `tokens/s` counts every
sequence with its prompt; Ponder computes a group's prompt once. `of floor` is the least time of the
update's FLOPs (forward and backward, nothing recomputed) and of its optimizer's bytes at the
ceilings measured at the start, divided by the time taken; `MFU` is of the data sheet's bf16
figure, as published figures are. transformers: padded microbatches, sdpa, gradient checkpointing,
fused AdamW on bfloat16 weights and moments; Ponder keeps float32 weights and moments by default.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from machine import measure_machine, nominal_flops, timed
from rollout_sides import allocated_peak, reset_peak, version
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
    print_head,
    print_table,
    rate,
    required_result,
    run_as_child,
    say,
    size_options,
    work_of,
    write_json,
)
from training import PaddedTrainer, TrainWorkload, make_config, make_policy, settings_of

from ponder.models.device import resolve_device

WORKLOADS = {
    "qwen3-0.6b": TrainWorkload("qwen3-0.6b", "0.6b", 4, 1, 128, 16_256),
    "1.5b": TrainWorkload("1.5b", "1.5b", 64, 8, 128, 256),
    "1.5b-32k": TrainWorkload("1.5b-32k", "1.5b", 1, 1, 128, 32_640),
    "tiny": TrainWorkload("tiny", "tiny", 4, 4, 16, 48),
    "135m-cpu": TrainWorkload("135m-cpu", "135m", 2, 4, 64, 64),
}
DEFAULTS = {"cuda": ["qwen3-0.6b", "1.5b", "1.5b-32k"], "cpu": ["tiny"]}
PADDED_TOKENS = 16_384
"""Tokens of a padded microbatch of the peer."""

COLUMNS = {
    "workload": "workload",
    "who": "who",
    "tokens/s": "tokens_per_second:,.0f",
    "slowest": "slowest:,.0f",
    "fastest": "fastest:,.0f",
    "seconds": "median_seconds:.3f",
    "of floor": "of_floor:.1%",
    "MFU": "mfu:.1%",
    "first s": "first_seconds:.1f",
    "peak GiB": "peak_gib:.1f",
    "of it allocated": "allocated_gib:.1f",
}
SCRIPT = Path(__file__).resolve()


def main(arguments: list[str]) -> int:
    if run_as_child(work, arguments):
        return 0
    options = parse_options(arguments)
    device = resolve_device(options.device).type
    job = base_job(options) | {"device": device, "settings": options.settings}
    facts = required_result(SCRIPT, Side("facts", job | {"side": "facts"}), options.limit_seconds)
    job |= {"ceilings": facts["ceilings"], "nominal": nominal_flops(facts["machine"]["gpu"])}
    result: dict[str, Any] = {"benchmark": "train", "command": sys.argv, "dtype": options.dtype}
    result |= {key: facts[key] for key in ("machine", "ceilings")} | {"rows": []}
    for turn in range(options.turns):
        for name in options.workload or DEFAULTS[device]:
            for who in ([] if options.only_peers else ["ponder"]) + options.vs:
                say(f"turn {turn + 1}: {name}, {who}")
                fields = asdict(replace(WORKLOADS[name], **given_sizes(options)))
                side = Side(who, job | {"side": who, "workload": fields})
                answer = child_result(SCRIPT, side, options.limit_seconds)
                result["rows"] += finished_rows(answer, side, {"turn": turn, "workload": name})
                write_json(options.json, result)
    print_head(result)
    print_table(result["rows"], COLUMNS)
    return 1 if any("error" in row for row in result["rows"]) else 0


def parse_options(arguments: list[str]) -> argparse.Namespace:
    parser = common_options(__doc__ or "", ["transformers"])
    add = parser.add_argument
    add("--workload", nargs="*", default=[], choices=WORKLOADS, help="default: the device's")
    size_options(parser)
    return parse(parser, arguments)


def work(job: Job) -> Row:
    sides = {"facts": measure_machine, "ponder": run_ponder, "transformers": run_transformers}
    return work_of(sides, job)


def run_ponder(job: Job) -> Row:
    """``Policy.update`` on a batch of one minibatch."""
    from shapes import open_shape

    workload = TrainWorkload(**job["workload"])
    model, _ = open_shape(workload.shape, job["device"], job["dtype"])
    config = make_config(job, workload)
    policy = make_policy(model, config, workload)

    def update(seed: int) -> None:
        batch = make_one_batch(workload, seed, model.config.vocab_size)
        policy.score(batch)
        policy.update(batch.minibatches[0])

    row = repeated(update, workload, model.config, job)
    return {"rows": [row | {"settings": settings_of(policy.config)}]}


def make_one_batch(workload: TrainWorkload, seed: int, vocabulary: int) -> Any:
    """Random tokens with advantages of +-1, as ``make_batch`` would hand them on."""
    from ponder.train.rl.batch import Batch, Minibatch, PromptRows, Row

    groups = [
        PromptRows(
            tuple(prompt),
            tuple(
                Row(ids, [-10.0] * len(ids), 1.0 - 2.0 * ((i + j) % 2))
                for j, ids in enumerate(completions)
            ),
        )
        for i, (prompt, completions) in enumerate(workload.token_ids(seed, vocabulary))
    ]
    return Batch((Minibatch(tuple(groups), float(sum(map(sum, workload.limits)))),))


def run_transformers(job: Job) -> Row:
    from shapes import open_shape

    workload = TrainWorkload(**job["workload"])
    model, _ = open_shape(workload.shape, job["device"], job["dtype"], as_installed=True)
    width = workload.prompt_tokens + workload.new_tokens
    trainer = PaddedTrainer(model, max(1, min(PADDED_TOKENS // width, 16)))

    def update(seed: int) -> None:
        ids = workload.token_ids(seed, model.config.vocab_size)
        sequences = [prompt + completion for prompt, group in ids for completion in group]
        trainer.update(sequences, workload.new_tokens)

    row = repeated(update, workload, model.config, job)
    return {"rows": [row], "version": version("transformers")}


def repeated(update: Any, workload: TrainWorkload, config: Any, job: Job) -> Row:
    """The first update (compiling) stands apart."""
    from shapes import Ceilings, size_of, update_floor, update_flops

    _, first = timed(lambda: update(0), job["device"])
    reset_peak(job["device"])
    seeds = range(1, job["repeats"] + 1)
    seconds = [timed(lambda seed=seed: update(seed), job["device"])[1] for seed in seeds]
    sizes = (size_of(config), workload.prompt_tokens, workload.limits)
    row = rate(workload.num_tokens, seconds, update_floor(*sizes, Ceilings(**job["ceilings"])))
    row |= {"first_seconds": round(first, 2), "flops": update_flops(*sizes)}
    if job["nominal"]:
        row["mfu"] = row["flops"] / row["median_seconds"] / job["nominal"]
    return row | allocated_peak(job["device"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
