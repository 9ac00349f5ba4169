"""The completions that preferences are about, a file a chunk; a rule judges them as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ponder.config.preferences import PreferencesConfig
from ponder.config.rl import ProblemsConfig, RewardConfig
from ponder.errors import PonderError
from ponder.pipeline.context import StageContext
from ponder.pipeline.stages.drawn import drawn
from ponder.pipeline.stages.teachers import open_generator
from ponder.rollout.rollout import Pending
from ponder.runlog import read_rollouts, write_rollouts
from ponder.runlog.durable import disk_errors, remove_stale
from ponder.runlog.rollouts import rollouts_path
from ponder.seeds import derive_seed
from ponder.types import (
    BY_MODEL,
    PREFERENCES,
    Completion,
    Group,
    Judgement,
    Problem,
    Prompt,
    Rollout,
    Verdict,
)

if TYPE_CHECKING:
    from ponder.rollout.rollout import Scorer

_UNSHARED = RewardConfig(accuracy=1.0, format=0.0)
_LOOK_AHEAD = 16


class Sampler:
    """Samples chunks of problems. Opens the model when the first chunk needs it.

    Raises:
        PonderError: the problems cannot be read, or there is no such rule.
    """

    def __init__(
        self, context: StageContext, config: PreferencesConfig, source: str, stack: ExitStack
    ) -> None:
        from ponder.problems.split import build_problems

        if config.judge.rule:
            check_rule(config.judge.rule)
        self._context, self._config, self._source, self._stack = context, config, source, stack
        is_ruled = config.judge.by == "rule"
        problems = config.problems if is_ruled else as_general(config.problems)
        self._problems = build_problems(problems, config.seed).train
        self.order = drawn(len(self._problems), config.num_prompts, config.seed)
        self._opened: tuple[Any, Any] | None = None
        self._scorer: Scorer | None = None
        self._folder = context.folder / "rollouts"
        with disk_errors(self._folder):
            self._folder.mkdir(exist_ok=True)
        remove_stale(self._folder)

    def groups(self, number: int, places: Sequence[int]) -> list[Group]:
        """The groups of a chunk; those on the disk are not sampled again."""
        path = rollouts_path(self._folder, number)
        if not path.is_file():
            write_rollouts(self._folder, number, self._sample(self._of(places)))
        return read_rollouts(path)

    def _of(self, places: Sequence[int]) -> list[Problem]:
        problems = [self._problems[place] for place in places]
        rule = self._config.judge.rule
        return [replace(problem, verifier=rule) for problem in problems] if rule else problems

    def _sample(self, problems: Sequence[Problem]) -> list[Group]:
        from ponder.rollout.rollout import rollout

        generator, make_prompt = self._open()
        return rollout(
            problems,
            generator,
            self._open_scorer(problems),
            make_prompt,
            self._config.group_size,
            self._config.sampling.to_sampling(),
            derive_seed(self._config.seed, "samples"),
        )

    def _open(self) -> tuple[Any, Any]:
        if self._opened is None:
            from ponder.rollout.prompts import PromptMaker

            config = self._config
            batch = config.sampling.max_batch_size
            generator, tokenizer = open_generator(config, self._source, batch)
            self._opened = generator, PromptMaker(config.template, tokenizer)
        return self._opened

    def _open_scorer(self, problems: Sequence[Problem]) -> Scorer:
        if self._scorer is None:
            self._scorer = Unjudged()
            if self._config.judge.by == "rule":
                self._scorer = self._rule(problems)
        return self._scorer

    def _rule(self, problems: Sequence[Problem]) -> Scorer:
        from ponder.rollout.scorer import RuleScorer
        from ponder.verify.verifier_pool import VerifierPool

        pool = self._stack.enter_context(VerifierPool())
        notes = pool.prepare(problems[:_LOOK_AHEAD], self._config.unsafe)
        for note in notes:
            self._context.view.note(note)
        return RuleScorer(_UNSHARED, self._config.sampling.max_completion_tokens, pool)


def as_general(problems: ProblemsConfig) -> ProblemsConfig:
    """The problems as general ones: rows of files and of the hub need no reference answers."""
    general = {"verifier": PREFERENCES[0]}
    if problems.mixture:
        entries = [entry | (general if _has_rows(entry) else {}) for entry in problems.mixture]
        return problems.model_copy(update={"mixture": entries})
    return problems.model_copy(update=general if _has_rows(problems.model_dump()) else {})


def _has_rows(source: Mapping[str, Any]) -> bool:
    """Whether fields of rows are read as the config says: a named source knows its own."""
    is_table = source.get("path") is not None or source.get("hub") is not None
    return is_table and source.get("name") is None


def check_rule(rule: str) -> None:
    """PonderError where there is no such rule, or it is a model."""
    from ponder.verify.verifiers import verifier_named

    if rule in BY_MODEL:
        fix = 'this is a model, no rule: name a verifier that is one, or "module:function"'
        raise PonderError("judge.rule", rule, fix)
    try:
        verifier_named(rule)
    except PonderError as error:
        raise PonderError("judge.rule", error.value, error.fix) from error


class Unjudged:
    """A scorer for completions that are judged later, when all of a chunk are there."""

    def submit(
        self, problem: Problem, prompt: Prompt, completion: Completion, seed: int
    ) -> Pending:
        """A rollout without a verdict."""
        judgement = Judgement(Verdict.ERROR, None, "judged later")
        return lambda: Rollout(completion, judgement, {}, None)
