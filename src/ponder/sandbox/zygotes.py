"""The trusted end of a zygote: start it, give it jobs, see it off."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

from ponder.errors import PonderError
from ponder.sandbox.collect import Run, Streams, ZygoteGone, hear
from ponder.sandbox.files import Descriptors, sealed_file
from ponder.sandbox.inside.request import CPP, FAILED, Request
from ponder.sandbox.jobs import Limits, Outcome
from ponder.sandbox.parcel import Parcel
from ponder.sandbox.users import User

_READY_SECONDS = 30.0
_OWN_PROCESSES = 2  # of the same user: the zygote and the child that waits for the next job
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # the same program gives the same output
    "MALLOC_ARENA_MAX": "1",  # each thread would reserve 64 MiB of its program's memory
}
FLAGS = "-sSBP"  # no user site, no site, no bytecode written, no unsafe path


def interpreter() -> str:
    """The Python that runs programs: the one that runs us, outside its virtual environment."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    if not base:
        raise PonderError("sys.executable", base, "run Ponder with a python binary")
    return os.path.realpath(base)


def boot(module: str) -> str:
    """Source that imports a module of the other side, alone, and hands it what it is told."""
    return (
        "import sys, json; told = json.loads(sys.argv[1]); sys.path.insert(0, told['code']);"
        f"import inside.{module} as module; del sys.path[0]; module.main(told)"
    )


class Zygote:
    """One zygote process; it runs one job at a time. ZygoteGone if it does not start."""

    def __init__(self, user: User, slot: int = 0) -> None:
        self.slot = slot
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        told = {
            "channel": theirs.fileno(),
            "user": user.number,
            "parent": os.getpid(),
            "code": str(Path(__file__).parent),
        }
        self._channel = ours
        self._spare: int | None = None
        with theirs:
            self._process = subprocess.Popen(
                [interpreter(), FLAGS, "-c", boot("zygote"), json.dumps(told)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT,
                cwd="/",
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        try:
            self.has_namespaces = self._wait_until_ready()
        except BaseException:
            self.close()
            raise
        # In a user namespace of its own (never root's case), a user is counted from zero.
        self._counts_processes = user.is_own or (user.number is None and self.has_namespaces)

    def _wait_until_ready(self) -> bool:
        self._channel.settimeout(_READY_SECONDS)
        try:
            message = self._channel.recv(4096)
        except TimeoutError as error:
            raise ZygoteGone("the zygote did not start in time") from error
        self._channel.settimeout(None)
        if not message or message.startswith(FAILED):
            raise ZygoteGone(f"the zygote did not start: {message[1:].decode()}")
        return bool(json.loads(message[1:])["namespaces"])

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, parcel: Parcel, limits: Limits) -> Outcome:
        """Run a job; after ZygoteGone this zygote is of no more use."""
        with Descriptors() as held:
            stdin = held.add(sealed_file(parcel.stdin, "stdin"))
            program = held.add(sealed_file(parcel.program, "program", parcel.kind == CPP))
            (out, out_end), (err, err_end) = held.pipe(), held.pipe()
            given, result = [stdin, out_end, err_end, program], None
            if parcel.has_result:
                result, result_end = held.pipe()
                given.append(result_end)
            if parcel.tests is not None:
                given.append(held.add(sealed_file(parcel.tests, "tests")))
            process = held.add(self._waiting())
            try:
                socket.send_fds(self._channel, [self._request(parcel, limits).pack()], given)
            except OSError as error:
                raise ZygoteGone(str(error)) from error
            held.close(*given)
            run = Run(self._channel, process, Streams(out, err, result), limits)
            try:
                return run.outcome()
            finally:
                self._spare = run.next_process

    def _waiting(self) -> int:
        """A descriptor of the child that waits for the next job."""
        process, self._spare = self._spare, None
        if process is None:
            _, process = hear(self._channel)
        if process is None:
            raise ZygoteGone("the zygote is out of step")
        return process

    def _request(self, parcel: Parcel, limits: Limits) -> Request:
        return Request(
            kind=parcel.kind,
            memory_bytes=limits.memory_mb << 20,
            cpu_seconds=math.ceil(limits.wall_seconds) + 1,
            num_processes=limits.num_threads + _OWN_PROCESSES if self._counts_processes else 0,
        )

    def close(self) -> None:
        """Hang up and wait: a zygote ends when its channel does. Kills it if it does not."""
        self._hang_up()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """In a forked copy of our process: let go, the zygote is not ours to end."""
        self._hang_up()
        self._process.returncode = 0

    def _hang_up(self) -> None:
        self._channel.close()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
