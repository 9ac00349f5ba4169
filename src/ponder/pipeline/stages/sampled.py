"""Samples of problems become rows, chunk by chunk, whatever kills the process in between.

A chunk's rows and rollouts are on the disk before ``samples.json`` says so; a process that comes
after goes on at the next chunk, and what it writes is the same, byte for byte. What is sampled
follows from the seed and the problem, not from the chunks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ponder.config.curate import FilterConfig
from ponder.config.rl import RewardConfig
from ponder.config.sampling_stage import SampledConfig
from ponder.curate.choose import Candidate, candidates_of, choose
from ponder.curate.rows import Row, RowWriter
from ponder.curate.shape import reshaped
from ponder.pipeline.context import StageContext
from ponder.pipeline.stages.collected import Collected as Collected
from ponder.pipeline.stages.collected import nothing_kept
from ponder.pipeline.stages.drawn import drawn
from ponder.pipeline.stages.teachers import Teacher
from ponder.runlog import write_json_atomic, write_rollouts
from ponder.runlog.durable import disk_errors
from ponder.runlog.rollouts import drop_after
from ponder.seeds import derive_seed
from ponder.text.templates import opens_thought
from ponder.types import Group, Problem

if TYPE_CHECKING:
    from ponder.problems.problem_set import ProblemSet
    from ponder.verify.verifier_pool import VerifierPool

SAMPLES = "samples.jsonl"
STATE = "samples.json"
OVER = "over max_rows"
_ASKED_AHEAD = 1000
"""Problems whose cost is told before the first of them is sampled."""
_DOMAINS = {"code": "code", "choice": "stem", "knights_knaves": "logic"}
_VERDICTS_ONLY = RewardConfig(accuracy=1.0, format=0.0)

Chosen = tuple[Problem, Row]
Finish = Callable[[Sequence[Chosen], int], list[Row | str]]
"""(chosen rows with their problems, seed) -> each as it is kept, or why it is dropped."""
Judge = Callable[[Sequence[Group]], None]
"""Changes verdicts of rollouts where rules had nothing to say."""


class Collector:
    """Fills ``samples.jsonl`` in a stage's folder.

    Args:
        problems: the training problems, drawn already.
        filters: what samples must be like before ``finish`` sees them.
        finish: rewrites and verifies the chosen ones; None: they are rows as they are.
        judge: looks at samples after the rules did.
    """

    def __init__(
        self,
        context: StageContext,
        problems: ProblemSet,
        pool: VerifierPool,
        filters: FilterConfig,
        finish: Finish | None = None,
        judge: Judge | None = None,
    ) -> None:
        assert isinstance(context.config, SampledConfig)
        self._context, self._config, self._pool = context, context.config, pool
        self._filters, self._finish, self._judge = filters, finish, judge
        config = self._config
        self._order = drawn(len(problems.train), config.collect.num_problems, config.seed)
        self._train = problems.train
        self._out = context.folder / SAMPLES
        self._rollouts = context.folder / "rollouts"

    def run(self, open_teacher: Callable[[], Teacher]) -> Collected:
        """Sample what is left to be sampled.

        Raises:
            PonderError: not one row came of it; the teacher cannot be asked; the disk is full.
                What was done is on the disk.
        """
        state = Collected.read(self._context.folder / STATE)
        if self._is_over(state):
            return self._end(state)
        with disk_errors(self._rollouts):
            self._rollouts.mkdir(parents=True, exist_ok=True)
        drop_after(self._rollouts, state.num_problems)
        teacher = open_teacher()
        try:
            self._tell_cost(teacher, state)
            return self._go_on(teacher, state)
        finally:
            teacher.close()

    def _go_on(self, teacher: Teacher, state: Collected) -> Collected:
        total = len(self._order)
        writer = RowWriter(self._out, at=state.rows)
        try:
            while not self._is_over(state):
                told = f"{state.rows.num_rows} rows of {state.num_solved} solved problems"
                self._context.view.progress(state.num_problems, total, told)
                self._context.stop_if_asked()
                state = self._chunk(teacher, state, writer)
                write_json_atomic(self._context.folder / STATE, asdict(state))
        finally:
            writer.leave()
        self._context.view.progress(state.num_problems, total, f"{state.rows.num_rows} rows")
        return self._end(state)

    def _end(self, state: Collected) -> Collected:
        if not state.rows.num_rows:
            raise nothing_kept(state)
        RowWriter(self._out, at=state.rows).close()
        return state

    def _is_over(self, state: Collected) -> bool:
        most = self._config.collect.max_rows
        is_full = bool(most) and state.rows.num_rows >= most
        return is_full or state.num_problems >= len(self._order)

    def _chunk(self, teacher: Teacher, state: Collected, writer: RowWriter) -> Collected:
        start = state.num_problems
        chunk = self._problems(start, self._config.chunk_size())
        groups = self._sample(teacher, chunk)
        if self._judge is not None:
            self._judge(groups)
        if self._config.collect.keep_samples:
            write_rollouts(self._rollouts, start, groups)
        state = state.with_groups(groups)
        dropped = Counter(state.dropped)
        for kept in self._rows(teacher, groups, start, dropped):
            most = self._config.collect.max_rows
            if most and writer.num_rows >= most:
                dropped[OVER] += 1
            else:
                writer.write(kept)
        return replace(state, dropped=dict(sorted(dropped.items())), rows=writer.sync())

    def _problems(self, start: int, count: int) -> list[Problem]:
        return [self._train[place] for place in self._order[start : start + count]]

    def _sample(self, teacher: Teacher, chunk: Sequence[Problem]) -> list[Group]:
        from ponder.rollout.rollout import rollout
        from ponder.rollout.scorer import RuleScorer

        limit = self._config.sampling.max_completion_tokens
        return rollout(
            chunk,
            teacher.generator,
            RuleScorer(_VERDICTS_ONLY, limit, self._pool),
            teacher.make_prompt,
            self._config.collect.group_size,
            self._config.sampling.to_sampling(),
            self._seed("samples"),
        )

    def _rows(
        self, teacher: Teacher, groups: Sequence[Group], start: int, dropped: Counter[str]
    ) -> list[Row]:
        """The rows of some groups; ``dropped`` is told of the others."""
        chosen: list[Chosen] = []
        for group in groups:
            offered = candidates(group, teacher, self._config)
            choice = choose(offered, self._config.choose, self._filters, self._seed("choose"))
            dropped.update(choice.dropped)
            chosen += [(group.problem, row) for row in choice.rows]
        if self._finish is None or not chosen:
            return [row for _, row in chosen]
        kept: list[Row] = []
        for done in self._finish(chosen, derive_seed(self._seed("finish"), start)):
            if isinstance(done, Row):
                kept.append(done)
            else:
                dropped[done] += 1
        return kept

    def _tell_cost(self, teacher: Teacher, state: Collected) -> None:
        if teacher.forecast is None:
            return
        left = len(self._order) - state.num_problems
        prompts = [
            teacher.make_prompt(problem)
            for problem in self._problems(state.num_problems, _ASKED_AHEAD)
        ]
        size = self._config.collect.group_size
        cost = teacher.forecast(
            prompts, size, self._config.sampling.to_sampling(), self._seed("samples")
        )
        of = f" (the first {len(prompts):,} of {left:,} problems)" if left > len(prompts) else ""
        self._context.view.note(f"{teacher.name}{of}: {cost}")

    def _seed(self, what: str) -> int:
        return derive_seed(self._config.seed, what)


def collected_before(context: StageContext) -> Collected | None:
    """What there is if all was sampled already: then no problem and no model need be opened."""
    is_whole = (context.folder / SAMPLES).is_file()
    return Collected.read(context.folder / STATE) if is_whole else None


def candidates(group: Group, teacher: Teacher, config: SampledConfig) -> list[Candidate]:
    """The samples of a group as rows that say all that later stages want to know of them."""
    problem = group.problem
    prompt = teacher.row_prompt(problem)
    source = problem.metadata.get("source") or problem.metadata.get("task") or ""
    about: dict[str, Any] = {
        "template": config.template.name,
        "thought_opened": opens_thought(prompt),
        "teacher": teacher.name,
    }
    if isinstance(language := problem.metadata.get("language"), str):
        about["language"] = language
    return [
        replace(
            one,
            row=replace(
                one.row,
                prompt=prompt,
                completion=reshaped(prompt, one.row.completion, config.collect.write_as),
                metadata={**one.row.metadata, **about},
            ),
        )
        for one in candidates_of(group, domain_of(problem, config), PurePath(str(source)).name)
    ]


def domain_of(problem: Problem, config: SampledConfig) -> str:
    """The domain of the card: the config's, the problem's own, or by what verifies it."""
    own = problem.metadata.get("domain")
    by_verifier = _DOMAINS.get(problem.verifier, "math")
    return config.collect.domain or (own if isinstance(own, str) and own else by_verifier)
