"""The problems that the pipeline's evaluation measures on: an eval stage samples them, and rows
that share words with them are dropped."""

from __future__ import annotations

from ponder.config.benchmarks import BenchmarksConfig
from ponder.errors import PonderError
from ponder.types import Problem


def benchmark_problems(name: str, config: BenchmarksConfig) -> list[Problem]:
    """The first problems of a benchmark, none of which a run trains on (see ``held_out``).

    Raises:
        PonderError: it has none, or its source cannot be read.
    """
    from ponder.problems.measured import measured_problems

    source, all_rows = config.benchmarks[name], not config.held_out
    try:
        found, _ = measured_problems(source, config.num_problems, all_rows)
    except PonderError as error:
        field = f"benchmarks.{name}.{error.field.removeprefix('problems.')}"
        raise PonderError(field, error.value, error.fix) from error
    if not found:
        fix = "it has no held-out problems; of a file of test problems set held_out = false"
        raise PonderError(f"benchmarks.{name}", config.held_out, fix)
    return found
