"""Files that were cut are refused; blanks at the end cut nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard

from ponder.errors import PonderError
from ponder.pipeline.whole import check_whole

LINES = '{"a": 1}\n{"b": "中"}'.encode()
FRAME = zstandard.ZstdCompressor().compress(LINES)


@pytest.mark.parametrize("content", [LINES, LINES + b"\r\n", LINES + b"\n \n\n", LINES[:8]])
def test_whole_lines(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    check_whole("data", tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b"", "empty"),
        ("a.jsonl", b" \n\n", "no line"),
        ("a.jsonl", LINES[:-3], "half written"),
        ("a.jsonl", LINES + b"\n" + b"\0" * 5000, "half written"),
        ("a.jsonl.zst", FRAME[:-2], "half written"),
        ("a.jsonl.zst", FRAME + FRAME[:9], "half written"),
        ("a.jsonl.zst", b"no frame", "damaged"),
    ],
)
def test_cut_ones(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PonderError, match=f"data.*{says}"):
        check_whole("data", tmp_path / name)
