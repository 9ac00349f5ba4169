"""The pipeline's folder: every file that the pipeline itself reads and writes.

All are written whole or not at all; ``stage.json``, written last, makes a stage done.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ponder.errors import PonderError
from ponder.pipeline.digests import digest_path, size_of
from ponder.pipeline.keys import Parts
from ponder.pipeline.kinds import CHECKPOINTS, Output
from ponder.runlog import CheckpointStore, RunFolder, read_json, write_json_atomic
from ponder.runlog.durable import disk_errors, fsync_folder, remove_stale, write_all, write_atomic

Unfinished = Literal["running", "stopped", "waiting", "failed"]


@dataclass(frozen=True, slots=True)
class StageFolder:
    """RUN/stages/NAME/KEY."""

    path: Path

    @property
    def key(self) -> str:
        return self.path.name

    def parts(self) -> Parts | None:
        """What the key is the hash of; None where nothing was begun."""
        path = self.path / "key.json"
        return Parts.from_json(read_json(path)) if path.is_file() else None

    def state(self) -> dict[str, Any] | None:
        """Where a stage that is not done stands: {"state", "why", "inputs", "seconds"}."""
        path = self.path / "state.json"
        return read_json(path) if path.is_file() else None

    def done(self) -> dict[str, Any] | None:
        """The record of a stage that is done; see ``finish``."""
        path = self.path / "stage.json"
        return read_json(path) if path.is_file() else None

    def begin(self, parts: Parts, inputs: Mapping[str, list[str]]) -> float:
        """Mark the stage as running; the seconds that earlier parts of it took."""
        before = self.state() or {}
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        remove_stale(self.path)
        write_json_atomic(self.path / "key.json", asdict(parts))
        seconds = float(before.get("seconds", 0.0))
        self.write_state("running", "", inputs, seconds)
        return seconds

    def write_state(
        self, state: Unfinished, why: str, inputs: Mapping[str, list[str]], seconds: float
    ) -> None:
        """Say where the stage stands."""
        record = {"state": state, "why": why, "inputs": dict(inputs), "seconds": seconds}
        write_json_atomic(self.path / "state.json", record | {"pid": os.getpid()})

    def finish(self, record: Mapping[str, Any]) -> None:
        """Write the done mark.

        ``record``: key, kind, inputs (digests), outputs ({name: {type, path, digest, bytes}}),
        seconds, memory (peak bytes), gpu_memory.
        """
        write_json_atomic(self.path / "stage.json", dict(record))

    def locate(self, output: Output) -> Path | None:
        """Where an output is now; None if it is not there."""
        path = self.path / output.path
        if output.path == CHECKPOINTS:
            return CheckpointStore(path).latest()
        return path if path.exists() else None

    def describe_output(self, output: Output) -> dict[str, Any] | None:
        """An output for the record of a stage that is done."""
        path = self.locate(output)
        if path is None:
            return None
        return {
            "type": output.type,
            "path": path.relative_to(self.path).as_posix(),
            "digest": digest_path(path),
            "bytes": size_of(path),
        }


@dataclass(frozen=True, slots=True)
class PipelineFolder:
    """RUN."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> PipelineFolder:
        """An existing pipeline's folder. PonderError where there is none."""
        folder = cls(path)
        if not path.is_dir():
            raise PonderError("run", str(path), "there is no such folder")
        if not folder.toml_path.is_file():
            fix = "this is not a pipeline's folder (it has no pipeline.toml)"
            raise PonderError("run", str(path), fix)
        return folder

    @classmethod
    def create(cls, path: Path) -> PipelineFolder:
        """Make the folder, or open it if it holds a pipeline."""
        folder = cls(path)
        if (path / "config.toml").exists():
            raise PonderError("--out", str(path), "this folder holds a run; name another folder")
        with disk_errors(path):
            try:
                folder.stages_path.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise PonderError("--out", str(path), "is a file; name a folder") from error
        return folder

    @property
    def toml_path(self) -> Path:
        return self.path / "pipeline.toml"

    @property
    def events_path(self) -> Path:
        return self.path / "pipeline.jsonl"

    @property
    def stages_path(self) -> Path:
        return self.path / "stages"

    def lock(self) -> AbstractContextManager[None]:
        """Held while a process works here; PonderError if another one does."""
        return RunFolder(self.path).lock()

    def is_locked(self) -> bool:
        """Whether a process works here now."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def write_toml(self, text: str) -> None:
        """Keep the resolved recipe."""
        if not self.toml_path.is_file() or self.toml_path.read_text(encoding="utf-8") != text:
            write_atomic(self.toml_path, text.encode())

    def stage(self, name: str, key: str) -> StageFolder:
        """The folder of a stage under a key, whether or not it is there."""
        return StageFolder(self.stages_path / name / key)

    def current(self, name: str) -> StageFolder | None:
        """The newest folder of a stage."""
        try:
            key = (self.stages_path / name / "current").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        folder = self.stage(name, key)
        return folder if key and folder.path.is_dir() else None

    def newest_done(self, name: str) -> StageFolder | None:
        """Of a stage's folders that are done, whatever their key, the one that was done last."""
        marks = [
            p for p in (self.stages_path / name).glob("*/stage.json") if "." not in p.parent.name
        ]
        newest = max(marks, key=lambda mark: mark.stat().st_mtime_ns, default=None)
        return StageFolder(newest.parent) if newest is not None else None

    def set_current(self, name: str, key: str) -> None:
        """Point to a stage's newest folder."""
        path = self.stages_path / name / "current"
        remove_stale(path.parent)
        if (now := self.current(name)) is None or now.key != key:
            write_atomic(path, f"{key}\n".encode())

    def put_aside(self, folder: StageFolder) -> Path:
        """Give a folder another name, KEY.1, KEY.2 ...: its stage is not done any more."""
        number = 1
        while (aside := folder.path.with_name(f"{folder.key}.{number}")).exists():
            number += 1
        os.rename(folder.path, aside)
        fsync_folder(folder.path.parent)
        return aside

    def old_folders(self, keys: Mapping[str, str]) -> Iterator[Path]:
        """Every folder of a stage that is not the one under its key in ``keys``."""
        for path in sorted(self.stages_path.glob("*/*")):
            if path.is_dir() and keys.get(path.parent.name) != path.name:
                yield path

    def prune(self, keys: Mapping[str, str]) -> int:
        """Delete the old folders; the bytes that were freed."""
        freed = 0
        for path in list(self.old_folders(keys)):
            freed += size_of(path)
            (path / "stage.json").unlink(missing_ok=True)  # half deleted, it must not look done
            shutil.rmtree(path)
        return freed

    def log(self, event: str, **details: Any) -> None:
        """Append an event to pipeline.jsonl."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = json.dumps({"time": now, "event": event, **details}) + "\n"
        with disk_errors(self.events_path):
            descriptor = os.open(self.events_path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                end = os.lseek(descriptor, 0, os.SEEK_END)
                cut = end and os.pread(descriptor, 1, end - 1) != b"\n"  # by a kill or a full disk
                write_all(descriptor, b"\n" * bool(cut) + line.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def events(self) -> list[dict[str, Any]]:
        """All events; lines that a kill cut are left out."""
        if not self.events_path.is_file():
            return []
        found = []
        for line in self.events_path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found
