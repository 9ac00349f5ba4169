"""checkpoints/step_000010/: a Hugging Face folder; manifest.json, written last, completes it.

The manifest: ``{"step": 10, "complete": true, "files": {NAME: {"size": 9, "sha256": "..."}}}``.
A folder is filled under a temporary name and renamed when everything in it is on the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ponder.errors import PonderError
from ponder.runlog.durable import disk_errors, disk_full_error, free_bytes, fsync_folder
from ponder.runlog.summary import write_json_atomic

MANIFEST = "manifest.json"
_NAME = re.compile(r"(\.old_)?step_(\d{6,})")
_NEARLY_FULL = 2**20
_FULL_REASONS = ("No space left", "quota exceeded", "File too large")


class CheckpointStore:
    """The checkpoints of one run; ``keep`` newest are kept.

    Only the process that holds the run's lock may call ``save`` and ``clean``; any process may
    call ``latest`` and ``verify``.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        if keep < 1:
            raise PonderError("checkpoint.keep", keep, "keep at least 1 checkpoint")
        self.folder = folder
        self.keep = keep

    def save(self, step: int, writer: Callable[[Path], None]) -> Path:
        """Let ``writer`` fill an empty folder, complete it, and prune older checkpoints.

        Raises:
            PonderError: the disk is full (earlier checkpoints are intact), or there is a
                checkpoint of a later step, which a resume would prefer to this one.
        """
        self._refuse_later(step)
        self.clean()
        final = self.folder / f"step_{step:06d}"
        temporary = self.folder / f".tmp_{final.name}"
        with disk_errors(final):
            temporary.mkdir(parents=True)
            try:
                _run_writer(writer, temporary)
                write_json_atomic(temporary / MANIFEST, _manifest(step, temporary))
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            self._put_in_place(temporary, final)
        self._prune()
        return final

    def latest(self) -> Path | None:
        """The newest complete checkpoint, or None."""
        found = self._complete()
        return found[-1] if found else None

    def verify(self, path: Path) -> None:
        """Check every file of a checkpoint against its manifest.

        Raises:
            PonderError: a file is missing, or its size or SHA-256 is not the manifest's.
        """
        manifest = _read_manifest(path)
        if manifest is None:
            fix = "no complete manifest.json here; delete this folder to use the previous one"
            raise PonderError("checkpoint", str(path), fix)
        for name, expected in manifest["files"].items():
            file = path / name
            if not file.is_file():
                raise _corrupt(file, "is missing")
            if file.stat().st_size != expected["size"]:
                raise _corrupt(file, f"has {file.stat().st_size} bytes, not {expected['size']}")
            if _sha256(file) != expected["sha256"]:
                raise _corrupt(file, "does not have the SHA-256 that was written")

    def clean(self) -> None:
        """Remove what a killed ``save`` left: temporary and incomplete folders, and old ones."""
        self.folder.mkdir(parents=True, exist_ok=True)
        whole = {path.name for path in self._complete()}
        for path in self.folder.iterdir():
            replaced = path.name.startswith(".old_") and path.name.removeprefix(".old_") in whole
            ours = path.name.startswith(".tmp_step_") or _NAME.fullmatch(path.name)
            if path.is_dir() and ours and (replaced or path.name not in whole):
                shutil.rmtree(path)
        self._prune()

    def _complete(self) -> list[Path]:
        """Complete checkpoints by step; one that is being replaced comes before its successor."""
        if not self.folder.is_dir():
            return []
        found = []
        for path in self.folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match and _read_manifest(path) is not None:
                found.append((int(match[2]), match[1] is None, path))
        return [path for _, _, path in sorted(found)]

    def _refuse_later(self, step: int) -> None:
        latest = self.latest()
        if latest is not None and checkpoint_step(latest) > step:
            fix = f"it is newer than step {step}; resume from it, or delete it first"
            raise PonderError("checkpoint", str(latest), fix)

    def _put_in_place(self, temporary: Path, final: Path) -> None:
        aside = final.with_name(f".old_{final.name}")
        if final.exists():
            os.rename(final, aside)
        os.rename(temporary, final)
        fsync_folder(self.folder)
        if aside.exists():
            _remove(aside)

    def _prune(self) -> None:
        for path in self._complete()[: -self.keep]:
            _remove(path)
        fsync_folder(self.folder)


def checkpoint_step(path: Path) -> int:
    """The step that the name of a checkpoint folder holds."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise PonderError("checkpoint", str(path), "a checkpoint is a folder named step_000010")
    return int(match[2])


def _remove(path: Path) -> None:
    """Delete a checkpoint, its manifest first: half deleted, it must not look complete."""
    (path / MANIFEST).unlink()
    fsync_folder(path)
    shutil.rmtree(path)


def _run_writer(writer: Callable[[Path], None], folder: Path) -> None:
    try:
        writer(folder)
    except (OSError, PonderError):
        raise
    except Exception as error:
        # torch and safetensors report a full disk as an error of their own, not as OSError.
        said_so = any(reason in str(error) for reason in _FULL_REASONS)
        if said_so or free_bytes(folder) < _NEARLY_FULL:
            raise disk_full_error(folder) from error
        raise


def _manifest(step: int, folder: Path) -> dict[str, Any]:
    """Make every file under ``folder`` durable, and list it."""
    files: dict[str, dict[str, int | str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            _fsync_file(path)
            name = path.relative_to(folder).as_posix()
            files[name] = {"size": path.stat().st_size, "sha256": _sha256(path)}
        else:
            fsync_folder(path)
    return {"step": step, "complete": True, "files": files}


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    whole = isinstance(manifest, dict) and manifest.get("complete") is True
    return manifest if whole and isinstance(manifest.get("files"), dict) else None


def _corrupt(file: Path, how: str) -> PonderError:
    fix = f"this file {how}; delete the folder {file.parent} to resume from the previous checkpoint"
    return PonderError("checkpoint", str(file), fix)


def _fsync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
