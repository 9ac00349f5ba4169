"""`ponder pipeline` in processes that are killed or interrupted at chosen moments."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.lives import Forker


class Lives(Forker):
    """`ponder` processes, one after the other; see lives.py."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Path(__file__).with_name("lives.py"), [], {"COLUMNS": "200"})
        self.log = folder / "said.txt"

    def live(
        self,
        *arguments: str,
        moment: Callable[[], bool] = lambda: False,
        kill: int = signal.SIGKILL,
    ) -> tuple[int, str]:
        """`ponder pipeline`, sent the signal ``kill`` at a moment: its exit code and output."""
        line = json.dumps([str(self.log), ["pipeline", *arguments]])
        status = self.fork(line, moment, kill)
        return os.waitstatus_to_exitcode(status), self.log.read_text()


def there(run: Path, pattern: str) -> Callable[[], bool]:
    """The moment in which a file or folder of ``run`` exists."""
    return lambda: next(run.glob(pattern), None) is not None
