"""`ponder`: parse, then import the command, then call it; errors become one line."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from ponder.cli.parser import build_parser
from ponder.errors import AlarmError, GuardError, PonderError
from ponder.runlog.durable import disk_full_error

OK, USER_ERROR, BROKEN_RUN, ALARMED, INTERRUPTED = 0, 2, 3, 4, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code: 0, 2 for a mistake to mend, 3 for a broken run, 130 for Ctrl-C.

    And 4 for a run that an alarm ended. A bug keeps its traceback.
    """
    _settle_libraries()
    _settle_streams()
    arguments = parse(build_parser(), argv)
    try:
        return int(importlib.import_module(arguments.command).run(arguments))
    except PonderError as error:
        return _complain(str(error), USER_ERROR)
    except GuardError as error:
        return _complain(f"this run is broken: {error}", BROKEN_RUN)
    except AlarmError as error:
        return _complain(f"an alarm ended the run: {error}", ALARMED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `ponder recipes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _complain(str(disk_full_error(Path(error.filename or "."))), USER_ERROR)


def _settle_libraries() -> None:
    """Settings that libraries read when torch is imported; the user's own stand (docs/log.md)."""
    # Threads that spin for long make a busy machine crawl; those that never do, a quiet one.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    # oneDNN keeps a kernel per shape, and rollouts have thousands of shapes: gigabytes in a run.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")


def _settle_streams() -> None:
    """Text that a stream's encoding does not know is replaced: it must not end a command."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def parse(parser: ArgumentParser, argv: Sequence[str] | None) -> Namespace:
    """Parse; settings may also come after an option (`ponder train zero-tiny --explain seed=1`)."""
    arguments, rest = parser.parse_known_args(argv)
    unknown = [word for word in rest if word.startswith("-") or arguments.overrides is None]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest:
        arguments.overrides = [*arguments.overrides, *rest]
    return arguments


def _complain(message: str, code: int) -> int:
    line = " ".join(message.split())
    sys.stderr.write(f"error: {line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
