"""Started by test_real.py: forks a `ponder` for each line of stdin, a JSON list of arguments.

torch and transformers are imported once, so a life begins in milliseconds. The first argument is
the file that the life writes to; for each line it prints the pid, then the wait status.
"""

from __future__ import annotations

import io
import json
import os
import sys

import ponder.generate.local
import ponder.pipeline.stages
import ponder.plan.read
import ponder.train.rl.loop
from ponder.cli.main import main

LOADED = (ponder.generate.local, ponder.pipeline.stages, ponder.plan.read, ponder.train.rl.loop)


def life(path: str, arguments: list[str]) -> int:
    """The command, its output in a file."""
    output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdin = io.StringIO()  # `main` settles it, which one that was read cannot be
    code = main(arguments)
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(life(*json.loads(line)))
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)
