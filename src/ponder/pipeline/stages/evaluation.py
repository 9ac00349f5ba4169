"""The kind "eval": a model on benchmarks; its table.json is a column of the stage table.

Every chunk of rollouts is kept as soon as it is verified, so a killed evaluation goes on at the
next chunk; what is sampled does not depend on the chunks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.config.benchmarks import BenchmarksConfig
from ponder.config.rl import RewardConfig, SamplingConfig
from ponder.errors import PonderError
from ponder.pipeline.context import StageContext
from ponder.pipeline.kinds import NO_PACES, Estimate, Input, Output, Sources, StageKind
from ponder.pipeline.paces import Paces
from ponder.pipeline.stages.benchmarks import benchmark_problems
from ponder.pipeline.stages.held import (
    held_while_sampling,
    sampling_demand,
    sampling_seconds,
)
from ponder.pipeline.stages.measures import measures_of
from ponder.pipeline.stages.models import MODEL_CODE, expected_model, local_model
from ponder.pipeline.stages.teachers import open_generator
from ponder.pipeline.stages.timed import Spent, is_to_be_made, sampled, with_time
from ponder.pipeline.workload import Workload
from ponder.plan.pace import Calls
from ponder.runlog import list_steps, read_rollouts, write_json_atomic, write_rollouts
from ponder.runlog.durable import disk_errors, remove_stale
from ponder.runlog.rollouts import rollouts_path
from ponder.types import Group, Problem, Sampling

if TYPE_CHECKING:
    from ponder.verify.verifier_pool import VerifierPool

TABLE = "table.json"
_PARTS = RewardConfig(language=1.0)
"""Rewards are not used; their parts are what the table measures beside verdicts."""


def run(context: StageContext) -> None:
    """Sample, verify, measure; write table.json and summary.json."""
    from ponder.verify.verifier_pool import VerifierPool

    config = context.config
    assert isinstance(config, BenchmarksConfig)
    if not config.benchmarks:
        fix = 'name at least one: [stages.NAME.benchmarks.gsm8k] name = "gsm8k"'
        raise PonderError("benchmarks", None, fix)
    problems = {name: benchmark_problems(name, config) for name in config.benchmarks}
    model = context.optional("model")
    source = str(model) if model else config.model
    with VerifierPool() as pool:
        for found in problems.values():
            for warning in pool.prepare(found, config.unsafe):
                context.view.note(warning)
        evaluation = _Evaluation(context, config, source, pool)
        rows = {name: evaluation.measure(name, found) for name, found in problems.items()}
    table = {
        "label": config.label or context.name,
        "stage": context.name,
        "tables": config.tables,
        "k": config.k,
        "seed": config.seed,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "benchmarks": rows,
    }
    figures = {name: row["figures"] for name, row in rows.items()}
    write_json_atomic(context.folder / "summary.json", {"name": context.name, "figures": figures})
    write_json_atomic(context.folder / TABLE, table)


class _Evaluation:
    """A model, opened when the first chunk needs it."""

    def __init__(
        self, context: StageContext, config: BenchmarksConfig, source: str, pool: VerifierPool
    ) -> None:
        self._context, self._config, self._source, self._pool = context, config, source, pool
        self._opened: tuple[Any, Any] | None = None

    def measure(self, name: str, problems: Sequence[Problem]) -> dict[str, Any]:
        """A benchmark's part of table.json; chunks that are on the disk are not done again."""
        from ponder.evals.evaluate import result_of

        folder = self._context.folder / "rollouts" / name
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        remove_stale(folder)
        size = max(1, self._config.max_batch_size // self._config.k)
        starts = range(0, len(problems), size)
        there = set(list_steps(folder))
        groups: list[Group] = []
        sampling = self._sampling(self._config.max_completion_tokens)
        for number, start in enumerate(starts):
            self._context.view.progress(number, len(starts), name)
            if number not in there:
                self._context.stop_if_asked()
                chunk = problems[start : start + size]
                write_rollouts(folder, number, self._sample(chunk, problems))
            groups += read_rollouts(rollouts_path(folder, number))
        self._context.view.progress(len(starts), len(starts), name)
        result = result_of(groups, self._config.k, sampling, self._config.seed)
        return {"figures": result.figures(), "measures": measures_of(groups)}

    def _sample(self, chunk: Sequence[Problem], problems: Sequence[Problem]) -> list[Group]:
        from ponder.generate.local import context_tokens
        from ponder.rollout.rollout import rollout
        from ponder.rollout.scorer import RuleScorer

        generator, make_prompt = self._open()
        longest = max(len(make_prompt(problem).token_ids) for problem in problems)
        room = context_tokens(generator.model) - longest
        limit = max(1, min(self._config.max_completion_tokens, room))
        scorer = RuleScorer(_PARTS, limit, self._pool)
        return rollout(
            chunk,
            generator,
            scorer,
            make_prompt,
            self._config.k,
            self._sampling(limit),
            self._config.seed,
        )

    def _sampling(self, limit: int) -> Sampling:
        config = self._config
        return Sampling(config.temperature, config.top_p, max_completion_tokens=limit)

    def _open(self) -> tuple[Any, Any]:
        if self._opened is None:
            from ponder.rollout.prompts import PromptMaker

            config = self._config
            generator, tokenizer = open_generator(config, self._source, config.max_batch_size)
            self._opened = generator, PromptMaker(config.template, tokenizer)
        return self._opened


def estimate(config: BenchmarksConfig, sources: Sources, paces: Paces = NO_PACES) -> Estimate:
    """Samples, memory, and seconds: on a CPU at a measured pace, on a GPU at most."""
    from ponder.plan.devices import device_for

    if not config.benchmarks:
        return Estimate()
    model = expected_model(sources, config.model)
    device = device_for(config.device)
    samples = len(config.benchmarks) * config.num_problems * config.k
    demand = sampling_demand(_work(config), config.engine, device.is_gpu)
    held = held_while_sampling(model, demand, device, {})
    found = Estimate(bytes=2e3 * samples, rows=samples, memory=sum(held.values()))
    if device.is_gpu:
        whole = replace(demand, prompts=len(config.benchmarks) * config.num_problems)
        return replace(found, seconds=sampling_seconds(model, whole, held, device))
    chunk = max(1, config.max_batch_size // config.k)
    calls = Calls.in_chunks(config.num_problems, config.k, config.max_batch_size, chunk)
    timed = sampled(paces, model, _work(config), calls, is_to_be_made(sources))
    return with_time(found, timed and Spent() + timed[0] * len(config.benchmarks))


def _work(config: BenchmarksConfig) -> Workload:
    return Workload(
        dtype=config.dtype,
        threads=config.threads,
        problems=next(iter(config.benchmarks.values())),
        template=config.template,
        sampling=SamplingConfig(
            temperature=config.temperature,
            top_p=config.top_p,
            max_completion_tokens=config.max_completion_tokens,
            max_batch_size=config.max_batch_size,
        ),
        prompts=min(config.num_problems, max(1, config.max_batch_size // config.k)),
        group_size=config.k,
    )


def describe(config: BenchmarksConfig) -> str:
    """Benchmarks and samples."""
    few = len(config.benchmarks) <= 2
    names = ", ".join(config.benchmarks) if few else f"{len(config.benchmarks)} benchmarks"
    return f"{names}: up to {config.num_problems} problems x {config.k}"


def files(config: BenchmarksConfig) -> Mapping[str, Path]:
    """The model, where it is on this machine."""
    return local_model(config.model)


EVAL = StageKind(
    config_class=BenchmarksConfig,
    inputs={"model": Input("model", optional=True)},
    outputs={"table": Output("table", TABLE)},
    run=run,
    estimate=estimate,
    describe=describe,
    code=(
        *MODEL_CODE,
        "ponder.curate",
        "ponder.evals",
        "ponder.pipeline.stages.benchmarks",
        "ponder.pipeline.stages.evaluation",
        "ponder.pipeline.stages.measures",
        "ponder.pipeline.stages.teachers",
    ),
    files=files,
    unhashed=("name", "out", "max_batch_size"),
)
