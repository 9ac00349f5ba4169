"""Mixtures of files of rows: so many of each, drawn and shuffled by a seed, as a stream.

DeepSeek-R1's second SFT mixes about 600,000 rows of reasoning with about 200,000 of other data
(arXiv 2501.12948 v2, B.3.3); in which order they are seen is not printed. Here every order is
equally likely: each row goes to a bucket by lot, then each bucket is shuffled in memory.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ponder.config.curate import MixConfig
from ponder.curate.reader import check_suffix, read_lines
from ponder.curate.writer import Mark, RowWriter
from ponder.errors import PonderError
from ponder.runlog.durable import disk_errors

_BUCKET_BYTES = 64 << 20
_MOST_BUCKETS = 200


@dataclass(frozen=True, slots=True)
class MixSummary:
    """Rows in each part's file and rows taken of it, in the order of the parts."""

    available: list[int]
    taken: list[int]


def mix(config: MixConfig, out: Path) -> MixSummary:
    """Write the mixture to ``out``. Equal files, config and seed give equal bytes.

    Rows that are taken more than once get ids of their own ("a", "a#2", "a#3").

    Raises:
        PonderError: a file is missing or damaged, or has too few rows; the disk is full.
    """
    check_suffix(out)
    if not config.parts:
        raise PonderError("mix.parts", [], "name at least one file")
    sizes = [_size(part.path) for part in config.parts]
    available = [count for count, _ in sizes]
    taken = _wanted(config, available)
    num_buckets = min(_MOST_BUCKETS, 1 + sum(size for _, size in sizes) // _BUCKET_BYTES)
    folder = out.with_name(f".{out.name}.mix")
    with disk_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)  # of a pass that was killed
        folder.mkdir(parents=True)
        try:
            paths = [folder / str(number) for number in range(num_buckets)]
            _scatter(config, available, taken, paths)
            _gather(config.seed, paths, out)
        finally:
            shutil.rmtree(folder)
    return MixSummary(available, taken)


def _size(path: Path) -> tuple[int, int]:
    """Rows and bytes."""
    count = size = 0
    for _, line in read_lines(path):
        count += 1
        size += len(line)
    return count, size


def _wanted(config: MixConfig, available: Sequence[int]) -> list[int]:
    """Rows to take of each part."""
    weights = [part.weight or 0.0 for part in config.parts]
    shares = iter(_divided(config.total or 0, [weight for weight in weights if weight]))
    wanted: list[int] = []
    for number, (part, there) in enumerate(zip(config.parts, available, strict=True)):
        count = next(shares) if part.weight else there if part.count is None else part.count
        if count > there and not (config.allow_repeats and there):
            fix = f"{part.path} has only {there:,} rows; take fewer, or set mix.allow_repeats"
            raise PonderError(f"mix.parts.{number}", count, fix)
        wanted.append(count)
    return wanted


def _divided(total: int, weights: Sequence[float]) -> list[int]:
    """``total`` in whole numbers by weight; what is left over goes to the largest remainders."""
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [int(share) for share in exact]
    by_rest = sorted(range(len(exact)), key=lambda place: counts[place] - exact[place])
    for place in by_rest[: total - sum(counts)]:
        counts[place] += 1
    return counts


def _scatter(
    config: MixConfig, available: Sequence[int], taken: Sequence[int], paths: Sequence[Path]
) -> None:
    with ExitStack() as stack:
        buckets = [stack.enter_context(path.open("wb", 1 << 18)) for path in paths]
        for number, part in enumerate(config.parts):
            chance = np.random.default_rng([config.seed, number])
            copies = _copies(chance, available[number], taken[number])
            goes_to = iter(chance.integers(0, len(paths), taken[number]).tolist())
            lines = (line for _, line in read_lines(part.path))
            for line in _repeated(lines, copies):
                buckets[next(goes_to)].write(line + b"\n")


def _copies(chance: np.random.Generator, available: int, taken: int) -> NDArray[np.int64]:
    """How often each row is taken: all equally often, and some drawn by lot once more."""
    if not available:
        return np.zeros(0, np.int64)
    copies = np.full(available, taken // available, np.int64)
    copies[chance.permutation(available)[: taken % available]] += 1
    return copies


def _repeated(lines: Iterable[bytes], copies: NDArray[np.int64]) -> Iterator[bytes]:
    for line, count in zip(lines, copies.tolist(), strict=True):
        for copy in range(1, count + 1):
            yield line if copy == 1 else _renamed(line, copy)


def _renamed(line: bytes, copy: int) -> bytes:
    fields = json.loads(line)
    return json.dumps(fields | {"id": f"{fields['id']}#{copy}"}, ensure_ascii=False).encode()


def _gather(seed: int, paths: Sequence[Path], out: Path) -> None:
    with RowWriter(out, at=Mark()) as writer:
        for number, path in enumerate(paths):
            lines = path.read_bytes().split(b"\n")[:-1]
            order = np.random.default_rng([seed, number, 1]).permutation(len(lines))
            for place in order.tolist():
                writer.write_line(lines[place] + b"\n")
            path.unlink()
