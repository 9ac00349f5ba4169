"""What runs in the child processes of ``rollout.py``: Ponder's engine, vLLM, transformers.

Every function takes the job of its child (plain JSON) and returns ``{"rows": [...]}``, one row for
each workload and mode. Prompts are fresh in every repeat, so no cache of prefixes helps between
repeats; lengths are the same in all.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from machine import measure_machine, timed
from sides import Job, Row, rate, work_of

Sample = tuple[list[int], list[int], list[float]]
"""Prompt, completion, and the sampler's log-probabilities of the completion (maybe none)."""

Run = Callable[[int], Any]
"""seed -> what the engine returned."""

MISMATCH_TOKENS = 16384
"""Most tokens that the trainer's forward pass scores again."""


@dataclass(frozen=True, slots=True)
class Workload:
    """``prompts`` x ``group_size`` completions on ``slots``, of ``new_tokens`` each; with ``sigma``
    of log-normal lengths with that mean, at most ``cap``."""

    name: str
    prompts: int
    group_size: int
    prompt_tokens: int
    new_tokens: int
    slots: int
    sigma: float = 0.0
    cap: int = 4096

    @property
    def longest(self) -> int:
        return max(max(group) for group in self.limits())

    def limits(self) -> list[list[int]]:
        """[prompts][group_size], the same in every run."""
        draw = random.Random(0)
        return [[self._length(draw) for _ in range(self.group_size)] for _ in range(self.prompts)]

    def _length(self, draw: random.Random) -> int:
        if not self.sigma:
            return self.new_tokens
        mean_of_log = math.log(self.new_tokens) - self.sigma**2 / 2
        return max(1, min(self.cap, int(draw.lognormvariate(mean_of_log, self.sigma))))

    def prompt_ids(self, seed: int, vocabulary: int) -> list[list[int]]:
        draw, top = random.Random(seed), min(vocabulary, 40_000)
        one = range(self.prompt_tokens)
        return [[draw.randrange(10, top) for _ in one] for _ in range(self.prompts)]


def work(job: Job) -> Row:
    """The entry of every child."""
    return work_of(SIDES, job)


def run_facts(job: Job) -> Row:
    """The machine, what it can do at best, and the size of the shape."""
    from shapes import config_of, size_of

    config = config_of(job["shape"])
    return {
        **measure_machine(job),
        "size": asdict(size_of(config)),
        "vocabulary": config.vocab_size,
        "context": config.max_position_embeddings,
    }


def run_save(job: Job) -> Row:
    """Write the weights as a folder that a peer can open."""
    from shapes import open_shape

    model, tokenizer = open_shape(job["shape"], job["device"], job["dtype"])
    model.save_pretrained(job["folder"])
    tokenizer.save_pretrained(job["folder"])
    return {"rows": []}


def run_ponder(job: Job) -> Row:
    """All workloads on one model, with log-probabilities; the mismatch is scored in place."""
    from shapes import open_shape

    from ponder.config.layers import unflatten
    from ponder.config.overrides import parse_overrides
    from ponder.config.rl import RLConfig
    from ponder.generate.local import LocalGenerator

    model, tokenizer = open_shape(job["shape"], job["device"], job["dtype"])
    engine = RLConfig.model_validate(unflatten(parse_overrides(RLConfig, job["settings"]))).engine
    rows = []
    for workload in workloads_of(job):
        generator = LocalGenerator(model, tokenizer, workload.slots, engine)
        run = ponder_run(generator, workload, job["vocabulary"])
        row, groups, seed = repeated(run, workload, job, warm=run)
        ids = workload.prompt_ids(seed, job["vocabulary"])
        samples = [
            (ids[i], completion.token_ids, completion.sampler_logprobs)
            for i, group in enumerate(groups)
            for completion in group
        ]
        check_lengths(workload, [len(sample[1]) for sample in samples])
        row |= {"who": "ponder", "mode": "log-probabilities"} | allocated_peak(job["device"])
        row["stats"] = asdict(generator.last_stats)
        rows.append(row | mismatch(model, samples))
    return {"rows": rows}


def ponder_run(generator: Any, workload: Workload, vocabulary: int) -> Run:
    """The public call, from lists of ids to finished ``Completion`` objects."""
    from ponder.types import Prompt, Sampling

    sampling = Sampling(max_completion_tokens=workload.longest, ignore_end_tokens=True)
    limits = workload.limits() if workload.sigma else None

    def run(seed: int) -> Any:
        ids = workload.prompt_ids(seed, vocabulary)
        prompts = [Prompt(f"p{i}", "", tuple(row)) for i, row in enumerate(ids)]
        return generator.generate(prompts, workload.group_size, sampling, seed, limits=limits)

    return run


