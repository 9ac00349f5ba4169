"""What a checkpoint holds beside the Hugging Face folder: all that a resumed run needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ponder.runlog import read_json, write_json_atomic

TENSORS = "trainer_state.pt"
POSITION = "trainer_state.json"


@dataclass(frozen=True, slots=True)
class TrainerState:
    """The position of a run after ``next_step`` steps.

    Everything random is a function of (seed, step, ...), so there is no random state here.
    ``tensors`` holds the optimizer's state and, where there is one, the reference's weights;
    ``reward_models`` the digests of those that judge.
    """

    next_step: int
    num_updates: int
    num_threads: int
    stream: dict[str, Any]
    seconds: float
    tensors: dict[str, Any]
    reward_models: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write ``trainer_state.pt`` and ``trainer_state.json`` into a checkpoint folder."""
        torch.save(self.tensors, folder / TENSORS)
        position = {
            "next_step": self.next_step,
            "num_updates": self.num_updates,
            "num_threads": self.num_threads,
            "stream": self.stream,
            "seconds": self.seconds,
            "reward_models": self.reward_models,
        }
        write_json_atomic(folder / POSITION, position)

    @classmethod
    def read(cls, folder: Path) -> TrainerState:
        """Read what ``write`` wrote. The checkpoint's files must have been verified before."""
        tensors = torch.load(folder / TENSORS, map_location="cpu", weights_only=True)
        return cls(**read_json(folder / POSITION), tensors=tensors)
