"""What an attack may leave behind, looked for from outside."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.sandbox.attacks.attack import MARK

_FOLDERS = (
    "/tmp", "/dev/shm", "/dev/mqueue", "/var/tmp", "/root", "/run", "/etc", "/home", ".", "/",
    "/usr/local/bin", os.path.dirname(os.__file__), os.path.expanduser("~"), "/proc/self/cwd",
)  # fmt: skip
_PATIENCE_SECONDS = 2.0


def processes() -> dict[int, int]:
    """Every process and its parent."""
    found: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            found[int(name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def _below(root: int, parents: dict[int, int]) -> set[int]:
    """The processes below one, at any depth."""
    found: set[int] = set()
    grown = {root}
    while grown:
        grown = {pid for pid, parent in parents.items() if parent in grown} - found
        found |= grown
    return found


def _shared_memory() -> list[str]:
    """System V objects with the key that the attack asks for."""
    found = []
    for kind in ("shm", "sem", "msg"):
        path = Path(f"/proc/sysvipc/{kind}")
        lines = path.read_text(encoding="ascii").splitlines()[1:] if path.exists() else []
        found += [f"System V {kind}" for line in lines if line.split()[0] == str(0x504F)]
    return found


class Watch:
    """Remembers what there was, and says what is new: processes of ours or orphans, files, IPC.

    Made while every sandbox of this process is idle, and asked when it is again: the zygotes may
    be others by then, but not more.
    """

    def __init__(self) -> None:
        time.sleep(0.1)
        parents = processes()
        self.num_processes = len(_below(os.getpid(), parents))
        self.orphans = _orphans(parents)
        self.settings = _settings()

    def new_traces(self) -> list[str]:
        """What is left after an attack, once processes have had a moment to end."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while (left := self._processes()) and time.monotonic() < end:
            time.sleep(0.02)
        traces = [f"process {pid}" for pid in sorted(left)]
        traces += [f"file {folder}/{name}" for folder in _FOLDERS for name in _marked(folder)]
        unix = Path("/proc/net/unix")
        if unix.exists() and MARK in unix.read_text(encoding="utf-8", errors="replace"):
            traces.append("a Unix socket")
        if _settings() != self.settings:
            traces.append("a setting of the kernel")
        return traces + _shared_memory()

    def _processes(self) -> set[int]:
        parents = processes()
        ours = _below(os.getpid(), parents)
        new = ours if len(ours) > self.num_processes else set()
        return new | (_orphans(parents) - self.orphans)


def _orphans(parents: dict[int, int]) -> set[int]:
    """Processes that the init process took over and that look like a run: Python of a low user."""
    found = set()
    for pid, parent in parents.items():
        if parent > 1:
            continue
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            user = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            continue
        if user and b"inside" in command:
            found.add(pid)
    return found


def _marked(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [name for name in names if MARK in name or name.startswith("core.")]


def _settings() -> list[str]:
    names = ("kernel/core_pattern", "kernel/panic", "vm/overcommit_memory", "kernel/hostname")
    return [Path("/proc/sys", name).read_text(encoding="utf-8") for name in names]
