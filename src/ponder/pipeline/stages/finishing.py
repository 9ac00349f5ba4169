"""What happens to chosen samples before they are rows: other tags, a rewriting; verified again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ponder.config.curate import FilterConfig
from ponder.config.sampling_stage import Shape
from ponder.curate.filters import drop_reason
from ponder.curate.rewrite import Rewriter, Rewriting
from ponder.curate.row import Row
from ponder.curate.shape import shaped
from ponder.pipeline.stages.sampled import Chosen
from ponder.types import Verdict

if TYPE_CHECKING:
    from ponder.verify.verifier_pool import VerifierPool

NOT_REWRITTEN = "rewriting: nothing came back"


class Verified:
    """Rows whose tags were changed must still have the answer that was verified."""

    def __init__(self, pool: VerifierPool) -> None:
        self._pool = pool

    def __call__(self, chosen: Sequence[Chosen], seed: int) -> list[Row | str]:
        pairs = [(problem, row.completion) for problem, row in chosen]
        judged = self._pool.judge_all(pairs)
        return [
            row if one.verdict is Verdict.CORRECT else f"in other tags: {one.verdict.value}"
            for (_, row), one in zip(chosen, judged, strict=True)
        ]


class Rewritten:
    """Rows as a model rewrote them: the first attempt that is correct and readable.

    Args:
        failed: "keep" keeps a row of which no attempt was right as it was, if it is readable.
    """

    def __init__(
        self,
        rewriter: Rewriter,
        pool: VerifierPool,
        filters: FilterConfig,
        shape: Shape,
        failed: str = "drop",
    ) -> None:
        self._rewriter, self._pool, self._filters = rewriter, pool, filters
        self._shape, self._failed = shape, failed
        self._verified = Verified(pool)

    def __call__(self, chosen: Sequence[Chosen], seed: int) -> list[Row | str]:
        attempts = self._rewriter.rewrite([row for _, row in chosen], seed)
        written = [
            [self._row(row, one) for one in of_row]
            for (_, row), of_row in zip(chosen, attempts, strict=True)
        ]
        judged = iter(
            self._pool.judge_all(
                (problem, row.completion)
                for (problem, _), rows in zip(chosen, written, strict=True)
                for row in rows
            )
        )
        found = [self._first([(row, next(judged).verdict) for row in rows]) for rows in written]
        if self._failed == "keep":
            found = self._with_originals(chosen, found, seed)
        return found

    def _first(self, attempts: Sequence[tuple[Row, Verdict]]) -> Row | str:
        reasons: list[str] = []
        for row, verdict in attempts:
            wrong = None if verdict is Verdict.CORRECT else verdict.value
            reason = wrong or drop_reason(row, self._filters)
            if reason is None:
                return row
            reasons.append(f"rewriting: {reason}")
        return reasons[0] if reasons else NOT_REWRITTEN

    def _row(self, row: Row, one: Rewriting) -> Row:
        text = shaped(row.prompt, one.thought, one.summary, self._shape)
        about = {**row.metadata, "rewritten": True}
        about.pop("num_tokens", None)  # of the text that was sampled
        return replace(row, completion=text, metadata=about)

    def _with_originals(
        self, chosen: Sequence[Chosen], found: Sequence[Row | str], seed: int
    ) -> list[Row | str]:
        originals = self._verified(chosen, seed)
        return [
            original
            if isinstance(done, str)
            and isinstance(original, Row)
            and drop_reason(original, self._filters) is None
            else done
            for done, original in zip(found, originals, strict=True)
        ]
