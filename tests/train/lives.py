"""Started by living.py: forks a process for each run folder named on stdin.

torch and transformers are imported once, so a life begins in milliseconds. For each line of stdin
(a path) it prints the pid of the life, then, when that has ended, its wait status.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ponder.config.recipes import read_config, to_toml
from ponder.config.rl import RLConfig
from ponder.config.sft import SFTConfig
from ponder.runlog import RunFolder
from ponder.train.rl.loop import train
from ponder.train.sft.loop import fine_tune


def life(config: RLConfig | SFTConfig, path: Path) -> None:
    """Start the run, or resume it."""
    resume = (path / "config.toml").exists()
    run = RunFolder.open(path) if resume else RunFolder.create(path, to_toml(config))
    if isinstance(config, SFTConfig):
        fine_tune(config, run, resume=resume)
    else:
        train(config, run, resume=resume)


def main() -> None:
    config = read_config(Path(sys.argv[1]))
    assert isinstance(config, RLConfig | SFTConfig)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            life(config, Path(line.strip()))
            os._exit(0)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


if __name__ == "__main__":
    main()
