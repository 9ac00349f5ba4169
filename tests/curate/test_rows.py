"""Files of rows: what is written is read, half a file never, and a torn end is cut."""

from __future__ import annotations

import json
import os
import resource
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from ponder.curate.rows import Mark, Row, RowWriter, part_path, read_rows
from ponder.errors import PonderError

SUFFIXES = [".jsonl", ".jsonl.zst"]


def rows(count: int, start: int = 0) -> list[Row]:
    return [
        Row(f"r{i}", f"问题 {i}\u2028?", f"<think>{i}\n</think>" * (i % 7), "math", "s", {"k": [i]})
        for i in range(start, start + count)
    ]


def write_all(writer: RowWriter, rows: list[Row]) -> None:
    for row in rows:
        writer.write(row)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "folder" / f"a{suffix}"
    with RowWriter(path) as writer:
        for number, row in enumerate(rows(500)):
            writer.write(row)
            if number % 90 == 0:
                writer.sync()
        assert not path.exists()
    assert list(read_rows(path)) == rows(500)
    assert [item.name for item in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_torn_end_is_cut_and_written_on(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    writer = RowWriter(path)
    marks = [Mark()]
    for row in rows(6):
        writer.write(row)
        marks.append(writer.sync())
    writer.leave()
    whole = part_path(path).read_bytes()
    for size in range(len(whole) + 1):
        part_path(path).write_bytes(whole[:size])
        with RowWriter(path) as again:
            assert again.num_rows == sum(mark.num_bytes <= size for mark in marks) - 1
            for row in rows(6)[again.num_rows :]:
                again.write(row)
        assert list(read_rows(path)) == rows(6)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_mark_cuts_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    writer = RowWriter(path)
    writer.write(rows(1)[0])
    mark = Mark.from_json(json.loads(json.dumps(writer.sync().to_json())))
    for row in rows(9, start=20):
        writer.write(row)
    writer.sync()
    writer.leave()
    with RowWriter(path, at=mark) as again:
        again.write(rows(1, start=1)[0])
    assert list(read_rows(path)) == rows(2)
    with pytest.raises(PonderError, match="cut or replaced"):
        RowWriter(path, at=mark)


def test_an_exception_leaves_the_part_and_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with RowWriter(path) as writer:
        writer.write(rows(1)[0])
    with suppress(KeyError), RowWriter(path) as writer:
        writer.write(rows(1, start=5)[0])
        writer.sync()
        raise KeyError
    assert list(read_rows(path)) == rows(1)
    assert part_path(path).exists()


def test_a_half_written_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    RowWriter(path).sync()
    with pytest.raises(PonderError, match="half-written"):
        list(read_rows(path))
    with pytest.raises(PonderError, match="must end in"):
        list(read_rows(part_path(path)))
    with pytest.raises(PonderError, match="no such file"):
        list(read_rows(tmp_path / "b.jsonl"))


def test_a_torn_zst_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    with RowWriter(path) as writer:
        for row in rows(3):
            writer.write(row)
            writer.sync()
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(PonderError, match=r"a\.jsonl\.zst:[34]: .*restore"):
        list(read_rows(path))
    path.write_bytes(whole[:-9] + b"x" * 9)
    with pytest.raises(PonderError, match=r"a\.jsonl\.zst:3: .*damaged"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "a", "prompt": "p"', "not valid JSON"),
        ("[1]", "JSON object"),
        ('{"id": "a", "prompt": "p"}', "no field 'completion'"),
        ('{"id": "", "prompt": "p", "completion": "c"}', "id must not be empty"),
        ('{"id": "a", "prompt": 3, "completion": "c"}', "prompt must be text"),
        ('{"id": "a", "prompt": "p", "completion": "c", "score": NaN}', "NaN is no number"),
        ('{"id": "a", "prompt": "p", "completion": "\\ud800"}', "no valid Unicode"),
        (
            '{"id": "a", "prompt": "p", "completion": "c", "question": "\\uDFFF"}',
            "no valid Unicode",
        ),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a", "prompt": "p", "completion": "c"}\n\n' + line + "\n")
    with pytest.raises(PonderError, match=rf"a\.jsonl:3.*{message}"):
        list(read_rows(path))


def test_whole_pairs_of_surrogates_are_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "a", "prompt": "\\ud83d\\ude00", "completion": "c"}\r\n')
    assert [row.prompt for row in read_rows(path)] == ["\U0001f600"]


def test_metadata_may_not_hide_a_field(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "a.jsonl") as writer:
        with pytest.raises(PonderError, match="field of the row itself"):
            writer.write(Row("a", "p", "c", metadata={"prompt": "q"}))
        with pytest.raises(PonderError, match="cannot be written as JSON"):
            writer.write(Row("a", "p", "c", metadata={"x": {1}}))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_whole_rows_and_can_be_gone_on_with(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    noise = [Row(str(n), "p", os.urandom(20_000).hex()) for n in range(200)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = RowWriter(path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, before[1]))
        with pytest.raises(PonderError, match=r"a\.jsonl.*no space left"):
            write_all(writer, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    num_written = writer.num_rows
    assert 20 < num_written < 200
    copy = tmp_path / f"b{suffix}"
    shutil.copy(part_path(path), part_path(copy))
    RowWriter(copy).close()
    whole = list(read_rows(copy))
    assert 0 < len(whole) < num_written
    assert whole == noise[: len(whole)]
    write_all(writer, noise[num_written:])
    writer.close()
    assert list(read_rows(path)) == noise