def run_vllm(job: Job) -> Row:
    """vLLM on the saved folder; the job says how many slots, its environment in which process.

    Its own start compiles and captures, so only a few tokens warm it up.
    """
    from vllm import LLM, SamplingParams

    workloads = workloads_of(job)
    need = max(w.prompt_tokens + w.longest for w in workloads)
    engine = LLM(
        model=job["folder"],
        skip_tokenizer_init=True,
        dtype=job["dtype"],
        max_model_len=min(job["context"], max(2048, need)),
        max_num_seqs=workloads[0].slots,
        seed=0,
        **({"gpu_memory_utilization": job["memory_share"]} if job["device"] == "cuda" else {}),
    )
    settings = SamplingParams(max_tokens=8, ignore_eos=True, detokenize=False)
    rows: list[Row] = []
    for workload in workloads:
        few = [{"prompt_token_ids": ids} for ids in workload.prompt_ids(-1, job["vocabulary"])[:8]]
        for logprobs in [{"with": 0, "without": None}[which] for which in job["logprobs"]]:
            row, outputs, seed = repeated(
                vllm_run(engine, workload, job["vocabulary"], logprobs),
                workload,
                job,
                warm=lambda _, few=few: engine.generate(few, settings, use_tqdm=False),
            )
            done = [one for output in outputs for one in output.outputs]
            check_lengths(workload, [len(one.token_ids) for one in done])
            where = "in-process" if job["in_process"] else "engine process"
            what = "no log-probabilities" if logprobs is None else "log-probabilities"
            row |= {"who": "vllm", "mode": f"{where}, {what}"}
            if logprobs is not None:
                row["samples"] = vllm_samples(workload.prompt_ids(seed, job["vocabulary"]), done)
            rows.append(row)
    return {"rows": rows, "version": version("vllm")}


def vllm_run(engine: Any, workload: Workload, vocabulary: int, logprobs: int | None) -> Run:
    """Token ids in, token ids out; with limits of their own, completions are requests."""
    from vllm import SamplingParams

    def settings(count: int, limit: int) -> Any:
        return SamplingParams(
            n=count,
            temperature=1.0,
            max_tokens=limit,
            ignore_eos=True,
            logprobs=logprobs,
            detokenize=False,
        )

    def run(seed: int) -> Any:
        prompts = [{"prompt_token_ids": ids} for ids in workload.prompt_ids(seed, vocabulary)]
        asked: Any = settings(workload.group_size, workload.new_tokens)
        if workload.sigma:
            prompts = [prompt for prompt in prompts for _ in range(workload.group_size)]
            asked = [settings(1, limit) for group in workload.limits() for limit in group]
        return engine.generate(prompts, asked, use_tqdm=False)

    return run


def vllm_samples(prompts: list[list[int]], done: Sequence[Any]) -> list[Sample]:
    """Some of its completions with the log-probabilities that it reported, as plain lists."""
    per_prompt = len(done) // len(prompts)
    samples = [
        (
            prompts[i // per_prompt],
            list(one.token_ids),
            [step[token].logprob for step, token in zip(one.logprobs, one.token_ids, strict=True)],
        )
        for i, one in enumerate(done)
    ]
    return some(samples)


def run_transformers(job: Job) -> Row:
    """``generate`` on one batch of equal lengths, with the better of its two caches.

    Log-normal lengths are left out: without a limit for each sequence it would compute every batch
    to its longest. New tokens may be fewer (``new_tokens_at_most``; the row says how many). It
    gives no log-probabilities.
    """
    from shapes import open_shape

    model, _ = open_shape(job["shape"], job["device"], job["dtype"], as_installed=True)
    model.generation_config.eos_token_id = model.config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    rows = []
    for workload in workloads_of(job):
        new_tokens = min(workload.new_tokens, job["new_tokens_at_most"])
        short = replace(workload, new_tokens=new_tokens)
        runs = {
            cache: transformers_run(model, short, job["vocabulary"], cache)
            for cache in ("dynamic", "static")
        }
        for run in runs.values() if job["device"] == "cuda" else ():
            run(0)  # the static cache is compiled for its length
        trials = {
            cache: timed(lambda run=run: run(0), job["device"])[1] for cache, run in runs.items()
        }
        best = min(trials, key=lambda cache: trials[cache])
        row, _, _ = repeated(runs[best], short, job, None)
        what = f"generate, {best} cache, no log-probabilities, {new_tokens} tokens"
        row |= {"who": "transformers", "mode": what} | allocated_peak(job["device"])
        rows.append(row | {"trial_seconds": trials})
    return {"rows": rows, "version": version("transformers")}


def transformers_run(model: Any, workload: Workload, vocabulary: int, cache: str) -> Run:
    import torch

    def run(seed: int) -> Any:
        ids = torch.tensor(workload.prompt_ids(seed, vocabulary), device=model.device)
        ids = ids.repeat_interleave(workload.group_size, 0)
        torch.manual_seed(seed)
        with torch.inference_mode():
            return model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=workload.new_tokens,
                min_new_tokens=workload.new_tokens,
                cache_implementation=cache,
            )

    return run


