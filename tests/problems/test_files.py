"""Local files: what is read, and what every mistake says."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from ponder.errors import PonderError
from ponder.problems.files import read_file, read_path
from ponder.problems.rows import Fields, Row, answer_text, make_problems

FIELDS = Fields("question", "answer")


def write(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def qa(n: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"question": f"what is {i}?", "answer": i} for i in range(start, start + n)]


def test_jsonl_rows_say_their_line(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    text = '\ufeff{"question": "1?", "answer": 1}\n\n{"question": "二?", "answer": "2"}\r\n'
    file.write_text(text, encoding="utf-8")
    rows = list(read_file(file))
    assert [(row.place, row.fields["answer"]) for row in rows] == [
        ("a.jsonl:1", 1),
        ("a.jsonl:3", "2"),
    ]
    assert rows[1].fields["question"] == "二?"


def test_json_lists_and_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(qa(3)))
    pyarrow.parquet.write_table(pa.Table.from_pylist(qa(3)), tmp_path / "a.parquet")
    for name in ("a.json", "a.parquet"):
        rows = list(read_file(tmp_path / name))
        assert [row.place for row in rows] == [f"{name}:{i}" for i in (1, 2, 3)]
        assert make_problems(rows, FIELDS, "exact", name).problems[2].answer == "2"


@pytest.mark.parametrize(
    ("content", "fix"),
    [
        (b'{"question": "1?", "answer": 1}\n{"question": \n', "a.jsonl:2 is not valid JSON"),
        (b'{"question": "1?", "answer": 1}\n[1, 2]\n', "a.jsonl:2 must be a JSON object"),
        (b'"text"\n', "a.jsonl:1 must be a JSON object"),
        (b'\xff\xfe{"question"\n', "a.jsonl:1 is not valid JSON"),
        (b"[" * 100_000, "a.jsonl:1 is not valid JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: bytes, fix: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(PonderError) as caught:
        list(read_file(tmp_path / "a.jsonl"))
    assert caught.value.field == "problems.path"
    assert fix in caught.value.fix


def test_what_is_not_there_or_not_readable(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_text("question,answer\n")
    (tmp_path / "a.parquet").write_bytes(b"not parquet")
    (tmp_path / "a.json").write_text('{"question": 1}')
    (tmp_path / "empty").mkdir()
    for name, fix in [
        ("none.jsonl", "no such file"),
        ("a.xlsx", ".jsonl, .json, .parquet, .csv"),
        ("a.parquet", "not a readable parquet"),
        ("a.json", "must hold a list"),
        ("empty", "has no .jsonl, .json, .parquet"),
    ]:
        with pytest.raises(PonderError) as caught:
            list(read_path(tmp_path / name, "train"))
        assert caught.value.field == "problems.path"
        assert fix in caught.value.fix


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv(tmp_path: Path, separator: str) -> None:
    rows = [["question", "answer"], ['"a", said; she\t?\nnext line', "1"], ["b?", "2"]]
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    found = list(read_path(tmp_path, "train"))
    assert [[row.fields["question"], row.fields["answer"]] for row in found] == rows[1:]
    assert [row.place for row in found] == ["a.csv:3", "a.csv:4"]
    write(tmp_path / "a.jsonl", qa(1))
    assert [row.place for row in read_path(tmp_path, "train")] == ["a.jsonl:1"]


@pytest.mark.parametrize(
    ("content", "fix"),
    [
        (b"question,answer\n1?\n", "a.csv:2 has 1 fields, the first line names 2"),
        (b"question,answer\n1?,2,3\n", "a.csv:2 has 3 fields"),
        (b"question,question\n1?,2\n", "a.csv:2 has 2 fields, the first line names 1"),
        (b'question,answer\n1?,1\n"2?,', "a.csv:3 is not valid CSV"),
        (b"question,answer\n\xff,1\n", "save it as UTF-8"),
    ],
)
def test_a_damaged_csv_is_named(tmp_path: Path, content: bytes, fix: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(PonderError, match=r"problems\.path") as caught:
        list(read_file(tmp_path / "a.csv"))
    assert fix in caught.value.fix


def test_splits_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "train-00000.jsonl", qa(2))
    write(tmp_path / "train-00001.jsonl", qa(2, 2))
    write(tmp_path / "test.jsonl", qa(3, 10))
    write(tmp_path / "validation" / "part.jsonl", qa(1, 20))
    assert [row.fields["answer"] for row in read_path(tmp_path, "train")] == [0, 1, 2, 3]
    assert [row.fields["answer"] for row in read_path(tmp_path, "test")] == [10, 11, 12]
    assert [row.fields["answer"] for row in read_path(tmp_path, "validation")] == [20]
    with pytest.raises(PonderError, match="has the splits test, train, validation") as caught:
        list(read_path(tmp_path, "dev", "problems.heldout_split"))
    assert caught.value.field == "problems.heldout_split"


def test_files_that_name_no_split_are_train(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", qa(1))
    write(tmp_path / "b.jsonl", qa(1, 1))
    assert [row.place for row in read_path(tmp_path, "train")] == ["a.jsonl:1", "b.jsonl:1"]
    with pytest.raises(PonderError, match="is a single file"):
        list(read_path(tmp_path / "a.jsonl", "test"))


def test_missing_field_names_what_is_there() -> None:
    rows = [Row("a.jsonl:1", {"problem": "1?", "answer": 1})]
    with pytest.raises(PonderError, match="has answer, problem") as caught:
        make_problems(rows, FIELDS, "exact", "a")
    assert (caught.value.field, caught.value.value) == ("problems.question_field", "question")
    assert "a.jsonl:1" in caught.value.fix
    with pytest.raises(PonderError, match=r"problems\.answer_field"):
        make_problems(rows, Fields("problem", "gold"), "exact", "a")


def test_unusable_rows_are_dropped_counted_and_listed() -> None:
    rows = [
        Row("f:1", {"question": "1?", "answer": 1}),
        Row("f:2", {"question": "2?", "answer": "x + 1"}),
        Row("f:3", {"question": "3?", "answer": None}),
        Row("f:4", {"question": " ", "answer": 4}),
        Row("f:5", {"question": None, "answer": 5}),
        Row("f:6", {"question": " 1? ", "answer": 6}),
        Row("f:7", {"question": "7?", "answer": float("nan")}),
        Row("f:8", {"question": "8 \ud800?", "answer": 8}),
    ]
    made = make_problems(rows, FIELDS, "exact", "f")
    assert [problem.id for problem in made.problems] == ["f:1"]
    assert [(row.place, row.reason) for row in made.dropped] == [
        ("f:2", "the reference answer is not a number"),
        ("f:3", "no reference answer"),
        ("f:4", "no question"),
        ("f:5", "no question"),
        ("f:6", "repeated question"),
        ("f:7", "no reference answer"),
        ("f:8", "no valid Unicode (half of a pair of surrogates)"),
    ]
    assert made.dropped[0].answer == "x + 1"


def test_no_rows_and_no_usable_rows_are_errors() -> None:
    with pytest.raises(PonderError, match="not a single row"):
        make_problems([], FIELDS, "exact", "f")
    rows = [Row("f:1", {"question": "q", "answer": "Paris"})]
    with pytest.raises(PonderError, match=r"none of its 1 rows.*f:1.*not a number.*'Paris'"):
        make_problems(rows, FIELDS, "exact", "f")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("5", "5"), (5, "5"), (-3, "-3"), (27.0, "27"), (0.5, "0.5"), (1e-07, "0.0000001"),
        (1e22, "10000000000000000000000"), (2.675, "2.675"), (True, ""), (None, ""), ([5], ""),
        (float("inf"), ""),
    ],
)  # fmt: skip
def test_answers_in_json(value: object, text: str) -> None:
    assert answer_text(value) == text
