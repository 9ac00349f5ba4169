"""Samples as files of a run, so that they need no memory, and no second reading after a kill.

FOLDER/tokens.i32     int32, prompt and completion of each sample, one sample after the other
FOLDER/lengths.npy    int64 [n, 2]: tokens of the prompt and of the completion
FOLDER/meta.json      written last: what they were made from, and counts
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ponder.runlog import read_json, write_json_atomic
from ponder.runlog.durable import disk_errors

Numbers = npt.NDArray[np.int64]
TOKENS, LENGTHS, META = "tokens.i32", "lengths.npy", "meta.json"
_FLUSH = 1 << 22


class Sample(NamedTuple):
    """What is learnt: the completion's tokens (end token included) after the prompt's."""

    prompt_ids: list[int]
    completion_ids: list[int]

    @property
    def num_tokens(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples on the disk; ``starts`` is where each begins in ``tokens``."""

    tokens: npt.NDArray[np.int32]
    starts: Numbers
    prompt_lengths: Numbers
    completion_lengths: Numbers

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> Sample:
        ids = self.ids(index).tolist()
        cut = int(self.prompt_lengths[index])
        return Sample(ids[:cut], ids[cut:])

    def ids(self, index: int) -> npt.NDArray[np.int32]:
        """Prompt and completion in one."""
        start = int(self.starts[index])
        num = int(self.prompt_lengths[index] + self.completion_lengths[index])
        return self.tokens[start : start + num]

    @property
    def lengths(self) -> Numbers:
        """Tokens of each sample, prompt included."""
        return self.prompt_lengths + self.completion_lengths

    def take(self, indices: Numbers) -> Samples:
        """Some of the samples; the tokens are shared."""
        parts = (self.starts, self.prompt_lengths, self.completion_lengths)
        return Samples(self.tokens, *(part[indices] for part in parts))

    def fingerprint(self) -> str:
        """Of all that is learnt, in order: a resumed run must find the same."""
        digest = hashlib.sha256()
        for index, length in enumerate(self.lengths):
            digest.update(f"{self.prompt_lengths[index]}/{length};".encode())
            digest.update(self.ids(index).tobytes())
        return digest.hexdigest()


@dataclass(slots=True)
class Counts:
    """Rows that were too long."""

    dropped: int = 0
    truncated: int = 0


def write_samples(
    folder: Path, source: Mapping[str, Any], samples: Iterable[Sample], counts: Counts
) -> None:
    """Write ``samples``, made from ``source``, as they come; ``counts`` is read at the end.

    Raises PonderError where the disk is full.
    """
    lengths = array("q")
    pending = array("i")
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in (META, TOKENS):  # a file that is mapped somewhere must not become shorter
            (folder / name).unlink(missing_ok=True)
        with (folder / TOKENS).open("wb") as file:
            for sample in samples:
                pending.extend(sample.prompt_ids)
                pending.extend(sample.completion_ids)
                lengths.extend((len(sample.prompt_ids), len(sample.completion_ids)))
                if len(pending) > _FLUSH:
                    pending.tofile(file)
                    del pending[:]
            pending.tofile(file)
        np.save(folder / LENGTHS, np.frombuffer(lengths, dtype=np.int64).reshape(-1, 2))
        found = {"dropped": counts.dropped, "truncated": counts.truncated}
        write_json_atomic(folder / META, {"source": dict(source), "counts": found})


def open_samples(folder: Path, source: Mapping[str, Any]) -> tuple[Samples, Counts] | None:
    """What ``write_samples`` wrote; None where it didn't get to its end, or had another source."""
    if not (folder / META).is_file():
        return None
    meta = read_json(folder / META)
    if meta["source"] != source:
        return None
    prompts, completions = np.load(folder / LENGTHS).T.copy()
    lengths = prompts + completions
    none = np.zeros(0, dtype=np.int32)  # an empty file cannot be mapped
    tokens = np.memmap(folder / TOKENS, np.int32, "r") if len(lengths) else none
    return Samples(tokens, lengths.cumsum() - lengths, prompts, completions), Counts(
        **meta["counts"]
    )
