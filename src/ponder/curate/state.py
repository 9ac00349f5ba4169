"""How far an unfinished pass is, the names of its files, and what its output depends on."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ponder.config.curate import CurateConfig
from ponder.curate.dedupe import DedupeMark
from ponder.curate.evaluation import EvaluationText
from ponder.curate.reader import part_path
from ponder.curate.writer import Mark
from ponder.errors import PonderError
from ponder.runlog.durable import disk_errors, fsync_folder
from ponder.runlog.folder import RunFolder
from ponder.runlog.summary import read_json, write_json_atomic

_LAYOUT = 3
"""Of the work folder and of the meaning of its hashes: what has another is not gone on with."""


@dataclass(frozen=True, slots=True)
class CurateSummary:
    """What a pass did.

    Attributes:
        num_read, num_kept: rows.
        dropped: how many rows were dropped for each reason.
        domains: rows read and rows kept of each domain.
        evaluation: counts of the evaluation index, see ``EvaluationIndex.facts``.
        key: the inputs and the config that it is of.
    """

    num_read: int = 0
    num_kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    domains: dict[str, list[int]] = field(default_factory=dict)
    evaluation: dict[str, int] = field(default_factory=dict)
    key: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """A place in the pass: everything up to it is durable."""

    file: int = 0
    num_lines: int = 0
    rows: Mark = field(default_factory=Mark)
    dedupe: DedupeMark = field(default_factory=DedupeMark)
    hits_bytes: int = 0
    is_done: bool = False
    summary: CurateSummary = field(default_factory=CurateSummary)

    @classmethod
    def read(cls, path: Path, key: dict[str, Any]) -> State:
        if not path.exists():
            return cls(summary=CurateSummary(key=key))
        fields = read_json(path)
        marks = {"rows": Mark(**fields["rows"]), "dedupe": DedupeMark(**fields["dedupe"])}
        return cls(**(fields | marks | {"summary": CurateSummary(**fields["summary"])}))


def summary_path(out: Path) -> Path:
    """Where the summary of a pass lies, beside its output."""
    return out.with_name(out.name + ".curate.json")


def hits_path(out: Path) -> Path:
    """Where the rows are listed that hit an evaluation item: one JSON object a line."""
    return out.with_name(out.name + ".hits.jsonl")


def work_folder(out: Path) -> Path:
    """Where an unfinished pass keeps its state."""
    return out.with_name(f".{out.name}.work")


@contextmanager
def locked(out: Path, restart: bool) -> Iterator[Path]:
    """The work folder, held by this process alone."""
    folder = work_folder(out)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with RunFolder(folder).lock():
        if restart:
            for name in ("state.json", "evaluation.npz"):
                (folder / name).unlink(missing_ok=True)
        yield folder


def finish(out: Path, folder: Path, summary: CurateSummary) -> CurateSummary:
    """Give everything its name. May be done in part already, by a process that was killed."""
    with disk_errors(out):
        if (folder / "hits.jsonl").exists():
            os.replace(folder / "hits.jsonl", hits_path(out))
        write_json_atomic(summary_path(out), asdict(summary))
        if part_path(out).exists():
            os.replace(part_path(out), out)
        fsync_folder(out.parent)
        state = folder / "state.json"
        for path in folder.iterdir():
            if path.name not in (state.name, "lock"):
                path.unlink()
        state.unlink()  # the last of all: without it the pass is finished or was never begun
        shutil.rmtree(folder)
    return summary


def is_finished(out: Path, key: dict[str, Any]) -> bool:
    """Whether ``out`` is the whole output of just this pass."""
    path = summary_path(out)
    if (work_folder(out) / "state.json").exists() or not (out.is_file() and path.is_file()):
        return False
    return bool(read_json(path).get("key") == key)


def check_unchanged(out: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """PonderError if an interrupted pass was of other inputs or of another config."""
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        fix = (
            f"not what it was when the pass to {out} was interrupted: restore it to go on, or "
            f"start again (restart=True, or delete {work_folder(out)})"
        )
        raise PonderError("curate", changed[0], fix)


def key_of(
    inputs: Sequence[Path], config: CurateConfig, evaluation: Sequence[EvaluationText]
) -> dict[str, Any]:
    """What the output depends on: files by their size and their first and last bytes."""
    settings = config.model_dump(mode="json", exclude={"workers", "checkpoint_rows"})
    paths = [one.path for one in config.decontaminate.sets if one.path is not None]
    files = [file for path in paths for file in _files(path)]
    texts = hashlib.sha256()
    for one in evaluation:
        texts.update(repr((one.set, one.item, one.text)).encode())
    return (
        {f"input {path}": _fingerprint(path) for path in inputs}
        | {f"evaluation {path}": _fingerprint(path) for path in files}
        | {"config": settings, "evaluation texts": texts.hexdigest()[:16], "layout": _LAYOUT}
    )


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())


def _fingerprint(path: Path) -> str:
    if not path.is_file():
        fix = "there is no such file"
        if part_path(path).is_file():
            fix = "this file is half-written (there is only its .part); let its stage end first"
        raise PonderError("rows", str(path), fix)
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(1 << 16))
        file.seek(max(0, size - (1 << 16)))
        digest.update(file.read())
    return f"{size} bytes, {digest.hexdigest()[:16]}"
