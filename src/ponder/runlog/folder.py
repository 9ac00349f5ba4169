"""The folder of one run, and the lock that keeps a second process out of it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ponder.errors import PonderError
from ponder.runlog.durable import disk_errors, remove_stale, write_atomic

_held: set[int] = set()
_NO_SUCH_NAME = {errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}


def _let_go_in_child() -> None:
    """A forked worker must not keep the lock alive after its parent was killed."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run keeps its files; see the package docstring for the layout."""

    path: Path

    @classmethod
    def create(cls, path: Path, config_toml: str) -> RunFolder:
        """Make a new run folder that holds the resolved config.

        Raises:
            PonderError: the folder already holds a run, or cannot be written.
        """
        folder = cls(path)
        with disk_errors(path):
            try:
                for part in (path, folder.rollouts_dir, folder.checkpoints_dir):
                    part.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                fix = f"{error.filename} is a file; name a folder"
                raise PonderError("out", str(path), fix) from error
            except OSError as error:
                if error.errno not in _NO_SUCH_NAME:
                    raise
                fix = f"a folder cannot be made here ({error.strerror}); name another"
                raise PonderError("out", str(path), fix) from error
        with folder.lock():
            if folder.config_path.exists() or folder.metrics_path.exists():
                fix = "this folder already holds a run; resume it, or name another folder"
                raise PonderError("out", str(path), fix)
            write_atomic(folder.config_path, config_toml.encode())
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open the folder of an existing run.

        Raises:
            PonderError: there is no run in that folder.
        """
        folder = cls(path)
        if not path.is_dir():
            raise PonderError("run", str(path), "there is no such folder")
        if not folder.config_path.is_file():
            fix = "this is not a run folder (it has no config.toml)"
            raise PonderError("run", str(path), fix)
        return folder

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run's lock; the kernel frees it when this process ends, however it ends.

        Raises:
            PonderError: another process (or this one) already holds it.
        """
        with disk_errors(self.lock_path):
            descriptor = os.open(self.lock_path, os.O_RDWR | os.O_CREAT, 0o644)
        _held.add(descriptor)
        try:
            with disk_errors(self.lock_path):
                self._take(descriptor)
            remove_stale(self.path)
            yield
        finally:
            if descriptor in _held:  # not in a forked child, which has let go already
                _held.discard(descriptor)
                os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 100, 0).decode(errors="replace").strip()
            fix = f"another process ({holder or 'unknown'}) runs in this folder; let it end first"
            raise PonderError("out", str(self.path), fix) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()} on {os.uname().nodename}\n".encode(), 0)

    @property
    def config_path(self) -> Path:
        return self.path / "config.toml"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def alarms_path(self) -> Path:
        return self.path / "alarms.jsonl"

    @property
    def rollouts_dir(self) -> Path:
        return self.path / "rollouts"

    @property
    def checkpoints_dir(self) -> Path:
        return self.path / "checkpoints"

    @property
    def summary_path(self) -> Path:
        return self.path / "summary.json"

    @property
    def report_path(self) -> Path:
        return self.path / "report.html"

    @property
    def lock_path(self) -> Path:
        return self.path / "lock"
