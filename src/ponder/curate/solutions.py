"""A data set's worked solutions as rows to fine-tune on: the solution is the thought."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from ponder.config.solutions import SolutionsConfig
from ponder.curate.row import Row
from ponder.problems.solved import Solved, solved_problems
from ponder.problems.variations import Variation, variations
from ponder.problems.worked import without_marks
from ponder.seeds import derive_seed
from ponder.types import Problem, Verdict
from ponder.verify.verifiers import verify

MakePrompt = Callable[[Problem], str]


def solution_rows(config: SolutionsConfig, make_prompt: MakePrompt) -> Iterator[Row]:
    """Of each training problem its own solution, then its variations, in the source's order.

    A row whose completion would not be judged correct is left out.

    Raises:
        PonderError: the source cannot be read or has no worked solutions.
    """
    for solved in solved_problems(config.problems):
        yield from _rows(solved, config, make_prompt)


def completion_of(solution: str, answer: str) -> str:
    """R1-Zero's format: the solution without its calculator marks, and the answer."""
    return f"<think>\n{without_marks(solution)}\n</think>\n<answer>{answer}</answer>"


def _rows(solved: Solved, config: SolutionsConfig, make_prompt: MakePrompt) -> Iterator[Row]:
    problem = solved.problem
    own = Variation(problem.question, solved.solution, problem.answer.replace(",", ""))
    rng = Random(derive_seed(config.seed, "variations", problem.id))
    others = variations(own.question, own.solution, own.answer, config.variations, rng)
    for number, variation in enumerate([own, *others]):
        row = _row(problem, variation, number, make_prompt)
        if row is not None:
            yield row


def _row(
    problem: Problem, variation: Variation, number: int, make_prompt: MakePrompt
) -> Row | None:
    name = str(problem.metadata["source"])
    asked = Problem(
        problem.id, variation.question, variation.answer, problem.verifier, problem.metadata
    )
    completion = completion_of(variation.solution, variation.answer)
    if verify(asked, completion).verdict is not Verdict.CORRECT:
        return None
    return Row(
        id=f"{problem.id}/{number}",
        prompt=make_prompt(asked),
        completion=completion,
        domain="math",
        source=f"{name} ({'variation' if number else 'solution'})",
        metadata={
            "question": variation.question,
            "answer": variation.answer,
            "problem_id": problem.id,
        },
    )
