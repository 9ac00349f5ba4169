"""A job as a run gets it: a kind, and files that only the run opens."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass

from ponder.errors import PonderError
from ponder.sandbox.inside.request import CALL, CHECK, SCRIPT
from ponder.sandbox.jobs import CallJob, CheckJob, Limits, ScriptJob

_NONCE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is handed to a child. ``nonce`` is what it must send back after the tests."""

    kind: int
    program: bytes
    stdin: bytes = b""
    tests: bytes | None = None
    nonce: bytes = b""

    @property
    def has_result(self) -> bool:
        return self.kind in (CALL, CHECK)


def parcel_of(job: ScriptJob | CallJob | CheckJob, limits: Limits) -> Parcel:
    """The files of a Python job."""
    if isinstance(job, ScriptJob):
        return Parcel(SCRIPT, _told(kind="script", source=job.source), job.stdin)
    if isinstance(job, CallJob):
        _check_arguments(job.args_json)
        told = _told(
            kind="call",
            source=job.source,
            function=job.function,
            args=job.args_json,
            result_bytes=limits.result_bytes,
        )
        return Parcel(CALL, told)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    text = job.check_source.encode("utf-8", "surrogatepass")
    tests = len(text).to_bytes(8, "little") + text + nonce
    return Parcel(CHECK, _told(kind="check", source=job.source), tests=tests, nonce=nonce)


def _told(**fields: object) -> bytes:
    return json.dumps(fields).encode("ascii")


def _check_arguments(text: str) -> None:
    """A test's own mistake must not look like the program's."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise PonderError("args_json", text, f"must be JSON ({error})") from error
    if not isinstance(found, list | dict):
        raise PonderError("args_json", text, "must be a list of arguments, or an object of them")
