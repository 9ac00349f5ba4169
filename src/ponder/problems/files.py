"""Rows of local files: .jsonl (or .jsonl.gz), .json (a list), .parquet, .csv, or a folder."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ponder.errors import PonderError
from ponder.problems.rows import Row

_SPLITS = ("train", "test", "validation", "valid", "dev", "eval")


def read_path(path: Path, split: str | None, field: str = "problems.split") -> Iterator[Row]:
    """The rows of a file, or of the files of a split in a folder; None: of all its files.

    In a folder, the files of split "test" are those named test.*, test-*, test_*, *_test.* or
    test/*; files whose names say no split at all are the split "train". A single file is the split
    "train". ``field`` is where in the config the split is named.

    Raises:
        PonderError: nothing there, no such split, an unknown kind of file, a line that is no JSON.
    """
    if path.is_dir():
        for file in _files_of_split(path, split, field):
            yield from read_file(file)
        return
    if not path.is_file():
        raise PonderError("problems.path", str(path), "there is no such file or folder")
    if split not in ("train", None):
        fix = f"{path.name} is a single file and has no splits; leave it out or give a folder"
        raise PonderError(field, split, fix)
    yield from read_file(path)


def read_file(path: Path) -> Iterator[Row]:
    """The rows of one file. PonderError as for ``read_path``."""
    if _kind(path) not in _READERS:
        fix = f"use one of {', '.join(_READERS)}, or a folder of them"
        raise PonderError("problems.path", str(path), fix)
    return _READERS[_kind(path)](path)


def _kind(path: Path) -> str:
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def _files_of_split(folder: Path, split: str | None, field: str) -> list[Path]:
    files = sorted(file for file in folder.rglob("*") if _kind(file) in _READERS)
    # a table beside files of rows is mostly an index of them
    files = [file for file in files if _kind(file) != ".csv"] or files
    if not files:
        fix = f"the folder has no {', '.join(_READERS)} files"
        raise PonderError("problems.path", str(folder), fix)
    if split is None:
        return files
    names = {file: _split_of(file.relative_to(folder)) for file in files}
    found = [file for file in files if names[file] == split]
    if not found:
        there = sorted(set(names.values()))
        fix = f"{folder} has the splits {', '.join(there)}; a single file needs no splits"
        raise PonderError(field, split, fix)
    return found


def _split_of(file: Path) -> str:
    stem = file.name.removesuffix(_kind(file))
    for part in (stem, *(parent.name for parent in file.parents)):
        words = part.lower().replace("_", "-").replace(".", "-").split("-")
        for word in (words[0], words[-1]):
            if word in _SPLITS:
                return word
    return "train"


def _read_jsonl(path: Path) -> Iterator[Row]:
    yield from _lines(path, path.read_bytes())


def _read_jsonl_gz(path: Path) -> Iterator[Row]:
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        fix = f"this is not a readable .gz file ({error})"
        raise PonderError("problems.path", str(path), fix) from error
    yield from _lines(path, content)


def _lines(path: Path, content: bytes) -> Iterator[Row]:
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            place = f"{path.name}:{number}"
            yield Row(place, _object(_json(line, place), place))


def _read_json(path: Path) -> Iterator[Row]:
    content = _json(path.read_bytes(), path.name)
    if not isinstance(content, list):
        raise PonderError("problems.path", str(path), "a .json file must hold a list of objects")
    for number, item in enumerate(content, start=1):
        place = f"{path.name}:{number}"
        yield Row(place, _object(item, place))


def _read_csv(path: Path) -> Iterator[Row]:
    """The first line has the names of the fields; commas, or semicolons or tabs if it has those."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fix = f"save it as UTF-8 ({error})"
        raise PonderError("problems.path", str(path), fix) from error
    separator = max(",;\t", key=text.partition("\n")[0].count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    names: list[str] = []
    try:
        for values in lines:
            place = f"{path.name}:{lines.line_num}"
            if not names:
                names = values
            elif values:
                yield Row(place, _fields(names, values, place))
    except csv.Error as error:
        fix = f"{path.name}:{lines.line_num} is not valid CSV ({error}); mend or remove it"
        raise PonderError("problems.path", str(path), fix) from error


def _fields(names: list[str], values: list[str], place: str) -> dict[str, Any]:
    if len(names) == len(values) == len(set(names)):
        return dict(zip(names, values, strict=True))
    fix = f"{place} has {len(values)} fields, the first line names {len(set(names))}: mend it"
    raise PonderError("problems.path", ", ".join(values)[:80], fix)


def _json(raw: bytes, place: str) -> Any:
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        shown = raw[:60].decode(errors="replace")
        fix = f"{place} is not valid JSON ({error}); mend or remove it"
        raise PonderError("problems.path", shown, fix) from error


def _object(item: Any, place: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        fix = (
            f"{place} must be a JSON object with fields, like " + '{"question": ..., "answer": ...}'
        )
        raise PonderError("problems.path", item, fix)
    return item


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        fix = 'reading .parquet needs pyarrow: pip install "ponder[parquet]"'
        raise PonderError("problems.path", str(path), fix) from error
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        fix = f"this is not a readable parquet file ({error})"
        raise PonderError("problems.path", str(path), fix) from error
    for number, fields in enumerate(table.to_pylist(), start=1):
        yield Row(f"{path.name}:{number}", fields)


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".jsonl.gz": _read_jsonl_gz,
}
