"""Problem sets of files, hub datasets and named sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.files import read_path
from ponder.problems.fingerprint import fingerprint, is_heldout
from ponder.problems.hub import is_saved_dataset, read_hub, read_saved
from ponder.problems.problem_set import ProblemSet
from ponder.problems.rows import Fields, Row, Rows, make_problems
from ponder.problems.sources import ListSource
from ponder.types import Problem
from ponder.verify.verifiers import verifier_named

GSM8K_HUB, GSM8K_CONFIG = "openai/gsm8k", "main"
GSM8K_FIELDS = Fields("question", "answer", answer_after="####")
"""GSM8K's answer field holds the worked solution; the answer follows "####" (2110.14168)."""


def tabular_problems(config: ProblemsConfig) -> ProblemSet:
    """Problems of ``config.path``, ``config.hub`` or ``config.name``.

    With a held-out split, its questions leave the training rows; without one the fingerprint
    decides the side. Held-out problems come in the order of their fingerprints, so that the first
    n are a fair sample.
    """
    heldout_split = _heldout_split(config)
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


def _problem_set(
    config: ProblemsConfig, train: list[Problem], heldout: Rows, num_overlapping: int
) -> ProblemSet:
    name = _name(config)
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


def _heldout_split(config: ProblemsConfig) -> str | None:
    split = config.heldout_split
    if split is None and config.name == "gsm8k" and not (config.path and config.path.is_file()):
        split = "test"
    if split == config.split:
        raise PonderError("problems.heldout_split", split, "must differ from problems.split")
    return split


def _problems(config: ProblemsConfig, split: str, field: str) -> Rows:
    verifier = config.verifier or "exact"
    verifier_named(verifier)
    if verifier == "gym":
        raise PonderError("problems.verifier", verifier, 'only for reasoning-gym; use "exact"')
    fields = GSM8K_FIELDS if config.name else Fields(config.question_field, config.answer_field)
    return make_problems(_rows(config, split, field), fields, verifier, _name(config))


def _rows(config: ProblemsConfig, split: str, field: str) -> Iterable[Row]:
    if config.path is not None:
        return _local_rows(config, split, field)
    if config.name is not None:
        return read_hub(GSM8K_HUB, config.hub_config or GSM8K_CONFIG, split, field)
    return read_hub(config.hub or "", config.hub_config, split, field)


def _local_rows(config: ProblemsConfig, split: str, field: str) -> Iterator[Row]:
    assert config.path is not None
    if is_saved_dataset(config.path):
        return read_saved(config.path, split, field)
    return read_path(config.path, split, field)


def _name(config: ProblemsConfig) -> str:
    return config.name or config.hub or str(config.path)
