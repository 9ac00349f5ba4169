"""Problem sets of files, hub datasets and named sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.files import read_path
from ponder.problems.fingerprint import fingerprint, is_heldout, is_in_share
from ponder.problems.hub import is_saved_dataset, read_hub, read_saved
from ponder.problems.named import NAMED
from ponder.problems.problem_set import ProblemSet
from ponder.problems.rows import Fields, Reader, Row, Rows, every_problem, make_problems
from ponder.problems.sources import ListSource
from ponder.types import PREFERENCES, Problem
from ponder.verify.verifiers import verifier_named


def tabular_problems(config: ProblemsConfig) -> ProblemSet:
    """Problems of ``config.path``, ``config.hub`` or ``config.name``.

    With a held-out split, its questions leave the training rows; without one the fingerprint
    decides the side. Held-out problems come in the order of their fingerprints, so that the first
    n are a fair sample.
    """
    heldout_split = heldout_split_of(config)
    train = _problems(config, config.split, "problems.split")
    if heldout_split is None:
        kept = [problem for problem in train.problems if not is_heldout(problem.question)]
        out = [problem for problem in train.problems if is_heldout(problem.question)]
        return _problem_set(config, kept, Rows(out, train.dropped), 0)
    heldout = _problems(config, heldout_split, "problems.heldout_split")
    questions = {fingerprint(problem.question) for problem in heldout.problems}
    kept = [problem for problem in train.problems if fingerprint(problem.question) not in questions]
    both = Rows(heldout.problems, train.dropped + heldout.dropped)
    return _problem_set(config, kept, both, len(train.problems) - len(kept))


def split_problems(config: ProblemsConfig) -> list[Problem]:
    """Every usable problem of ``config.split``, held out or not, in the order of fingerprints.

    This is for measuring a model that was not trained on them.
    """
    rows = _problems(config, config.split, "problems.split")
    return sorted(rows.problems, key=lambda problem: fingerprint(problem.question))


def raw_rows(config: ProblemsConfig) -> Iterable[Row]:
    """The rows of ``config.split`` with all their fields; a problem's id is its row's place."""
    return _rows(config, config.split, "problems.split")


def every_row(config: ProblemsConfig) -> Rows:
    """Every row of the source, of both splits where there are two, with nothing verified."""
    made = Rows([], [])
    splits = [(config.split, "problems.split")]
    if (heldout_split := heldout_split_of(config)) is not None:
        splits.append((heldout_split, "problems.heldout_split"))
    for split, field in splits:
        verifier, read = _verifier(config), _reader(config)
        part = every_problem(_rows(config, split, field), read, verifier, _name(config))
        made.problems.extend(part.problems)
        made.dropped.extend(part.dropped)
    return made


def is_benchmark(config: ProblemsConfig) -> bool:
    """Whether this is a named source without training problems of its own, to be measured whole."""
    return config.name is not None and NAMED[config.name].is_benchmark


def heldout_split_of(config: ProblemsConfig) -> str | None:
    """The split of the held-out problems; None: the fingerprint decides."""
    split = config.heldout_split
    is_file = config.path is not None and config.path.is_file()
    if split is None and config.name is not None and not is_file:
        split = NAMED[config.name].heldout_split
    if split == config.split:
        raise PonderError("problems.heldout_split", split, "must differ from problems.split")
    return split


def _problem_set(
    config: ProblemsConfig, train: list[Problem], heldout: Rows, num_overlapping: int
) -> ProblemSet:
    name = _name(config)
    if config.share != (0.0, 1.0):
        train = [problem for problem in train if is_in_share(problem.question, config.share)]
    if not train:
        fix = f"no training problems are left ({num_overlapping} are held out too)"
        raise PonderError("problems", name, fix)
    ordered = sorted(heldout.problems, key=lambda problem: fingerprint(problem.question))
    return ProblemSet(
        train=ListSource(name, train),
        heldout=ListSource(f"{name} (held out)", ordered),
        dropped=heldout.dropped,
        num_overlapping=num_overlapping,
    )


def _problems(config: ProblemsConfig, split: str, field: str) -> Rows:
    verifier, read = _verifier(config), _reader(config)
    return make_problems(_rows(config, split, field), read, verifier, _name(config))


def _verifier(config: ProblemsConfig) -> str:
    own = NAMED[config.name].verifier if config.name is not None else "exact"
    verifier = config.verifier or own
    verifier_named(verifier)
    if verifier == "gym":
        raise PonderError("problems.verifier", verifier, 'only for reasoning-gym; use "exact"')
    return verifier


def _reader(config: ProblemsConfig) -> Reader:
    if config.name is not None:
        return NAMED[config.name].read
    answer = None if config.verifier in PREFERENCES else config.answer_field
    return Fields(config.question_field, answer, metadata=config.metadata_fields)


def _rows(config: ProblemsConfig, split: str, field: str) -> Iterable[Row]:
    if config.path is not None:
        is_whole = is_benchmark(config) and split == "train"
        return _local_rows(config.path, None if is_whole else split, field)
    if config.name is not None:
        source = NAMED[config.name]
        hub_config, hub_split = source.on_the_hub(split)
        return read_hub(source.hub, config.hub_config or hub_config, hub_split, field)
    return read_hub(config.hub or "", config.hub_config, split, field)


def _local_rows(path: Path, split: str | None, field: str) -> Iterator[Row]:
    if is_saved_dataset(path):
        return read_saved(path, split, field)
    return read_path(path, split, field)


def _name(config: ProblemsConfig) -> str:
    return config.name or config.hub or str(config.path)