def run_score(job: Job) -> Row:
    """The trainer's word on the completions of a peer: one row of mismatch for each list."""
    from shapes import open_shape

    model, _ = open_shape(job["shape"], job["device"], job["dtype"])
    return {"rows": [mismatch(model, samples) for samples in job["samples"]]}


def repeated(
    run: Run,
    workload: Workload,
    job: Job,
    warm: Run | None,
) -> tuple[Row, Any, int]:
    """(row, what the last run gave, its seed); the first run stands apart as ``first_seconds``."""
    first = timed(lambda: warm(0), job["device"])[1] if warm else None
    reset_peak(job["device"])
    seconds, result = [], None
    for seed in range(1, job["repeats"] + 1):
        result, one = timed(lambda seed=seed: run(seed), job["device"])
        seconds.append(one)
    limits = workload.limits()
    row = rate(sum(map(sum, limits)), seconds, floor_of(workload, limits, job))
    row |= {"workload": workload.name, "first_seconds": first and round(first, 2)}
    row["ms_per_token_of_one"] = round(row["median_seconds"] / workload.longest * 1e3, 3)
    return row, result, job["repeats"]


def floor_of(workload: Workload, limits: list[list[int]], job: Job) -> float:
    from shapes import Ceilings, Size, rollout_floor

    value_bytes = 2 if job["dtype"] == "bfloat16" else 4
    ceilings = Ceilings(**job["ceilings"])
    size = Size(**job["size"])
    args = (size, workload.prompt_tokens, limits, workload.slots, value_bytes, ceilings)
    return rollout_floor(*args)


def some(samples: Sequence[Sample]) -> list[Sample]:
    """Whole completions spread over all of them, up to ``MISMATCH_TOKENS`` tokens."""
    chosen: list[Sample] = []
    order = random.Random(0).sample(range(len(samples)), len(samples))
    room = MISMATCH_TOKENS
    for i in order:
        room -= len(samples[i][0]) + len(samples[i][1])
        if room < 0 and chosen:
            break
        chosen.append(samples[i])
    return chosen


def mismatch(model: Any, samples: Sequence[Sample]) -> Row:
    """|sampler - trainer| of log-probabilities in nats, over ``some`` of the completions."""
    import torch

    from ponder.models.packed import completion_logprobs
    from ponder.models.packed_layout import PackedLayout

    chosen = some(samples)
    prompts, completions = [one[0] for one in chosen], [one[1] for one in chosen]
    layout = PackedLayout.build(prompts, completions, range(len(chosen)), model.device)
    with torch.no_grad():
        trainer, _ = completion_logprobs(model, layout, temperature=1.0, chunk_tokens=1024)
    sampler = torch.tensor([value for one in chosen for value in one[2]])
    apart = (trainer.float().cpu() - sampler).abs()
    return {
        "mismatch_mean": float(apart.mean()),
        "mismatch_max": float(apart.max()),
        "mismatch_tokens": apart.numel(),
    }


def check_lengths(workload: Workload, lengths: Sequence[int]) -> None:
    """A side that ended early would look fast."""
    wanted = [limit for group in workload.limits() for limit in group]
    if list(lengths) != wanted:
        raise RuntimeError(f"{workload.name}: {sum(lengths)} tokens instead of {sum(wanted)}")


def allocated_peak(device: str) -> Row:
    import torch

    if device != "cuda":
        return {}
    return {"allocated_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2)}


def reset_peak(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def workloads_of(job: Job) -> list[Workload]:
    return [Workload(**fields) for fields in job["workloads"]]


def version(package: str) -> str:
    from importlib.metadata import version as of

    return of(package)


SIDES: dict[str, Callable[[Job], Row]] = {
    "facts": run_facts,
    "save": run_save,
    "ponder": run_ponder,
    "vllm": run_vllm,
    "transformers": run_transformers,
    "score": run_score,
}
