"""reasoning-gym's scorers behind our guards."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ponder.types import Problem, Verdict
from ponder.verify.gym import is_cheap
from ponder.verify.gym_entries import GymEntryError, canonical_settings, gym_entry
from ponder.verify.verifiers import verify


def problem(task: str, index: int = 0, **settings: Any) -> Problem:
    text = canonical_settings(settings)
    entry = gym_entry(task, text, 3, index)
    where = {"task": task, "settings": text, "seed": 3, "index": index}
    return Problem(f"{task}-{index}", entry["question"], entry["answer"], "gym", where)


def verdict(which: Problem, answer: str) -> Verdict:
    return verify(which, f"<think> t </think> <answer> {answer} </answer>").verdict


@pytest.mark.parametrize(
    "task", ["chain_sum", "gcd", "countdown", "word_sorting", "maze", "n_queens"]
)
def test_reference_scores_and_nonsense_does_not(task: str) -> None:
    for index in range(3):
        which = problem(task, index)
        assert verdict(which, which.answer) is Verdict.CORRECT
        assert verdict(which, "xyzzy plugh") is Verdict.INCORRECT
        assert verdict(which, "") is Verdict.UNPARSABLE
        assert verify(which, "").verdict is Verdict.UNPARSABLE


def test_only_a_full_score_is_correct() -> None:
    """chain_sum gives partial credit to text that contains the answer."""
    which = problem("chain_sum")
    assert verdict(which, f"{which.answer}.0") is Verdict.CORRECT
    assert verdict(which, f"{which.answer} or so") is Verdict.INCORRECT
    assert verify(which, f"\\boxed{{{which.answer}}}").verdict is Verdict.CORRECT


def test_countdown_is_checked_exactly() -> None:
    which = problem("countdown", 0, min_numbers=4, max_numbers=4)
    target = gym_entry("countdown", which.metadata["settings"], 3, 0)["metadata"]["target"]
    assert verdict(which, which.answer) is Verdict.CORRECT
    assert verdict(which, f"({which.answer})") is Verdict.CORRECT
    assert verdict(which, str(target)) is Verdict.INCORRECT
    assert verdict(which, f"{which.answer} + 0") is Verdict.INCORRECT
    assert verdict(which, f"{which.answer} = {target}") is Verdict.INCORRECT


def test_puzzle24_must_use_the_given_numbers() -> None:
    """The task's own scorer accepts any four numbers in range that make 24."""
    which = problem("puzzle24", 1)
    entry = gym_entry("puzzle24", "{}", 3, 1)
    assert verdict(which, which.answer) is Verdict.CORRECT
    assert sorted(entry["metadata"]["numbers"]) != [1, 4, 6, 1]
    assert verdict(which, "4 * 6 * 1 * 1") is Verdict.INCORRECT


def test_prime_factors_in_any_order_and_nothing_else() -> None:
    """The task's own scorer raises on text that is no list of numbers."""
    which = problem("prime_factorization", 0)
    factors = which.answer.split(" × ")
    assert verdict(which, " * ".join(reversed(factors))) is Verdict.CORRECT
    assert verdict(which, " × ".join([*factors, "1"])) is Verdict.INCORRECT
    assert verdict(which, "xyzzy") is Verdict.INCORRECT


HOSTILE = [
    "__import__('os').system('touch {file}')",
    "[__import__('os').system('touch {file}')]",
    "open('{file}', 'w')",
    "exec(\"open('{file}','w')\")",
]


@pytest.mark.parametrize(
    "task",
    ["countdown", "puzzle24", "n_queens", "spiral_matrix", "string_insertion", "binary_matrix"],
)
def test_model_text_is_never_run(task: str, tmp_path: Any) -> None:
    """These tasks' own scorers eval() the answer."""
    file = tmp_path / "touched"
    for text in HOSTILE:
        assert verdict(problem(task), text.format(file=file)) is Verdict.INCORRECT
    assert not file.exists()


@pytest.mark.parametrize("text", ["1e999999999", "9**9**9", "-1E+99999999", "9" * 20_000])
@pytest.mark.parametrize("task", ["chain_sum", "countdown", "coin_flip", "decimal_arithmetic"])
def test_huge_numbers_cost_nothing(task: str, text: str) -> None:
    which = problem(task)
    start = time.perf_counter()
    assert verdict(which, text) is Verdict.INCORRECT
    assert time.perf_counter() - start < 0.5


def test_a_scorer_that_raises_is_our_error() -> None:
    """boxnet's scorer expects a JSON object and trips over a number."""
    which = replace(problem("boxnet"), answer="")
    judgement = verify(which, "<answer> 5 </answer>")
    assert judgement.verdict is Verdict.ERROR
    assert "raised" in judgement.reason


def test_an_entry_that_cannot_be_rebuilt_is_our_error() -> None:
    which = problem("chain_sum")
    other = Problem(which.id, "What is 1 + 1?", "2", "gym", which.metadata)
    judgement = verify(other, "<answer> 2 </answer>")
    assert (judgement.verdict, judgement.reason) == (
        Verdict.ERROR,
        "the rebuilt entry is another problem",
    )
    nowhere = Problem(which.id, which.question, which.answer, "gym", {})
    assert verify(nowhere, "<answer> 2 </answer>").verdict is Verdict.ERROR


def test_entries_do_not_touch_global_randomness_nor_depend_on_it() -> None:
    for task in ("pool_matrix", "list_functions", "chain_sum"):
        gym_entry.cache_clear()
        random.seed(1)
        np.random.seed(1)
        first = [gym_entry(task, "{}", 5, index) for index in range(30)]
        after = (random.random(), np.random.rand())
        gym_entry.cache_clear()
        random.seed(2)
        np.random.seed(2)
        again = [gym_entry(task, "{}", 5, index) for index in range(30)]
        assert [e["question"] for e in first] == [e["question"] for e in again], task
        random.seed(1)
        np.random.seed(1)
        assert after == (random.random(), np.random.rand()), task


def test_a_task_that_prints_is_silenced(capsys: pytest.CaptureFixture[str]) -> None:
    gym_entry.cache_clear()
    gym_entry("bf", "{}", 0, 0)
    assert capsys.readouterr().out == ""


def test_scoring_works_in_another_process_from_json_and_without_torch() -> None:
    which = problem("word_sorting", 4)
    script = (
        "import json, sys\n"
        "from ponder.types import Problem\n"
        "from ponder.verify.verifiers import verify\n"
        "fields, texts = json.load(sys.stdin)\n"
        "print(*(verify(Problem(**fields), text).verdict for text in texts))\n"
        "assert 'torch' not in sys.modules\n"
    )
    fields = {
        "id": which.id,
        "question": which.question,
        "answer": which.answer,
        "verifier": "gym",
        "metadata": dict(which.metadata),
    }
    texts = [f"<answer> {answer} </answer>" for answer in (which.answer, "x")]
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps([fields, texts]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["correct", "incorrect"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_index_that_a_task_cannot_make_is_told() -> None:
    with pytest.raises(GymEntryError, match=r"(Value|Type)Error"):
        gym_entry("chain_sum", '{"max_terms": 6.5}', 0, 0)


def test_metadata_of_another_kind_is_an_error() -> None:
    for task in ([], {}, 5, None):
        metadata = {"task": task, "settings": {}, "seed": "x", "index": -1}
        found = Problem("p", "q", "5", "gym", metadata)
        assert not is_cheap(found)
        assert verdict(found, "5") is Verdict.ERROR
