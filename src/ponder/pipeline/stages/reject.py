"""The kind "reject": rejection sampling, the rows of the second fine-tuning (R1v2 B.3.3).

Several samples of each problem from an RL checkpoint; the correct and readable ones, of which some
are chosen; no duplicates, nothing that evaluation sets have; rows that are not reasoning mixed in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ponder.config.curate import MixConfig, MixPartConfig
from ponder.config.reject import GeneralConfig, RejectConfig
from ponder.curate.mix import MixSummary, mix
from ponder.curate.rows import read_lines
from ponder.errors import PonderError
from ponder.pipeline.context import StageContext
from ponder.pipeline.kinds import NO_PACES, Estimate, Input, Output, Sources, StageKind
from ponder.pipeline.paces import Paces
from ponder.pipeline.stages.collected import Collected
from ponder.pipeline.stages.curated import (
    READABLE,
    ROWS,
    curated,
    evaluation_notes,
    finish,
    notes_of,
)
from ponder.pipeline.stages.drawn import open_problems
from ponder.pipeline.stages.finishing import Verified
from ponder.pipeline.stages.models import MODEL_CODE, expected_model, local_model
from ponder.pipeline.stages.sampled import (
    SAMPLES,
    Collector,
    collected_before,
)
from ponder.pipeline.stages.sampling_estimate import describe, sampling_estimate
from ponder.pipeline.stages.teachers import name_of, open_asked, open_model
from ponder.pipeline.stages.texts import amount_of
from ponder.pipeline.stages.timed import is_to_be_made
from ponder.seeds import derive_seed
from ponder.types import Group, Verdict

if TYPE_CHECKING:
    from ponder.verify.llm_judge import LLMJudge

REASONING = "reasoning.jsonl"


def run(context: StageContext) -> None:
    """Samples, then without duplicates and contamination, then the mixture; each done once."""
    config = context.config
    assert isinstance(config, RejectConfig)
    source = str(context.optional("model") or config.model)
    _check_counts(config.general, context.all("general"))
    collected = collect(context, config, source)
    reasoning = context.folder / REASONING
    summary = curated(context, [context.folder / SAMPLES], reasoning, READABLE)
    dropped = Counter(collected.dropped) + Counter(summary.dropped)
    notes = notes_of(collected, config, name_of(source)) | evaluation_notes(config, summary)
    general, num_general = [], 0
    for number, path in enumerate(context.all("general")):
        out = context.folder / f"general_{number}.jsonl"
        of_file = curated(context, [path], out, config.general.filters)
        dropped.update({f"general: {why}": count for why, count in of_file.dropped.items()})
        general.append(out)
        num_general += of_file.num_read
    mixed = mixture(config, reasoning, general, context.folder / ROWS)
    if general:
        notes["general rows"] = sum(mixed.taken[1:])
    finish(context, source, collected.num_samples + num_general, dropped, notes)


def collect(context: StageContext, config: RejectConfig, source: str) -> Collected:
    """Sample, verify, choose: ``samples.jsonl``."""
    from ponder.verify.verifier_pool import VerifierPool

    if (before := collected_before(context)) is not None:
        return before
    with VerifierPool() as pool, ExitStack() as stack:
        problems = open_problems(context, pool)
        ending = None if config.collect.write_as == "as_sampled" else Verified(pool)
        judge = _Judge(context, config, stack) if config.judge.by != "none" else None
        collector = Collector(context, problems, pool, config.filters, ending, judge)
        return collector.run(lambda: open_model(config, source))


class _Judge:
    """A model's verdict, where the rules' is one of ``judge.verdicts``; opened for the first."""

    def __init__(self, context: StageContext, config: RejectConfig, stack: ExitStack) -> None:
        self._context, self._config, self._stack = context, config, stack
        self._judge: LLMJudge | None = None

    def __call__(self, groups: Sequence[Group]) -> None:
        wanted = {Verdict(verdict) for verdict in self._config.judge.verdicts}
        asked = [
            (group.problem, rollout)
            for group in groups
            for rollout in group.rollouts
            if rollout.judgement.verdict in wanted
        ]
        if not asked:
            return
        items = [(problem, rollout.completion.text) for problem, rollout in asked]
        for (_, rollout), judgement in zip(asked, self._open().judge_many(items), strict=True):
            rollout.judgement = judgement

    def _open(self) -> LLMJudge:
        from ponder.verify.llm_judge import JudgeSettings, LLMJudge

        if self._judge is None:
            settings = self._config.judge
            cache = self._context.folder.parent / "judge_cache.jsonl"
            asked = open_asked(self._config, settings, cache, "judge")
            self._stack.callback(asked.close)
            how = JudgeSettings(settings.votes, probe=settings.probe, seed=self._config.seed)
            self._judge = LLMJudge(asked.generator, asked.make_prompt, asked.sampling, how)
        return self._judge


def mixture(
    config: RejectConfig, reasoning: Path, general: Sequence[Path], out: Path
) -> MixSummary:
    """Reasoning rows, all of them, and so many general ones as the config says, shuffled.

    Raises:
        PonderError: too few general rows.
    """
    counts = general_counts(config.general, reasoning, general)
    parts = [MixPartConfig(path=reasoning)]
    parts += [
        MixPartConfig(path=path, count=count) for path, count in zip(general, counts, strict=True)
    ]
    settings = MixConfig(
        parts=parts,
        seed=derive_seed(config.seed, "mix") % 2**32,
        allow_repeats=config.general.allow_repeats,
    )
    try:
        return mix(settings, out)
    except PonderError as error:
        if not error.field.startswith("mix."):
            raise
        key = "general.share" if config.general.share else "general.counts"
        fix = error.fix.replace("mix.allow_repeats", "general.allow_repeats")
        raise PonderError(key, error.value, fix) from error


def general_counts(
    config: GeneralConfig, reasoning: Path, general: Sequence[Path]
) -> list[int | None]:
    """Rows of each general file; None is all of them."""
    if config.counts:
        return list(config.counts)
    if not config.share or not general:
        return [None] * len(general)
    sizes = [sum(1 for _ in read_lines(path)) for path in general]
    num_reasoning = sum(1 for _ in read_lines(reasoning))
    wanted = round(num_reasoning * config.share / (1 - config.share))
    before, counts = 0, []
    for number in range(1, len(sizes) + 1):  # whole numbers that add up
        upto = wanted * sum(sizes[:number]) // sum(sizes)
        counts.append(upto - before)
        before = upto
    return [*counts]


def _check_counts(config: GeneralConfig, general: Sequence[Path]) -> None:
    if config.counts and len(config.counts) != len(general):
        fix = f"one number for each file of the input general, of which there are {len(general)}"
        raise PonderError("general.counts", config.counts, fix)
    if config.share and not general:
        fix = "there is no input general to take them from; give one, or set it to 0"
        raise PonderError("general.share", config.share, fix)


def estimate(config: RejectConfig, sources: Sources, paces: Paces = NO_PACES) -> Estimate:
    """Samples, rows, memory (that of a local judge with it), and seconds unless a model judges."""
    model = expected_model(sources, config.model)
    judge = {"judge": config.judge.model} if config.judge.by == "model" else {}
    found = sampling_estimate(config, model, is_to_be_made(sources), judge, paces)
    rows = found.rows or 0
    if config.general.counts:
        rows += sum(config.general.counts)
    elif config.general.share:
        rows = round(rows / (1 - config.general.share))
    elif general := sources.get("general"):
        rows += amount_of(general).rows or 0
    asked = config.judge.by != "none"
    return replace(found, rows=rows, seconds=None if asked else found.seconds)


def files(config: RejectConfig) -> Mapping[str, Path]:
    """The models, where they are on this machine."""
    found = local_model(config.model)
    if config.judge.by == "model":
        found |= {f"judge.{key}": path for key, path in local_model(config.judge.model).items()}
    return found


def about(config: RejectConfig) -> str:
    """Problems, samples, and who judges what rules cannot."""
    judged = f", judged by {config.judge.who()}" if config.judge.by != "none" else ""
    return f"{describe(config)}{judged}"


REJECT = StageKind(
    config_class=RejectConfig,
    inputs={
        "model": Input("model", optional=True),
        "general": Input("rows", optional=True, many=True),
    },
    outputs={"rows": Output("rows", ROWS)},
    run=run,
    estimate=estimate,
    describe=about,
    code=(
        *MODEL_CODE,
        "ponder.curate",
        "ponder.pipeline.stages.collected",
        "ponder.pipeline.stages.benchmarks",
        "ponder.pipeline.stages.curated",
        "ponder.pipeline.stages.drawn",
        "ponder.pipeline.stages.finishing",
        "ponder.pipeline.stages.reject",
        "ponder.pipeline.stages.sampled",
        "ponder.pipeline.stages.teachers",
    ),
    files=files,
    unhashed=("name", "out", "chunk_problems", "judge.endpoint.cache"),
)
