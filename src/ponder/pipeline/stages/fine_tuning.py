"""The kind "sft": fine-tuning on the rows of earlier stages, from a model or a base of one's own.

A base that a recipe names (R1's third stage trains the base *again*, not the model before it) is
simply no input: ``model`` of the settings.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder.config.recipes import to_toml
from ponder.config.rl import SamplingConfig
from ponder.config.sft import SFTConfig
from ponder.curate.rows import Mark, RowWriter, read_lines
from ponder.errors import PonderError
from ponder.pipeline.context import StageContext
from ponder.pipeline.kinds import CHECKPOINTS, NO_PACES, Estimate, Input, Output, Sources, StageKind
from ponder.pipeline.paces import Paces
from ponder.pipeline.stages.models import MODEL_CODE, expected_model, local_model
from ponder.pipeline.stages.texts import Amount, amount_of
from ponder.pipeline.stages.timed import Spent, evaluated, learnt, with_time
from ponder.pipeline.words import count_text
from ponder.pipeline.workload import Workload
from ponder.plan.pace import Lengths, lengths
from ponder.runlog import RunFolder

_PROMPT_SHARE = 4
"""A prompt is taken to be this part of its row, where time is predicted."""


def run(context: StageContext) -> None:
    """Train in the stage's folder, from its newest checkpoint if there is one."""
    from ponder.train.sft.loop import fine_tune

    joined = context.folder / "data.jsonl.zst"
    config = stage_config(context, joined)
    folder, resume = context.open_run(to_toml(config))
    if not folder.summary_path.exists():
        if len(context.all("data")) > 1:
            join(context.all("data"), joined)
        context.train(fine_tune, config, folder, resume)
    _tidy(folder, joined)


def stage_config(context: StageContext, joined: Path) -> SFTConfig:
    """The config with the model and the rows of the inputs, of several files as ``joined``."""
    assert isinstance(context.config, SFTConfig)
    _check_unnamed(context.config)
    paths = context.all("data")
    path = joined if len(paths) > 1 else paths[0]
    data = context.config.data.model_copy(update={"path": path})
    model = context.optional("model")
    update: dict[str, Any] = {"data": data} | ({"model": str(model)} if model else {})
    return context.config.model_copy(update=update)


def join(paths: Sequence[Path], whole: Path) -> None:
    """All rows of all files in one, unless it is there: it appears whole or not at all.

    Raises PonderError that names the file and the line of a bad row.
    """
    from ponder.train.sft.rows import read_rows

    if whole.exists():
        return
    with RowWriter(whole, at=Mark()) as writer:
        for path in paths:
            rows = read_rows(path, "inputs.data")  # says what is wrong, with the line in its file
            for _, (_, line) in zip(rows, read_lines(path), strict=True):
                writer.write_line(line + b"\n")


def _check_unnamed(config: SFTConfig) -> None:
    if config.data.path is not None:
        fix = 'a stage learns its input: inputs = {data = ["STAGE", "FILE.jsonl"]}; leave it out'
        raise PonderError("data.path", str(config.data.path), fix)


def _tidy(folder: RunFolder, joined: Path) -> None:
    """Remove what only a run that is not finished needs (it may have been killed at its end)."""
    from ponder.train.sft.record import samples_dir

    shutil.rmtree(samples_dir(folder), ignore_errors=True)
    joined.unlink(missing_ok=True)


