"""A data set's worked solutions as rows to fine-tune on: the solution is the thought."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from itertools import islice
from random import Random

from ponder.config.solutions import SolutionsConfig
from ponder.curate.row import Row
from ponder.errors import PonderError
from ponder.problems.calculations import calculations
from ponder.problems.solved import Solved, solved_problems
from ponder.problems.variations import Variation, variations
from ponder.problems.worked import without_marks
from ponder.sandbox.sandbox import usable_cpus
from ponder.seeds import derive_seed
from ponder.types import Problem, Verdict
from ponder.verify.pool import Answer, Failed, WorkerPool
from ponder.verify.verifiers import verify

MakePrompt = Callable[[Problem], str]
Task = tuple[str, str, str, int]
"""A worked problem: question, marked solution, answer, and the seed of its variations."""

_BLOCK = 25
_AHEAD = 3
"""Blocks given out ahead, per worker."""
_DEADLINE_SECONDS = 600.0


def solution_rows(config: SolutionsConfig, make_prompt: MakePrompt) -> Iterator[Row]:
    """Of each training problem its own solution, then its variations, in the source's order; then
    rows of plain calculations.

    The variations are made by one process per core, few problems ahead of what is read. A row
    whose completion would not be judged correct is left out.

    Raises:
        PonderError: the source cannot be read or has no worked solutions.
    """
    for solved, others in _varied(solved_problems(config.problems), config):
        own = Variation(solved.problem.question, solved.solution, solved.answer)
        for number, variation in enumerate([own, *others]):
            row = _row(solved.problem, variation, number, make_prompt)
            if row is not None:
                yield row
    for number in range(config.calculations):
        yield _calculations_row(number, config.seed, make_prompt)


def completion_of(solution: str, answer: str) -> str:
    """R1-Zero's format: the solution without its calculator marks, and the answer."""
    return f"<think>\n{without_marks(solution)}\n</think>\n<answer>{answer}</answer>"


def vary_all(tasks: list[Task], count: int) -> list[list[Variation]]:
    """The variations of each: what a worker does."""
    return [variations(*task[:3], count, Random(task[3])) for task in tasks]


def _varied(
    problems: Iterator[Solved], config: SolutionsConfig
) -> Iterator[tuple[Solved, list[Variation]]]:
    """Each problem with its variations, in order, whatever the number of processes."""
    blocks = iter(lambda: list(islice(problems, _BLOCK)), [])
    workers = usable_cpus()
    if not config.variations or workers == 1:
        for block in blocks:
            yield from zip(
                block, vary_all(_tasks(block, config.seed), config.variations), strict=True
            )
        return
    with WorkerPool(workers, _DEADLINE_SECONDS) as pool:
        waiting: deque[tuple[list[Solved], Future[Answer]]] = deque()
        for block in blocks:
            given = (_tasks(block, config.seed), config.variations)
            waiting.append((block, pool.submit("ponder.curate.solutions:vary_all", *given)))
            if len(waiting) > _AHEAD * workers:
                yield from _answered(*waiting.popleft())
        while waiting:
            yield from _answered(*waiting.popleft())


def _tasks(block: Iterable[Solved], seed: int) -> list[Task]:
    return [
        (s.problem.question, s.solution, s.answer, derive_seed(seed, "variations", s.problem.id))
        for s in block
    ]


def _answered(
    block: list[Solved], future: Future[Answer]
) -> Iterator[tuple[Solved, list[Variation]]]:
    answer = future.result()
    if isinstance(answer, Failed):
        fix = f"a worker failed on the problems from here ({answer.detail}); try again"
        raise PonderError("variations", block[0].problem.id, fix)
    return zip(block, answer.value, strict=True)


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


def _calculations_row(number: int, seed: int, make_prompt: MakePrompt) -> Row:
    name = f"calculations/{number}"
    made = calculations(Random(derive_seed(seed, "calculations", number)))
    return Row(
        id=name,
        prompt=make_prompt(Problem(name, made.question, made.answer, "exact")),
        completion=completion_of(made.solution, made.answer),
        domain="math",
        source="calculations",
        metadata={"question": made.question, "answer": made.answer, "problem_id": name},
    )
