"""`ponder plan`: what a step of a recipe will take of a GPU, before anything runs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from ponder.cli.console import console
from ponder.cli.outfile import check_can_be_file, write_json
from ponder.cli.pace_lines import pace_lines
from ponder.cli.plan_cpu import cpu_times, measured_step, on_this_cpu
from ponder.cli.plan_stage import plan_stage
from ponder.cli.quiet import quiet_transformers
from ponder.config.recipes import load_recipe
from ponder.config.rl import RLConfig
from ponder.pipeline.paces import MeasuredPaces
from ponder.plan import memory
from ponder.plan.beside import reward_models, weights_beside
from ponder.plan.constants import GIB
from ponder.plan.demand import PROMPT_TOKENS, demand_of
from ponder.plan.devices import Device, named_gpu, this_cpu, this_gpu
from ponder.plan.fit import Plan
from ponder.plan.plan import make_plan

_DEFAULT_GPU = "h100"
_BAR_CELLS = 24


def run(arguments: Namespace) -> int:
    """Plan, print, and write the JSON if one was asked for."""
    if arguments.json is not None:
        check_can_be_file("--json", arguments.json)
    config = load_recipe(arguments.recipe, arguments.overrides).config
    quiet_transformers()
    if not isinstance(config, RLConfig):
        return plan_stage(config, arguments)
    device, why = choose_device(arguments.gpu, config.device)
    from ponder.plan.read import read_shape

    shape = read_shape(config.model)
    paces = None if device.is_gpu or arguments.no_measure else MeasuredPaces()
    pace = measured_step(config, paces) if paces else None
    prompt_tokens = arguments.prompt_tokens or (pace.prompt_tokens if pace else PROMPT_TOKENS)
    beside = weights_beside(reward_models(config), config.dtype)
    demand = demand_of(config, prompt_tokens, arguments.mean_tokens, device.is_gpu, beside)
    plan = make_plan(demand, shape, device)
    timed = on_this_cpu(plan, pace, arguments.mean_tokens) if pace else None
    times = _times(plan) if timed is None else cpu_times(timed)
    out = console()
    for part in (_head(plan, why), _memory(plan), times, _sizes(plan)):
        if part.row_count:
            out.print(part)
            out.print()
    told = _assumptions(plan, arguments.prompt_tokens is None, arguments.mean_tokens is None)
    if not device.is_gpu:
        told = [*_waiting(plan), *pace_lines(paces)]
    for line in told:
        out.print(Text(line, style="dim"))
    if arguments.json is not None:
        write_json(arguments.json, to_json(plan) | (timed.to_json() if timed else {}))
        out.print(Text(f"written to {arguments.json}"), soft_wrap=True)
    return 0


def choose_device(gpu: str | None, wanted: str) -> tuple[Device, str]:
    """What to plan for, and why that, in a few words ("" where it was asked for)."""
    if gpu is not None:
        return named_gpu(gpu), ""
    if wanted != "cpu" and (here := this_gpu()) is not None:
        return here, ""
    if wanted == "cuda":
        return named_gpu(_DEFAULT_GPU), "no GPU here; --gpu NAME plans for another"
    return this_cpu(), "--gpu NAME plans for a GPU"


def _table() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True, min_width=20)
    return table


def _head(plan: Plan, why: str) -> Table:
    shape, device, demand = plan.shape, plan.device, plan.demand
    table = _table()
    kind = "bfloat16" if demand.width == 2 else "float32"
    size = f"{shape.num_parameters / 1e6:,.1f}M parameters, {shape.num_layers} layers, {kind}"
    if demand.lora_rank:
        trained = memory.trained_numbers(shape, demand) / 1e6
        size += f", adapters of rank {demand.lora_rank} ({trained:,.1f}M)"
    table.add_row("model", Text(f"{shape.name} ({shape.kind}: {size})"))
    speed = ""
    if device.flops and device.bandwidth:
        speed = f", {device.flops / 1e12:,.0f} TFLOP/s, {device.bandwidth / 1e12:.2f} TB/s"
    table.add_row("device", Text(f"{device.name}, {device.memory / GIB:.1f} GiB{speed}"))
    table.add_row("", Text("; ".join(filter(None, (device.source, why))), style="dim"))
    rollouts = f"{demand.prompts} prompts x {demand.group_size} = {demand.num_rollouts:,} rollouts"
    lengths = f"{demand.prompt_tokens:,} + up to {demand.limit:,} tokens"
    table.add_row("a step", Text(f"{rollouts}, {lengths}"))
    return table


def _memory(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("memory, GiB", style="bold", no_wrap=True, min_width=20)
    for name in ("sampling", "update"):
        table.add_column(name, justify="right")
    for part in dict.fromkeys((*plan.rollout, *plan.update)):
        cells = (_gib(plan.rollout.get(part)), _gib(plan.update.get(part)))
        table.add_row(Text(part), *cells)
    totals = sum(plan.rollout.values()), sum(plan.update.values())
    table.add_row(Text("together"), *map(_gib, totals), style="bold")
    share = plan.peak / plan.limit
    bar = _bar(share)
    table.add_row(
        Text("peak"),
        _gib(plan.peak),
        Text(f"of {plan.limit / GIB:.1f}"),
        Text(f"{bar} {share:.0%}", "cyan"),
    )
    return table


def _times(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    if plan.times is None or plan.floor is None or plan.seconds is None:
        return table
    table.add_column("time, seconds", style="bold", no_wrap=True, min_width=20)
    table.add_column("expected", justify="right")
    table.add_column("floor", justify="right")
    for part, seconds in plan.times.items():
        bar = Text(_bar(seconds / plan.seconds), "cyan")
        table.add_row(Text(part), _seconds(seconds), _seconds(plan.floor[part]), bar)
    floor = sum(plan.floor.values())
    share = Text(f"{plan.share_of_floor:.0%} of what the hardware could do")
    table.add_row(Text("a step"), _seconds(plan.seconds), _seconds(floor), share, style="bold")
    sampling = plan.times["prompts"] + plan.times["decoding"]
    speeds = f"{plan.tokens / sampling:,.0f} sampled, {plan.tokens / plan.seconds:,.0f} over all"
    table.add_row(Text("tokens per second"), Text(""), Text(""), Text(speeds))
    return table


def _sizes(plan: Plan) -> Table:
    table, sizes, demand = _table(), plan.sizes, plan.demand
    for key, value, fixed in (
        ("batch.microbatch_tokens", f"{sizes.microbatch_tokens:,}", demand.microbatch_tokens),
        ("batch.logprob_chunk_tokens", f"{sizes.chunk_tokens:,}", demand.chunk_tokens),
        ("batch.recompute", sizes.recompute, demand.recompute != "auto"),
        ("engine.memory_gib", f"{sizes.kv_gib:.1f}", demand.kv_gib),
    ):
        table.add_row(Text(key), Text(value), Text("set" if fixed else "chosen", style="dim"))
    return table


def _assumptions(plan: Plan, prompt_assumed: bool, mean_assumed: bool) -> list[str]:
    lines = []
    if prompt_assumed:
        lines.append(f"assumed: prompts of {PROMPT_TOKENS} tokens (--prompt-tokens N)")
    if mean_assumed:
        lines.append("assumed: every completion reaches the limit (--mean-tokens N)")
    return lines + _waiting(plan)


def _waiting(plan: Plan) -> list[str]:
    """What does not fit at one time, and what is put elsewhere."""
    lines = []
    if plan.slots_at_once < plan.demand.slots:
        lines.append(
            f"keys and values of {plan.slots_at_once} of {plan.demand.slots} sequences of that "
            "length fit at a time: the others wait"
        )
    host = memory.host_bytes(plan.shape, plan.demand)
    if host:
        lines.append(f"the offloaded optimizer takes {host / GIB:.1f} GiB of the host's memory")
    return lines


def _bar(share: float) -> str:
    full = max(0, min(_BAR_CELLS, round(share * _BAR_CELLS)))
    return "█" * full + "░" * (_BAR_CELLS - full)


def _gib(size: float | None) -> Text:
    return Text("-" if size is None else f"{size / GIB:.2f}")


def _seconds(seconds: float) -> Text:
    if seconds >= 1000:
        return Text(f"{seconds:,.0f}")
    return Text(f"{seconds:.3f}" if seconds < 1 else f"{seconds:.2f}")


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain JSON; memory in GiB, times in seconds."""
    sizes = plan.sizes
    return {
        "model": {
            "name": plan.shape.name,
            "kind": plan.shape.kind,
            "parameters": plan.shape.num_parameters,
            "trained": memory.trained_numbers(plan.shape, plan.demand),
        },
        "device": {"name": plan.device.name, "source": plan.device.source},
        "memory_gib": {
            "rollout": _in_gib(plan.rollout),
            "update": _in_gib(plan.update),
            "peak": plan.peak / GIB,
            "limit": plan.limit / GIB,
            "host": memory.host_bytes(plan.shape, plan.demand) / GIB,
        },
        "sizes": {
            "microbatch_tokens": sizes.microbatch_tokens,
            "logprob_chunk_tokens": sizes.chunk_tokens,
            "recompute": sizes.recompute,
            "kv_gib": sizes.kv_gib,
            "sequences_at_once": plan.slots_at_once,
        },
        "seconds": plan.times,
        "floor_seconds": plan.floor,
        "step_seconds": plan.seconds,
        "share_of_floor": plan.share_of_floor,
        "assumed": {
            "prompt_tokens": plan.demand.prompt_tokens,
            "mean_tokens": plan.demand.mean_tokens,
        },
    }


def _in_gib(parts: Mapping[str, float]) -> dict[str, float]:
    return {name: size / GIB for name, size in parts.items()}
