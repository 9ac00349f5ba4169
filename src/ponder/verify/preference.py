"""A trained reward model as the verifier of problems that no rule can check."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedTokenizerBase

from ponder.models.reward import RewardModel
from ponder.types import Judgement, Problem, Verdict
from ponder.verify.deferred import Deferred, DeferredBatch, Item
from ponder.verify.scored import encode_scored, scored_text


class Preference:
    """Scores completions with a reward model: ``preference(problem, text)`` is a verifier.

    ``Judgement.score`` is the normalised score in [0, 1] (``RewardFacts.normalised``), which the
    reward part "score" takes as it is. Above 0.5 the verdict is "correct": better than the mean of
    the held-out texts, or rather safe than not. A completion without a final answer (its thought
    was never closed) is "unparsable" with the score 0, whatever the model would say of nothing.

    Args:
        model: of ``open_reward_model``. It is scored in eval mode, and never trained here.
        tokenizer: the model's.
        render: the prompt text of a problem, by the same template as in the model's data.
        microbatch_tokens: most tokens in one forward pass.
    """

    def __init__(
        self,
        model: RewardModel,
        tokenizer: PreTrainedTokenizerBase,
        render: Callable[[Problem], str],
        microbatch_tokens: int = 16_384,
    ) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._render = render
        self._microbatch_tokens = microbatch_tokens
        self._deferred = DeferredBatch(self.judge_many)

    def __call__(self, problem: Problem, completion_text: str) -> Judgement:
        return self.judge_many([(problem, completion_text)])[0]

    def submit(self, problem: Problem, completion_text: str) -> Deferred:
        """A judgement to come. Scoring waits for the last: it would only slow down the sampling on
        the same device."""
        return self._deferred.submit(problem, completion_text)

    def judge_many(self, items: Sequence[Item]) -> list[Judgement]:
        """One judgement per item, in order. A score that is not finite is the verdict "error"."""
        texts = [(self._render(problem), text) for problem, text in items]
        shown = [scored_text(self._model.facts, *text)[1].strip() for text in texts]
        scored = [i for i, answer in enumerate(shown) if answer]
        scores = self.scores([texts[i] for i in scored])
        found = [Judgement(Verdict.UNPARSABLE, None, "no final answer", 0.0) for _ in items]
        for i, score in zip(scored, scores, strict=True):
            found[i] = self._judgement(score, shown[i])
        return found

    @torch.no_grad()
    def scores(self, texts: Sequence[tuple[str, str]]) -> list[float]:
        """The raw scores of (prompt, completion), in order; see ``RewardFacts`` for their scale."""
        facts = self._model.facts
        rows = [encode_scored(self._tokenizer, facts, *text) for text in texts]
        found = [0.0] * len(rows)
        for part in self._passes(rows):
            prompts = list(dict.fromkeys(tuple(rows[i][0]) for i in part))
            places = {ids: place for place, ids in enumerate(prompts)}
            scores = self._model.scores(
                prompts, [rows[i][1] for i in part], [places[tuple(rows[i][0])] for i in part]
            )
            for i, score in zip(part, scores.tolist(), strict=True):
                found[i] = score
        return found

    def _passes(self, rows: Sequence[tuple[list[int], list[int]]]) -> list[list[int]]:
        """Places of rows, neighbours together (they share prompts), within the tokens of a pass."""
        passes: list[list[int]] = []
        room = 0
        for i, (prompt, ids) in enumerate(rows):
            size = len(prompt) + len(ids)
            if not passes or size > room:
                passes.append([])
                room = self._microbatch_tokens
            passes[-1].append(i)
            room -= size
        return passes

    def _judgement(self, score: float, answer: str) -> Judgement:
        value = self._model.facts.normalised(score)
        if value != value:
            return Judgement(Verdict.ERROR, answer, "the reward model's score is not a number")
        verdict = Verdict.CORRECT if value > 0.5 else Verdict.INCORRECT
        return Judgement(verdict, answer, f"reward model: {score:.3g}", value)
