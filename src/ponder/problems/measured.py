"""Which problems of a source a model is measured on: those that no run trains on, or every one."""

from __future__ import annotations

from ponder.config.rl import ProblemsConfig
from ponder.problems.split import build_problems
from ponder.problems.tabular import heldout_split_of, is_benchmark, split_problems
from ponder.types import Problem


def measured_problems(
    config: ProblemsConfig, at_most: int, all_rows: bool
) -> tuple[list[Problem], bool]:
    """The first problems, ``at_most`` so many, and whether they are held-out ones.

    Benchmarks are measured whole. Of a file or hub data without a held-out split that is the tenth
    by fingerprint, or with ``all_rows`` every row; of all else it is what the source holds out.
    There may be none.

    Raises:
        PonderError: the source cannot be read.
    """
    is_unsplit = config.path is not None or config.hub is not None
    if is_benchmark(config) or (all_rows and is_unsplit and heldout_split_of(config) is None):
        return split_problems(config)[:at_most], False
    return heldout_problems(config, at_most), True


def heldout_problems(config: ProblemsConfig, at_most: int) -> list[Problem]:
    """The first problems that no run on this source trains on, also of a benchmark.

    Raises:
        PonderError: the source cannot be read.
    """
    heldout = build_problems(config, seed=0).heldout
    return [heldout[i] for i in range(min(at_most, len(heldout)))]
