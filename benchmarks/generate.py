"""The local engine against transformers' `generate`: the same 512 completions, in one process.

    OMP_NUM_THREADS=2 python benchmarks/generate.py             # the bundled base model
    OMP_NUM_THREADS=2 python benchmarks/generate.py --random    # its shape, random weights
    ... --fixed                                                 # no end token: equal lengths

Prints one JSON object. `useful` tokens are those up to each completion's end token; `generate` goes
on computing a whole batch until its last sequence has ended. transformers runs as it is installed:
its own linears, left-padded batch, inference mode, and the better of its dynamic and static caches
(both are timed). The runs of both sides alternate; figures are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from ponder.config.recipes import load_recipe
from ponder.generate.local import LocalGenerator, end_tokens
from ponder.models.linear import use_onednn_linears
from ponder.problems.split import build_problems
from ponder.rollout.prompts import PromptMaker
from ponder.types import Prompt, Sampling

BASE = Path(__file__).parents[1] / "src/ponder/models/base_tiny"
Run = Callable[[int], tuple[int, int]]
"""seed -> useful tokens, computed tokens."""


def main() -> None:
    options = parse_options()
    torch.set_num_threads(options.threads)
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    prompts = make_prompts(tokenizer, options.prompts)
    ours = run_of_ponder(options, tokenizer, prompts)
    theirs = {
        f"generate, {cache} cache": run_of_transformers(options, tokenizer, prompts, cache)
        for cache in ("dynamic", "static")
    }
    trials = {name: timed(run, seed=0) for name, run in theirs.items()}
    best = max(trials, key=lambda name: trials[name]["useful_tokens_per_second"])
    ours(0)
    rows: dict[str, list[dict[str, float]]] = {"ponder": [], best: []}
    for seed in range(1, options.runs + 1):
        rows["ponder"].append(timed(ours, seed))
        rows[best].append(timed(theirs[best], seed))
    medians = {name: medians_of(row) for name, row in rows.items()}
    key = "useful_tokens_per_second"
    result = {
        "workload": describe(options, prompts),
        "machine": machine(),
        "medians": medians,
        "ratio_of_useful_tokens_per_second": round(medians["ponder"][key] / medians[best][key], 2),
        "trials": trials,
        "runs": rows,
    }
    print(json.dumps(result, indent=2))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Local engine against transformers' generate.")
    parser.add_argument("--random", action="store_true", help="random weights of the same shape")
    parser.add_argument("--fixed", action="store_true", help="no end token: all run to the limit")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each side")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def make_prompts(tokenizer: Any, count: int) -> list[Prompt]:
    """Problems of the demo in its template."""
    config = load_recipe("zero-tiny").config
    problems = build_problems(config.problems, seed=0).train
    make = PromptMaker(config.template, tokenizer)
    return [make(problems[index]) for index in range(count)]


def load(options: argparse.Namespace, tokenizer: Any) -> Any:
    """The model; with ``--random``, one that ends a completion after some 80 tokens."""
    if options.random:
        torch.manual_seed(0)
        model = Qwen2ForCausalLM(Qwen2Config.from_pretrained(BASE))
        model.generation_config.eos_token_id = [tokenizer.eos_token_id, *range(500, 512)]
    else:
        model = AutoModelForCausalLM.from_pretrained(BASE)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    if options.fixed:
        model.generation_config.eos_token_id = model.config.eos_token_id = None
    return model.eval()


def run_of_ponder(options: argparse.Namespace, tokenizer: Any, prompts: Sequence[Prompt]) -> Run:
    model = load(options, tokenizer)
    use_onednn_linears(model)
    if options.fixed:
        tokenizer = AutoTokenizer.from_pretrained(BASE)
        tokenizer.eos_token = None
    generator = LocalGenerator(model, tokenizer, options.prompts * options.group_size)
    sampling = Sampling(max_completion_tokens=options.max_tokens)

    def run(seed: int) -> tuple[int, int]:
        generator.generate(prompts, options.group_size, sampling, seed)
        return generator.last_stats.num_tokens, generator.last_stats.num_tokens

    return run


def run_of_transformers(
    options: argparse.Namespace, tokenizer: Any, prompts: Sequence[Prompt], cache: str
) -> Run:
    model = load(options, tokenizer)
    width = max(len(prompt.token_ids) for prompt in prompts)
    pads = [width - len(prompt.token_ids) for prompt in prompts]
    ids = [[0] * pad + list(prompt.token_ids) for pad, prompt in zip(pads, prompts, strict=True)]
    mask = [[0] * pad + [1] * (width - pad) for pad in pads]
    inputs = torch.tensor(ids).repeat_interleave(options.group_size, 0)
    attention_mask = torch.tensor(mask).repeat_interleave(options.group_size, 0)
    ends = torch.tensor([] if options.fixed else sorted(end_tokens(model, tokenizer)))
    implementation = {"cache_implementation": "static"} if cache == "static" else {}

    def run(seed: int) -> tuple[int, int]:
        torch.manual_seed(seed)
        with torch.inference_mode():
            out = model.generate(
                inputs,
                attention_mask=attention_mask,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=options.max_tokens,
                **implementation,
            )[:, width:]
        before = torch.isin(out, ends).cumsum(1).roll(1, 1)
        before[:, 0] = 0
        return int((before == 0).sum()), out.numel()

    return run


def timed(run: Run, seed: int) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    useful, computed = run(seed)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "seconds": round(wall, 3),
        "cpu_seconds": round(cpu, 3),
        "useful_tokens": useful,
        "computed_tokens": computed,
        "useful_tokens_per_second": round(useful / wall, 1),
        "useful_tokens_per_cpu_second": round(useful / cpu, 1),
    }


def medians_of(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def describe(options: argparse.Namespace, prompts: Sequence[Prompt]) -> dict[str, Any]:
    lengths = [len(prompt.token_ids) for prompt in prompts]
    return {
        "model": "random weights, shape of base-tiny" if options.random else "base-tiny",
        "dtype": "float32",
        "prompts": options.prompts,
        "group_size": options.group_size,
        "completions": options.prompts * options.group_size,
        "mean_prompt_tokens": round(statistics.mean(lengths), 1),
        "max_new_tokens": options.max_tokens,
        "end_token": not options.fixed,
        "temperature": 1.0,
    }


def machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


if __name__ == "__main__":
    main()
