"""What a model's sampling and learning take on this machine's CPU, measured in a few seconds.

Sampling goes through the engine that will be used, learning through the trainer's packed passes and
its optimizer, at a learning rate of 0.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ponder.config.rl import ProblemsConfig
from ponder.pipeline.workload import Workload
from ponder.plan.demand import PROMPT_TOKENS
from ponder.plan.pace import LONGEST, SamplingPace, TrainingPace

if TYPE_CHECKING:
    from ponder.generate.local import LocalGenerator
    from ponder.types import Prompt

BUDGET_SECONDS = 10.0
"""A model that needs longer is not measured."""
SAMPLE_SECONDS = 5.0
"""What a sample may take; it is cut shorter, and says nothing of lengths, where it would not do."""
FEW_ROWS, FEW_STEPS = 8, 16
"""A small batch, measured beside the real one: what does not grow with the batch is told by it."""
ENDED = 0.5
"""Share of a sample that must have ended for its mean to count."""


class TooSlow(Exception):  # noqa: N818 - no error: it is what was found out
    """A model that cannot be measured in ``BUDGET_SECONDS``."""


def _set_threads(work: Workload) -> int:
    import torch

    from ponder.train.threads import set_torch_threads

    set_torch_threads(work.threads)
    return torch.get_num_threads()


# ---- sampling -----------------------------------------------------------------------------------


def measure_sampling(model: Any, tokenizer: Any, name: str, work: Workload) -> SamplingPace:
    """A small batch, then one as large as the recipe's, until its completions end.

    Raises TooSlow where a few steps take too long.
    """
    from ponder.generate.local import LocalGenerator
    from ponder.train.threads import keeping_torch_threads

    with keeping_torch_threads():
        threads = _set_threads(work)
        prompts, are_real = _prompts(tokenizer, model, work)
        slots = work.sampling.max_batch_size
        trial = _Trial(LocalGenerator(model, tokenizer, slots), work, time.perf_counter())
        few, group = prompts[:1], min(FEW_ROWS, work.group_size)
        trial.run(few, group, 2)  # the first call prepares what later ones find
        small = min((trial.run(few, group, FEW_STEPS) for _ in range(2)), key=lambda run: run.step)
        fewer = _affordable(prompts, work.group_size, small, group)
        large = trial.run(fewer, work.group_size, 4)
        limit = min(work.sampling.max_completion_tokens, int(SAMPLE_SECONDS / large.step))
        sample = trial.run(fewer, work.group_size, max(FEW_STEPS, limit), to_the_end=are_real)
    step, row = _split(small, sample)
    says_lengths = are_real and sample.ended >= ENDED
    ended = sample.ended * sample.completions
    return SamplingPace(
        prompt=sample.prefill / len(fewer),
        prompt_tokens=round(sum(len(p.token_ids) for p in prompts) / len(prompts)),
        step=step,
        row=row,
        # Where the sample was cut, as if each token were the last with one probability.
        mean_tokens=sample.tokens / ended if says_lengths else None,
        longest=max(LONGEST, sample.longest * ended / sample.tokens) if says_lengths else LONGEST,
        speed=sample.tokens / (sample.decoding + sample.prefill),
        threads=threads,
        model=name,
    )


@dataclass(frozen=True, slots=True)
class _Ran:
    """One call of the engine."""

    steps: int
    tokens: int
    completions: int
    ended: float
    longest: int
    prefill: float
    decoding: float

    @property
    def step(self) -> float:
        return self.decoding / self.steps


@dataclass(frozen=True, slots=True)
class _Trial:
    generator: LocalGenerator
    work: Workload
    began: float

    def run(
        self, prompts: Sequence[Prompt], group: int, limit: int, to_the_end: bool = False
    ) -> _Ran:
        from ponder.types import Sampling

        asked = self.work.sampling
        longest = max(len(prompt.token_ids) for prompt in prompts)
        room = self.generator.model.config.max_position_embeddings - longest
        sampling = Sampling(
            asked.temperature,
            asked.top_p,
            max_completion_tokens=max(1, min(limit, room)),
            ignore_end_tokens=not to_the_end,
        )
        start = time.perf_counter()
        groups = self.generator.generate(prompts, group, sampling, seed=0)
        took = time.perf_counter() - start
        if not to_the_end and time.perf_counter() - self.began > BUDGET_SECONDS:
            raise TooSlow(f"{self.generator.last_stats.num_steps} steps take {took:.1f} s here")
        stats = self.generator.last_stats
        rows = [completion for found in groups for completion in found]
        return _Ran(
            steps=stats.num_steps,
            tokens=stats.num_tokens,
            completions=len(rows),
            ended=sum(row.finish_reason != "length" for row in rows) / len(rows),
            longest=max(len(row.token_ids) for row in rows),
            prefill=stats.prefill_seconds,
            decoding=took - stats.prefill_seconds,
        )


def _affordable(prompts: list[Prompt], group: int, small: _Ran, rows: int) -> list[Prompt]:
    """As many groups as a few seconds are enough for, for their prompts and for sixteen steps of
    them; ``small``: a run of one prompt and ``rows`` completions, as if more were no cheaper."""
    seconds = max(small.prefill, FEW_STEPS * group * small.step / rows)
    return prompts[: max(1, int(SAMPLE_SECONDS / 4 / seconds))]


def _split(small: _Ran, large: _Ran) -> tuple[float, float]:
    """(seconds of a step, seconds of a row in it) that explain both; neither is negative."""
    rows, more = small.tokens / small.steps, large.tokens / large.steps
    if more <= rows:
        return 0.0, large.decoding / large.tokens
    row = max(0.0, (large.step - small.step) / (more - rows))
    step = min(max(0.0, small.step - rows * row), large.step)
    return step, (large.step - step) / more


def _prompts(tokenizer: Any, model: Any, work: Workload) -> tuple[list[Prompt], bool]:
    """The first of the recipe's prompts, if they need no network; otherwise as many made up."""
    from ponder.types import Prompt

    problems = _problems(work)
    if problems:
        from ponder.rollout.prompts import PromptMaker

        make = PromptMaker(work.template, tokenizer)
        return [make(problem) for problem in problems], True
    ids = tuple(100 + i % 100 for i in range(PROMPT_TOKENS))
    size = model.config.get_text_config().vocab_size
    made_up = tuple(token % size for token in ids)
    return [Prompt(f"{n}", "", made_up) for n in range(work.prompts)], False


