"""One pass over rows: readable, not seen before, not of an evaluation set; the rest is written.

It streams: what is held in memory are a few batches of rows and about 400 bytes for each row that
was kept. Killed at any moment it goes on from its last checkpoint, and what it writes is the same,
byte for byte, as without the interruption.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ponder.config.curate import CurateConfig
from ponder.curate.appended import Appended
from ponder.curate.batches import Batch, examined_batches, read_batches
from ponder.curate.decontaminate import build_index
from ponder.curate.dedupe import Dedupe
from ponder.curate.evaluation import EvaluationText
from ponder.curate.examine import Examined
from ponder.curate.reader import check_suffix
from ponder.curate.state import (
    CurateSummary,
    State,
    check_unchanged,
    finish,
    is_finished,
    key_of,
    locked,
    summary_path,
    work_folder,
)
from ponder.curate.writer import RowWriter
from ponder.runlog.summary import read_json, write_json_atomic

EXACT, NEAR, CONTAMINATED = "duplicate", "near duplicate", "contaminated"
"""Reasons beside those of the filters."""


def curate(
    inputs: Sequence[Path],
    out: Path,
    config: CurateConfig,
    evaluation: Sequence[EvaluationText] = (),
    restart: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> CurateSummary:
    """Filter, dedupe and decontaminate the rows of ``inputs`` into ``out``, in their order.

    A finished pass over the same inputs with the same config is not done again; an interrupted one
    is gone on with.

    Args:
        evaluation: texts to decontaminate against, beside ``config.decontaminate.sets``.
        restart: throw away the state of an interrupted pass.
        on_progress: told the rows read and kept, after every batch.

    Raises:
        PonderError: an input is missing or damaged; it, or the config, is not what it was when the
            pass was interrupted; the disk is full. ``out``, if it was there, is as it was.
    """
    check_suffix(out)
    key = key_of(inputs, config, evaluation)
    if is_finished(out, key) and not restart:
        shutil.rmtree(work_folder(out), ignore_errors=True)
        return CurateSummary(**read_json(summary_path(out)))
    with locked(out, restart) as folder:
        state = State.read(folder / "state.json", key)
        check_unchanged(out, state.summary.key, key)
        if not state.is_done:
            state = _Pass(inputs, out, config, state).run(evaluation, on_progress)
        return finish(out, folder, state.summary)


class _Pass:
    """A pass from one state to the end."""

    def __init__(
        self, inputs: Sequence[Path], out: Path, config: CurateConfig, state: State
    ) -> None:
        self.inputs, self.config, self.state = inputs, config, state
        self.folder = work_folder(out)
        self.file, self.num_lines = state.file, state.num_lines
        self.num_read, self.unsaved = state.summary.num_read, 0
        self.dropped = Counter(state.summary.dropped)
        self.domains = {name: list(counts) for name, counts in state.summary.domains.items()}
        self.writer = RowWriter(out, at=state.rows)
        self.dedupe = Dedupe(self.folder, config.dedupe.near_threshold, state.dedupe)
        self.hits = Appended(self.folder / "hits.jsonl", state.hits_bytes)

    def run(
        self,
        evaluation: Sequence[EvaluationText],
        on_progress: Callable[[int, int], None] | None,
    ) -> State:
        try:
            facts, index = self._index(evaluation)
            settings = self.config.model_dump_json()
            batches = read_batches(self.inputs, self.file, self.num_lines)
            for batch, done in examined_batches(batches, settings, index, self.config.workers):
                self._take(batch, done)
                if on_progress is not None:
                    on_progress(self.num_read, self.writer.num_rows)
                if self.unsaved >= self.config.checkpoint_rows:
                    self._checkpoint(facts)
            return self._checkpoint(facts, is_done=True)
        finally:
            self.writer.leave()
            self.dedupe.close()
            self.hits.close()

    def _index(self, evaluation: Sequence[EvaluationText]) -> tuple[dict[str, int], str]:
        """Counts of the evaluation index and its file; made at the start of a pass only."""
        path = self.folder / "evaluation.npz"
        if self.state.summary.evaluation:
            return self.state.summary.evaluation, str(path)
        index = build_index(self.config.decontaminate, evaluation)
        if not index.items:
            return {}, ""
        index.save(path)
        return index.facts(), str(path)

    def _take(self, batch: Batch, done: Examined) -> None:
        reasons = self._reasons(done)
        for number, (line, reason) in enumerate(zip(batch.lines, reasons, strict=True)):
            counts = self.domains.setdefault(done.domains[number], [0, 0])
            counts[0] += 1
            if reason is None:
                counts[1] += 1
                self.writer.write_line(line + b"\n")
            else:
                self.dropped[reason] += 1
        self.hits.append(_hit_lines(done, reasons))
        self.file, self.num_lines = batch.file, batch.end
        self.num_read += len(batch.lines)
        self.unsaved += len(batch.lines)

    def _reasons(self, done: Examined) -> list[str | None]:
        """Why each row is dropped, now that the rows before it count too."""
        reasons = list(done.reasons)
        left = np.flatnonzero([reason is None for reason in reasons])
        kept = np.ones(len(left), bool)
        if self.config.dedupe.exact:
            kept = self.dedupe.keep_exact(done.hashes)
            _drop(reasons, left[~kept], EXACT)
        is_hit = np.isin(left, list(done.hits))
        _drop(reasons, left[kept & is_hit], CONTAMINATED)
        kept &= ~is_hit
        if len(done.signatures):
            is_new = self.dedupe.keep_near(done.signatures[kept])
            _drop(reasons, left[kept][~is_new], NEAR)
        return reasons

    def _checkpoint(self, facts: dict[str, int], is_done: bool = False) -> State:
        summary = CurateSummary(
            self.num_read,
            self.writer.num_rows,
            dict(sorted(self.dropped.items())),
            dict(sorted(self.domains.items())),
            facts,
            self.state.summary.key,
        )
        self.hits.sync()
        rows, seen = self.writer.sync(), self.dedupe.sync()
        state = State(self.file, self.num_lines, rows, seen, self.hits.size, is_done, summary)
        write_json_atomic(self.folder / "state.json", asdict(state))
        self.unsaved = 0
        return state


def _drop(reasons: list[str | None], rows: Iterable[int], reason: str) -> None:
    for row in rows:
        reasons[row] = reason


def _hit_lines(done: Examined, reasons: Sequence[str | None]) -> bytes:
    """The hits of the rows that are dropped for them (not again for their duplicates)."""
    lines = [
        json.dumps(hit, ensure_ascii=False)
        for row, hits in sorted(done.hits.items())
        if reasons[row] == CONTAMINATED
        for hit in hits
    ]
    return "".join(line + "\n" for line in lines).encode(errors="replace")
