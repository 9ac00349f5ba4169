"""Hashes of what a stage depends on: values, files, folders, source code."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from ponder.errors import PonderError
from ponder.runlog.checkpoint import MANIFEST

LENGTH = 16
"""Hexadecimal digits of a key: 64 bits, for the few folders of a stage."""


def digest_value(value: Any) -> str:
    """Of plain JSON data; equal data has equal digests in every process."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def digest_path(path: Path) -> str:
    """Of a file's bytes; of all files in a folder, names included; of a checkpoint its manifest.

    Raises:
        PonderError: there is nothing there.
    """
    manifest = path / MANIFEST
    if manifest.is_file():
        return _digest_file(manifest)
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if item.is_file())
        return digest_value(
            [[item.relative_to(path).as_posix(), _digest_file(item)] for item in files]
        )
    if not path.is_file():
        raise PonderError("path", str(path), "there is no such file or folder")
    return _digest_file(path)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder, which may be written to meanwhile."""
    if not path.is_dir():
        return path.stat().st_size
    size = 0
    for folder, _, names in os.walk(path):  # what is gone by now is passed over
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(folder, name).stat().st_size
    return size


def digest_code(names: Iterable[str]) -> dict[str, str]:
    """By name, the digest of source files: of a module, of a package with all below it, or
    ("package.*") of the modules of a package without its subpackages. Nothing is imported.
    A package's C++ counts as its Python does."""
    return {name: _digest_source(name) for name in sorted(names)}


@cache
def _digest_source(name: str) -> str:
    package = name.removesuffix(".*")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"a kind of stage names {name!r} as its code, which does not exist")
    origin = Path(spec.origin)
    if not spec.submodule_search_locations:
        return _sha256(origin)[:LENGTH]
    below = "" if name != package else "**/"
    files = sorted(f for end in ("py", "cpp") for f in origin.parent.glob(f"{below}*.{end}"))
    return digest_value(
        [[file.relative_to(origin.parent).as_posix(), _sha256(file)] for file in files]
    )


def _digest_file(path: Path) -> str:
    stat = path.stat()
    return _digest_unchanged(path.resolve(), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=4096)
def _digest_unchanged(path: Path, size: int, changed: int, inode: int) -> str:
    """A file that looks the same is not read twice by a process."""
    return _sha256(path)[:LENGTH]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
