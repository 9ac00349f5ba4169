"""Named sources: rows of every shape they come in, and the whole of each where it is at hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from ponder.config.rl import NamedProblems, ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.named import NAMED
from ponder.problems.rows import Item, Row
from ponder.problems.split import build_problems
from ponder.problems.tabular import every_row, heldout_split_of, is_benchmark, split_problems
from ponder.types import Problem, Verdict
from ponder.verify.verifiers import verify

DATA = Path(__file__).parents[3] / "shared" / "data"
FILES = {
    "gsm8k": ("gsm8k", 8792),
    "math": ("math_train/train_math.json", 7474),
    "math500": ("math500", 500),
    "aime25": ("aime", 30),
    "amc23": ("amc", 40),
    "svamp": ("other_math/svamp.jsonl", 1000),
    "cmath": ("other_math/cmath.jsonl", 600),
    "aqua": ("choice/aqua.jsonl", 254),
    "mmlu_stem": ("choice/mmlu_stem.jsonl", 3018),
    "knights_knaves": ("knights_knaves", 5000),
    "mbpp": ("mbpp/mbpp.jsonl", 974),
    "humaneval": ("humaneval/HumanEval.jsonl.gz", 164),
}


def read(name: str, **fields: Any) -> Item:
    return NAMED[name].read(Row("a.jsonl:1", fields))


def test_the_config_and_the_table_name_the_same_sources() -> None:
    assert set(get_args(NamedProblems)) == set(NAMED) == set(FILES)


def test_math_rows() -> None:
    row = {"problem": "q?", "solution": r"so \boxed{\frac{1}{2}}.", "answer": r"\frac{1}{2}"}
    assert read("math500", **row) == Item("q?", r"\frac{1}{2}")
    del row["answer"]
    assert read("math", **row) == Item("q?", r"\frac{1}{2}")
    assert read("amc23", question="q?", answer=27.0) == Item("q?", "27")
    assert read("amc23", question="q?", answer="27.0").answer == "27.0"
    assert read("aime25", problem="q?", answer="070").answer == "070"
    assert read("cmath", question="几个？", golden="9") == Item("几个？", "9")
    assert read("cmath", question="几个？", answer="9") == Item("几个？", "9")
    body = {"Body": "There are 4 eggs ", "Question": "How many?"}
    assert read("svamp", **body, Answer=145.0) == Item("There are 4 eggs. How many?", "145")
    assert read("svamp", **body, Answer="145.0").answer == "145.0"


def test_choice_rows_list_their_options() -> None:
    aqua = read("aqua", question="q?", options=["A)5", "B) 6", "C).5", "Dog"], correct="B")
    assert (
        aqua.question
        == "q?\n\nA) 5\nB) 6\nC) .5\nD) Dog\n\nAnswer with the letter of the right option."
    )
    assert (aqua.answer, aqua.metadata) == ("B", {"choices": ["5", "6", ".5", "Dog"]})
    mmlu = read("mmlu_stem", question="q {options}?", choices=["x", "y"], answer=1)
    assert mmlu.question.startswith("q {options}?\n\nA) x\nB) y\n")
    assert mmlu.answer == "B"
    assert read("mmlu_stem", question="q?", choices=["x", "y"], answer="A").answer == "A"
    assert read("mmlu_stem", question="q?", choices=["x"], answer=0).fault == "1 options"


def test_knights_and_knaves_rows() -> None:
    row = {
        "quiz": "Who is who?", "names": ["Al", "Bo"], "solution": [True, False],
        "statements": "(('lying', 1), ('and', ('lying', 0), ('lying', 1)))",
    }  # fmt: skip
    item = read("knights_knaves", **row)
    assert item.question.startswith("Who is who?\n\nAnswer in the form")
    assert item.answer == "(1) Al is a knight\n(2) Bo is a knave"
    assert json.loads(item.metadata["statements"]) == [
        ["lying", 1], ["and", ["lying", 0], ["lying", 1]],
    ]  # fmt: skip
    problem = Problem("p", item.question, item.answer, "knights_knaves", item.metadata)
    said = "<answer>Bo is a knave, Al is a knight</answer>"
    assert verify(problem, said).verdict is Verdict.CORRECT
    assert "cannot be read" in read("knights_knaves", **row | {"statements": "f(1)"}).fault


def test_rows_of_another_data_set_are_refused() -> None:
    for name in ("math500", "svamp", "aqua", "mmlu_stem", "knights_knaves", "mbpp"):
        with pytest.raises(PonderError):
            read(name, prompt="x")
    with pytest.raises(PonderError, match=r"a\.jsonl:1 has no such field.*it has prompt"):
        read("aqua", prompt="x")


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def choice_rows(n: int) -> list[dict[str, Any]]:
    options = ["A)1", "B)2", "C)3"]
    return [{"question": f"{i}?", "options": options, "correct": "ABCD"[i % 4]} for i in range(n)]


def test_a_reference_that_is_no_option_is_dropped(tmp_path: Path) -> None:
    made = build_problems(
        ProblemsConfig(name="aqua", path=write(tmp_path / "a.jsonl", choice_rows(40))), 0
    )
    assert len(made.train) + len(made.heldout) == 30
    assert {row.reason for row in made.dropped} == {
        "the reference answer is not one of the options"
    }
    assert {made.train[i].metadata["source"] for i in range(5)} == {"aqua"}
    every = every_row(ProblemsConfig(name="aqua", path=tmp_path / "a.jsonl"))
    assert (len(every.problems), every.dropped) == (40, [])


def test_benchmarks_are_read_whole(tmp_path: Path) -> None:
    rows = [{"question": f"{i}?", "choices": ["x", "y"], "answer": 1} for i in range(20)]
    write(tmp_path / "test.jsonl", rows[:10])
    write(tmp_path / "more.jsonl", rows[10:])
    config = ProblemsConfig(name="mmlu_stem", path=tmp_path)
    assert is_benchmark(config)
    assert heldout_split_of(config) is None
    assert len(split_problems(config)) == 20
    only_test = ProblemsConfig(name="mmlu_stem", path=tmp_path, split="test")
    assert len(split_problems(only_test)) == 10
    assert not is_benchmark(ProblemsConfig(name="gsm8k"))
    assert heldout_split_of(ProblemsConfig(name="gsm8k")) == "test"


def test_splits_on_the_hub() -> None:
    assert NAMED["math500"].on_the_hub("train") == (None, "test")
    assert NAMED["gsm8k"].on_the_hub("test") == ("main", "test")
    assert NAMED["mbpp"].on_the_hub("validation") == ("full", "validation")
    assert NAMED["knights_knaves"].on_the_hub("test") == ("test", "3ppl+4ppl+5ppl+6ppl+7ppl")
    for source in NAMED.values():
        assert source.heldout_split is None or source.heldout_split in source.splits


def test_metadata_fields_reach_the_verifier(tmp_path: Path) -> None:
    rows = [{"question": f"{i}?", "answer": "b", "options": ["a", "b"]} for i in range(30)]
    config = ProblemsConfig(
        path=write(tmp_path / "a.jsonl", rows),
        verifier="choice",
        metadata_fields={"choices": "options"},
    )
    problem = build_problems(config, 0).train[0]
    assert problem.metadata["choices"] == ["a", "b"]
    assert verify(problem, "<answer>(B)</answer>").verdict is Verdict.CORRECT
    missing = config.model_copy(update={"metadata_fields": {"choices": "choices"}})
    with pytest.raises(PonderError, match=r"problems\.metadata_fields\.choices.*no such field"):
        build_problems(missing, 0)


@pytest.mark.parametrize("name", FILES)
def test_every_row_is_read(name: str) -> None:
    path, count = FILES[name]
    if not (DATA / path).exists():
        pytest.skip(f"{DATA / path} is not on this machine")
    rows = every_row(ProblemsConfig(name=name, path=DATA / path, verifier="exact"))  # type: ignore[arg-type]
    assert (len(rows.problems), rows.dropped) == (count, [])
    assert all(problem.question.strip() for problem in rows.problems)
    num_without_answer = sum(not problem.answer for problem in rows.problems)
    assert num_without_answer == (4 if name == "math" else 0)  # MATH train's own
    assert json.loads(json.dumps(rows.problems[0].metadata)) == rows.problems[0].metadata


@pytest.mark.parametrize("name", ["aqua", "mmlu_stem"])
def test_every_reference_verifies(name: str) -> None:
    path, _ = FILES[name]
    if not (DATA / path).exists():
        pytest.skip(f"{DATA / path} is not on this machine")
    made = build_problems(ProblemsConfig(name=name, path=DATA / path), 0)  # type: ignore[arg-type]
    assert {row.reason for row in made.dropped} <= {"repeated question"}


def test_the_table_is_light() -> None:
    script = "import sys, ponder.problems.named\nassert not {'torch', 'sympy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
