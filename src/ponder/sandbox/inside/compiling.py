"""A compiler, confined: it reads its own files, writes in one folder, and starts its own tools."""

from __future__ import annotations

import os
import resource
import sys
from typing import Any

from . import child, kernel, landlock, seccomp

_READ = landlock.READ_FILE | landlock.READ_DIR | landlock.EXECUTE
_SYSTEM = (
    "/usr/bin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/include",
    "/usr/local/include",
    "/lib",
    "/lib64",
    "/bin",
    "/etc/ld.so.cache",
)
_MAX_FILE_BYTES = 64 << 20
_MAX_PROCESSES = 16


def main(told: dict[str, Any]) -> None:
    """Become the compiler ``command``, in ``folder``, as ``user``; its source comes on stdin."""
    folder, user = told["folder"], told["user"]
    rules = landlock.ruleset(_allowed(folder))
    os.chdir(folder)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        child.limit(resource.RLIMIT_NPROC, _MAX_PROCESSES)
    kernel.drop_capabilities()
    child.limit(resource.RLIMIT_AS, told["memory_bytes"])
    child.limit(resource.RLIMIT_CPU, told["cpu_seconds"])
    child.limit(resource.RLIMIT_FSIZE, _MAX_FILE_BYTES)
    child.limit(resource.RLIMIT_CORE, 0)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    landlock.restrict(rules)
    os.closerange(3, 1 << 10)
    kernel.install_filter(seccomp.compiler_filter())
    # Relative: the user changed to may not search the folders above.
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TMPDIR": "."}
    os.execve(told["command"][0], told["command"], environment)
    sys.exit(1)


def _allowed(folder: str) -> list[tuple[str, int]]:
    written = landlock.all_fs_rights(landlock.abi()) & ~landlock.SPECIAL_FILES
    null = landlock.READ_FILE | landlock.WRITE_FILE
    return [*((path, _READ) for path in _SYSTEM), (folder, written), ("/dev/null", null)]