def estimate(config: SFTConfig, sources: Sources, paces: Paces = NO_PACES) -> Estimate:
    """Rows are counted where they are there; on a CPU seconds are at a measured pace."""
    from ponder.plan.devices import device_for
    from ponder.plan.memory import Sizes
    from ponder.plan.read import read_shape
    from ponder.plan.supervised import Texts, update_cost
    from ponder.train.sft.learner import resolve_batch

    _check_unnamed(config)
    model = expected_model(sources, config.model)
    shape = read_shape(model)
    device = device_for(config.device)
    amount = amount_of(sources.get("data", ()))
    limit = min(config.data.max_tokens, shape.context_tokens or config.data.max_tokens)
    tokens = amount.tokens(limit)
    samples = config.batch.samples or max(1, config.batch.tokens // tokens)
    batch = resolve_batch(config.batch, "cuda" if device.is_gpu else "cpu")
    prompt = tokens // _PROMPT_SHARE
    cost = update_cost(
        Texts(samples, prompt, tokens - prompt, limit),
        shape,
        device,
        Sizes(
            batch.microbatch_tokens,
            batch.logprob_chunk_tokens,
            "layers" if batch.recompute == "layers" else "none",
            0.0,
        ),
        config.dtype,
        config.optimizer,
        config.lora,
        config.batch.compile and device.is_gpu,
    )
    updates = _updates(config, amount, samples)
    known = cost.seconds is not None and updates is not None and amount.line_bytes is not None
    found = Estimate(
        seconds=(cost.seconds or 0.0) * (updates or 0) if known else None,
        bytes=cost.checkpoint * config.checkpoint.keep,
        rows=None if amount.rows is None else amount.rows * config.epochs,
        memory=cost.memory,
        model=model,
    )
    if device.is_gpu or updates is None:
        return found
    seen = updates * samples if config.max_steps else (amount.rows or 0) * config.epochs
    most = limit if amount.line_bytes is None else tokens
    spent = _spent(config, model, Lengths(tokens * seen, most * seen), updates, paces)
    return with_time(found, spent)


def _spent(
    config: SFTConfig, model: str, tokens: Lengths, updates: int, paces: Paces
) -> Spent | None:
    """On a CPU: the updates, and the evaluations where there are any."""
    work = _work(config)
    updating = learnt(paces, model, work, tokens, updates)
    if updating is None or not config.eval.num_problems:
        return updating and Spent() + updating
    pace = paces.sampling(model, work)
    if pace is None:
        return None
    long = lengths(pace, model, config.eval.max_completion_tokens, will_change=True)
    return Spent() + updating + evaluated(config.eval, updates, pace, work, long)


def _work(config: SFTConfig) -> Workload:
    from ponder.train.sft.learner import resolve_batch

    batch, settings = resolve_batch(config.batch, "cpu"), config.eval
    return Workload(
        dtype=config.dtype,
        threads=config.threads,
        problems=config.problems,
        template=config.template,
        sampling=SamplingConfig(
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_completion_tokens=settings.max_completion_tokens,
            max_batch_size=settings.max_batch_size,
        ),
        group_size=settings.k,
        microbatch_tokens=batch.microbatch_tokens,
        chunk_tokens=batch.logprob_chunk_tokens,
        recompute=batch.recompute == "layers",
        lora=config.lora,
        optimizer=config.optimizer,
    )


def _updates(config: SFTConfig, amount: Amount, samples: int) -> int | None:
    if amount.rows is None:
        return config.max_steps
    updates = config.epochs * -(-amount.rows // samples)
    return min(updates, config.max_steps or updates)


def describe(config: SFTConfig) -> str:
    """Epochs, the size of an update, and how it is trained."""
    batch = config.batch
    size = f"{batch.samples} samples" if batch.samples else f"{batch.tokens:,} tokens"
    most = f", at most {config.max_steps}" if config.max_steps else ""
    adapters = f", adapters of rank {config.lora.rank}" if config.lora.rank else ""
    return f"{count_text(config.epochs, 'epoch')}, updates of {size}{most}{adapters}"


def files(config: SFTConfig) -> Mapping[str, Path]:
    """The model, where it is on this machine."""
    return local_model(config.model)


SFT = StageKind(
    config_class=SFTConfig,
    inputs={"data": Input("rows", many=True), "model": Input("model", optional=True)},
    outputs={"model": Output("model", CHECKPOINTS)},
    run=run,
    estimate=estimate,
    describe=describe,
    code=(*MODEL_CODE, "ponder.train.*", "ponder.train.sft", "ponder.pipeline.stages.fine_tuning"),
    files=files,
)