def _problems(work: Workload) -> list[Any]:
    """Those of a task, or a mixture with tasks in it: they are made, not read."""
    from ponder.problems.split import build_problems

    entries = work.problems.mixture or []
    if work.problems.task is None and not any("task" in entry for entry in entries):
        return []
    config = work.problems
    if entries:
        made = next(entry for entry in entries if "task" in entry)
        keys = ("task", "settings", "language")
        config = ProblemsConfig(**{key: made[key] for key in keys if key in made})
    train = build_problems(config, seed=0).train
    return [train[i] for i in range(min(work.prompts, len(train)))]


# ---- training -----------------------------------------------------------------------------------


def measure_training(model: Any, tokenizer: Any, name: str, work: Workload) -> TrainingPace:
    """A short pass, then a microbatch forward and backward, forward alone, and an update.

    Raises TooSlow where the microbatch would take too long.
    """
    from ponder.models.packed import check_trainable
    from ponder.train.optimizer import make_optimizer
    from ponder.train.threads import keeping_torch_threads

    _adapt(model, work)
    check_trainable(model)
    with keeping_torch_threads():
        threads = _set_threads(work)
        learn = _Learning(model.eval(), work)
        short = min(learn.run(1), learn.run(1))
        texts = max(1, min(work.microbatch_tokens, 4096) // _TEXT)
        texts = min(texts, int(SAMPLE_SECONDS / 2 / short))
        if not texts:
            raise TooSlow(f"{_TEXT} tokens take {short:.0f} s to learn here")
        seconds = min(learn.run(texts) for _ in range(2))
        forward = learn.run(texts, backward=False)
        optimizer = make_optimizer(model, work.optimizer)
        update = min(_update(optimizer, learn) for _ in range(2))
    tokens = texts * _TEXT
    return TrainingPace(seconds / tokens, forward / tokens, update, threads, name)


_TEXT = 256
"""Tokens of a text that is learnt, half of them prompt."""


@dataclass(frozen=True, slots=True)
class _Learning:
    model: Any
    work: Workload

    def run(self, texts: int, backward: bool = True) -> float:
        """Seconds of one pass over made-up texts."""
        import torch

        from ponder.models.packed import completion_logprobs
        from ponder.models.packed_layout import PackedLayout

        size = self.model.config.get_text_config().vocab_size
        half = [i % size for i in range(100, 100 + _TEXT // 2)]
        layout = PackedLayout.build([half] * texts, [half] * texts, range(texts), "cpu")
        start = time.perf_counter()
        with torch.set_grad_enabled(backward):
            logprobs, _ = completion_logprobs(
                self.model, layout, 1.0, self.work.chunk_tokens, self.work.recompute
            )
        if backward:
            logprobs.sum().backward()  # type: ignore[no-untyped-call]
        return time.perf_counter() - start


def _update(optimizer: Any, learn: _Learning) -> float:
    """Seconds of an update that changes nothing; the first makes room for the moments."""
    learn.run(1)
    start = time.perf_counter()
    optimizer.clip_gradients()
    optimizer.step(0.0)
    optimizer.zero_grad()
    return time.perf_counter() - start


def _adapt(model: Any, work: Workload) -> None:
    if work.lora.rank:
        from ponder.models.lora import add_lora

        add_lora(model, work.lora, seed=0)
