"""The review file: nothing goes on unmarked, edits are taken over, damage is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ponder.curate.review import ReviewSummary, apply_review, review_status, write_review
from ponder.curate.rows import Row, RowWriter, read_rows
from ponder.errors import PonderError

ODD = (
    "<think>\n-----[ completion ]-----\n\\=====[ end ]=====\nkeep: no \n\u2028x\r\n</think>\n\n7\n"
)
ROWS = [
    Row("p/1", "User: 3 + 4?", "<think> seven </think> 7", "math", "s", {"question": "3 + 4?"}),
    Row("p/2", "Tell me.\n=====[ row 9 of 9: x ]=====", ODD, metadata={"k": 1}),
    Row("p 3", "问题？", "", "math"),
]


@pytest.fixture
def candidates(tmp_path: Path) -> Path:
    with RowWriter(tmp_path / "c.jsonl") as writer:
        for row in ROWS:
            writer.write(row)
    return tmp_path / "c.jsonl"


@pytest.fixture
def review(candidates: Path) -> Path:
    path = candidates.with_name("review.md")
    write_review(candidates, path)
    return path


def mark(review: Path, *answers: str) -> None:
    found = iter(answers)
    text = re.sub(r"(?m)^keep: \?$", lambda _: f"keep: {next(found)}", review.read_bytes().decode())
    review.write_text(text, newline="")


def test_nothing_goes_on_unmarked(candidates: Path, review: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(PonderError, match=r"'p/1': .*review\.md:\d+: 3 of 3 rows are not marked"):
        apply_review(review, candidates, out)
    mark(review, "yes", "?", "NO")
    assert review_status(review) == ReviewSummary(1, 1, 1)
    with pytest.raises(PonderError, match=r"'p/2': .*1 of 3 rows are not marked"):
        apply_review(review, candidates, out)
    assert not out.exists()
    assert apply_review(review, candidates, out, yes=True) == ReviewSummary(2, 1, 1, 0)
    assert list(read_rows(out)) == ROWS[:2]


def test_unedited_rows_come_back_as_they_were(
    candidates: Path, review: Path, tmp_path: Path
) -> None:
    mark(review, "y", "Yes ", "yes")
    assert apply_review(review, candidates, tmp_path / "out.jsonl").num_edited == 0
    assert list(read_rows(tmp_path / "out.jsonl")) == ROWS
    windows = review.read_bytes().decode().replace("\r\n", "\n").replace("\n", "\r\n")
    review.write_text("\ufeff" + windows, newline="")
    assert apply_review(review, candidates, tmp_path / "out.jsonl").num_kept == 3


def test_edits_are_taken_over(candidates: Path, review: Path, tmp_path: Path) -> None:
    mark(review, "yes", "yes", "no")
    text = (
        review.read_bytes()
        .decode()
        .replace("<think> seven </think> 7", "<think>\nSo 7.\n</think> 7")
    )
    review.write_text(text.replace("</think>\n\n7\n", "</think>\n\neight\n"), newline="")
    assert apply_review(review, candidates, tmp_path / "out.jsonl").num_edited == 2
    first, second = read_rows(tmp_path / "out.jsonl")
    assert first.completion == "<think>\nSo 7.\n</think> 7"
    assert first.metadata == {"question": "3 + 4?", "edited": True}
    assert second.completion.startswith("<think>\n-----[ completion ]-----\n\\=====[ end ]=====\n")
    assert second.completion.endswith("</think>\n\neight\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("keep: ?\n", "keep: maybe\n", r"review\.md:7: row p/1 has 'keep: maybe'"),
        ("keep: ?\n", "", "no line keep:"),
        ("-----[ question ]-----\n", "", r"'p/1': .*lost one of its lines"),
        ("row 1 of 3: p/1", "row 1 of 3: p/7", r"'p/1': the block of this row is missing.*p/7"),
        ("3 + 4?", "3 + 5?", r"'p/1': .*question was changed"),
        ("<think> seven </think> 7", " ", r"'p/1'.*:7: there is no completion left"),
    ],
)
def test_damage_is_named(candidates: Path, review: Path, old: str, new: str, message: str) -> None:
    review.write_text(review.read_bytes().decode().replace(old, new, 1), newline="")
    with pytest.raises(PonderError, match=message):
        apply_review(review, candidates, candidates.with_name("out.jsonl"), yes=True)


def test_a_review_is_never_overwritten(candidates: Path, review: Path) -> None:
    mark(review, "yes", "no", "no")
    before = review.read_bytes()
    write_review(candidates, review)
    assert review.read_bytes() == before
    with RowWriter(candidates) as writer:
        writer.write(ROWS[0])
    for attempt in (
        lambda: write_review(candidates, review),
        lambda: apply_review(review, candidates, candidates.with_name("out.jsonl")),
    ):
        with pytest.raises(PonderError, match="marks were left untouched"):
            attempt()
    assert review.read_bytes() == before
