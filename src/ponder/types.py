"""The nouns of Ponder and the protocols between its rooms. No torch here: tokens are lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

FinishReason = Literal["stop", "length"]

PREFERENCES = ("helpful", "safety")
"""Verifiers that are trained reward models. Their problems are general: nobody asks whether an
answer is right, and they need no reference answer."""

JUDGE = "judge"
"""The verifier that is a model with the reference answer."""

BY_MODEL = (*PREFERENCES, JUDGE)
"""Verifiers that a run opens, because they are models; all others are rules."""


class Verdict(StrEnum):
    """What a verifier says of a completion.

    ``ERROR`` is our fault (a crash, a timeout of ours, a bad reference answer): such a rollout
    leaves its group and the loss; it never becomes a reward of 0.
    """

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNPARSABLE = "unparsable"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Problem:
    """A row with its reference answer.

    ``id`` is unique within its source and stable: the same (source settings, seed, index) gives
    the same id and text on every machine. ``fingerprint`` (see ``problems``) is of the text.
    """

    id: str
    question: str
    answer: str
    verifier: str = "exact"
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model sees of a problem, as text and as tokens."""

    problem_id: str
    text: str
    token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn.

    Args:
        temperature: 0 is greedy; otherwise logits are divided by it.
        top_p: nucleus mass in (0, 1]; 1 is off.
        top_k: number of tokens kept; 0 is off.
        max_completion_tokens: the limit of a completion, its end token included.
        stop: strings that end a completion (kept in its text), e.g. ``("</answer>",)``.
        ignore_end_tokens: only limits and stop strings end a completion (for measuring speed).
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_completion_tokens: int = 256
    stop: tuple[str, ...] = ()
    ignore_end_tokens: bool = False


@dataclass(slots=True)
class Completion:
    """Text that a generator produced after a prompt.

    ``token_ids`` includes the end token when the model wrote one; ``text`` does not.
    ``sampler_logprobs`` are nats per token, of the *sampled-from* distribution's untruncated form
    (temperature applied, top-p and top-k not), one per entry of ``token_ids``.

    A generator that has only text (an endpoint) leaves both lists empty and says in
    ``counted_tokens`` how many tokens it was; for all others that is None. Such a completion can be
    verified, kept and trained on as text, but has no place in a policy gradient.
    """

    problem_id: str
    sample_index: int
    token_ids: list[int]
    text: str
    sampler_logprobs: list[float]
    finish_reason: FinishReason
    counted_tokens: int | None = None

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids) if self.counted_tokens is None else self.counted_tokens


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, the extracted answer (None if there was none) and why, in a few words.

    ``score`` is the share of tests passed, in [0, 1]; None where there is no partial credit.
    """

    verdict: Verdict
    answer: str | None = None
    reason: str = ""
    score: float | None = None


@dataclass(slots=True)
class Rollout:
    """One completion with its verdict and its reward.

    ``reward_parts`` holds the unweighted parts by name; ``reward`` their weighted sum, and is None
    where the verdict is ``error``. ``advantage`` is filled in by the trainer and is None for
    rollouts that leave the loss.
    """

    completion: Completion
    judgement: Judgement
    reward_parts: dict[str, float]
    reward: float | None
    advantage: float | None = None

    @property
    def num_tokens(self) -> int:
        return self.completion.num_tokens

    @property
    def is_correct(self) -> bool:
        return self.judgement.verdict is Verdict.CORRECT


@dataclass(slots=True)
class Group:
    """The rollouts of one problem. Every rollout has this problem's id."""

    problem: Problem
    prompt: Prompt
    rollouts: list[Rollout]


class Generator(Protocol):
    """Whatever produces completions."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        group_size: int,
        sampling: Sampling,
        seed: int,
        on_finished: Callable[[Completion], None] | None = None,
    ) -> list[list[Completion]]:
        """``group_size`` completions for each prompt, in the order of ``prompts``.

        ``on_finished`` is given each completion once, as soon as it has ended, while others are
        still being sampled; in any order, and always on the calling thread.

        What is sampled follows from (seed, prompt.problem_id, sample_index) and the weights, not
        from how the batch was scheduled.
        """
        ...


class Verifier(Protocol):
    """Checks one completion against one problem. Never raises on what a model wrote."""

    def __call__(self, problem: Problem, completion_text: str) -> Judgement: ...


class ProblemSource(Protocol):
    """Problems by position: ``source[index]`` is deterministic in (settings, seed, index)."""

    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Problem: ...
