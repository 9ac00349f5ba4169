"""The stage table from made-up results: every figure where it belongs, and nothing run."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from ponder.errors import PonderError
from ponder.pipeline.stages.measures import measures_of
from ponder.pipeline.table import Cell, Column, StageTable, read_tables, to_html, to_rich
from ponder.runlog import read_json, write_json_atomic
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Verdict

STAGES = ("Zero", "Dev1", "Dev2", "Dev3", "R1")


def cell(value: float, stderr: float | None = 0.01) -> dict[str, float | None]:
    return {"value": value, "stderr": stderr}


def write(path: Path, label: str, accuracy: float, benchmarks: tuple[str, ...]) -> Path:
    rows = {
        name: {
            "measures": {
                "accuracy": cell(accuracy),
                "tokens": cell(1234.4, 5.4),
                "readability": cell(0.5, None),
                "language_consistency": cell(0.987),
            }
        }
        for name in benchmarks
    }
    write_json_atomic(path, {"label": label, "tables": ["Stages"], "benchmarks": rows})
    return path


def read_table_of(paths: list[Path]) -> StageTable:
    return read_tables(paths)["Stages"]


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    both = ("gsm8k", "<b>math")
    return [
        write(tmp_path / f"{number}.json", label, 0.1 * (number + 1), both[: 1 + (number > 0)])
        for number, label in enumerate(STAGES)
    ]


def text_of(paths: list[Path], width: int = 200) -> list[str]:
    out = Console(file=io.StringIO(), width=width)
    for part in to_rich(read_table_of(paths), width):
        out.print(part)
    assert isinstance(out.file, io.StringIO)
    assert all(len(line) <= width for line in out.file.getvalue().splitlines())
    return [" ".join(line.split()) for line in out.file.getvalue().splitlines()]


def test_what_does_not_fit_beside_stands_below(paths: list[Path]) -> None:
    wide = text_of(paths)
    parts = text_of(paths, 44)
    assert len(parts) == 3 * len(wide)
    assert [parts[n] for n in (0, len(wide), 2 * len(wide))] == ["Zero Dev1", "Dev2 Dev3", "R1"]
    figures = [parts[n * len(wide) + 2].removeprefix("gsm8k ") for n in range(3)]
    assert wide[2] == "gsm8k " + " ".join(figures)
    assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(parts), "nothing is cut off"
    assert text_of(paths, 31)[0] == "Zero", "a column at a time"


def test_columns_without_a_figure() -> None:
    (part,) = to_rich(StageTable([Column("a - b", {})]), 80)
    assert part.row_count == 0


def test_rows_are_benchmarks_and_columns_stages(paths: list[Path]) -> None:
    assert text_of(paths) == [
        "Zero Dev1 Dev2 Dev3 R1",
        "correct, %",
        "gsm8k 10.0 ± 1.0 20.0 ± 1.0 30.0 ± 1.0 40.0 ± 1.0 50.0 ± 1.0",
        "<b>math - 20.0 ± 1.0 30.0 ± 1.0 40.0 ± 1.0 50.0 ± 1.0",
        "tokens",
        "gsm8k 1,234 ± 5 1,234 ± 5 1,234 ± 5 1,234 ± 5 1,234 ± 5",
        "<b>math - 1,234 ± 5 1,234 ± 5 1,234 ± 5 1,234 ± 5",
        "readable, %",
        "gsm8k 50.0 50.0 50.0 50.0 50.0",
        "<b>math - 50.0 50.0 50.0 50.0",
        "in one language, %",
        "gsm8k 98.7 ± 1.0 98.7 ± 1.0 98.7 ± 1.0 98.7 ± 1.0 98.7 ± 1.0",
        "<b>math - 98.7 ± 1.0 98.7 ± 1.0 98.7 ± 1.0 98.7 ± 1.0",
    ]


def test_the_fragment_for_the_report(paths: list[Path]) -> None:
    page = to_html(read_table_of(paths))
    assert "<b>math" not in page, "a name is no markup"
    assert "<tr><th>&lt;b&gt;math</th><td>-<span" in page
    assert "<td class=best>50.0<span" in page
    assert page.count("class=best") == 2, "of accuracy alone: all other figures are equal"
    assert page.count("<th>") == 1 + len(STAGES) + 2 * 4


@pytest.mark.parametrize(
    ("values", "marked"),
    [
        ([0.5, 0.99999, 1.0], [1, 2]),  # both are shown as 100.0
        ([0.99998, 0.99999, 1.0], []),
        ([0.998, 0.5, 0.999], [2]),
        ([None, 0.5, None], []),
        ([None, 0.5, 0.4], [1]),
    ],
)
def test_what_looks_equal_is_marked_alike(values: list[float | None], marked: list[int]) -> None:
    columns = [
        Column(str(n), {} if value is None else {("accuracy", "a"): Cell(value, None)})
        for n, value in enumerate(values)
    ]
    (row,) = (row for row in StageTable(columns).rows() if row.cells)
    assert list(row.best) == marked


def test_equal_labels_are_numbered(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.json", "R1", 0.5, ("a",)) for n in range(2)]
    assert text_of(paths)[0] == "R1 R1 (2)"


@pytest.mark.parametrize("text", ["[]", "{}", '{"label": "a", "benchmarks": {"x": {}}}', "{"])
def test_what_is_no_table_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "table.json").write_text(text)
    with pytest.raises(PonderError, match=r"table\.json"):
        read_tables([tmp_path / "table.json"])


def test_a_column_stands_in_the_tables_it_names(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.json", name, 0.5, ("a",)) for name in STAGES]
    table = read_json(paths[2]) | {"tables": ["Language", "Stages"]}
    write_json_atomic(paths[2], table)
    tables = read_tables(paths)
    assert list(tables) == ["Stages", "Language"]
    assert [column.label for column in tables["Language"].columns] == ["Dev2"]


MakeRollout = Callable[..., Rollout]


def rollout(
    verdict: Verdict,
    tokens: int,
    finish: str = "stop",
    text: str = "It is 2.",
    language: float = 1.0,
) -> Rollout:
    ids = list(range(tokens))
    completion = Completion("p", 0, ids, text, [-1.0] * tokens, finish)  # type: ignore[arg-type]
    parts = {"language": language}
    return Rollout(completion, Judgement(verdict), parts, 1.0)


def group(*rollouts: Rollout) -> Group:
    return Group(Problem("p", "q", "1"), Prompt("p", "q", (1,)), list(rollouts))


def test_measures_by_hand() -> None:
    yes, no, error = Verdict.CORRECT, Verdict.INCORRECT, Verdict.ERROR
    groups = [
        group(rollout(yes, 10), rollout(no, 20, finish="length")),
        group(rollout(yes, 40, text="It 就是二。", language=0.9), rollout(error, 1000)),
        group(rollout(error, 1000)),
    ]
    found = measures_of(groups)
    assert found["accuracy"] == {"value": 0.75, "stderr": 0.25, "num_problems": 2}
    assert found["tokens"] == {"value": 27.5, "stderr": 12.5, "num_problems": 2}
    assert found["readability"]["value"] == 0.25, "cut off; two languages"
    assert found["language_consistency"]["value"] == pytest.approx(0.95)
    assert measures_of(groups[:1])["accuracy"]["stderr"] is None, "one problem has no error"


def test_a_loop_is_not_readable() -> None:
    loop = rollout(Verdict.CORRECT, 10, text="so it is. " * 40)
    assert measures_of([group(loop)])["readability"]["value"] == 0.0


def test_a_difference_that_rounds_to_nothing_has_no_sign() -> None:
    cells = {("accuracy", "sums"): Cell(-0.0001, 0.001), ("tokens", "sums"): Cell(-1234.0, None)}
    rows = [row for row in StageTable([Column("a - b", cells)]).rows() if row.cells]
    assert [row.cells[0] for row in rows] == [("0.0", " ± 0.1"), ("-1,234", "")]
