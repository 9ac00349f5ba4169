"""Accuracy and time of the math verifier, with math-verify alone and in TRL's settings beside it.

    python benchmarks/grade.py [--cases FILE ...] [--data DIR] [--json]

A case file has a line ``{"category", "gold", "output", "expected"}`` each. Without ``--cases``:
our own (tests/verify/math/cases.jsonl), and the shared visible ones where they are. With the data
there, reference answers are graded against themselves in a box, and against the next reference of
their set, and the warm calls are timed. The peers run in this process, with their own time limits.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ponder.types import Verdict
from ponder.verify.math.verify import grade_math

ROOT = Path(__file__).resolve().parents[1]
OWN_CASES = ROOT / "tests" / "verify" / "math" / "cases.jsonl"
SHARED = ROOT.parent / "shared" / "data"

Grader = Callable[[str, str], bool]


@dataclass
class Accuracy:
    """How one grader did on one file of cases; times in milliseconds a call."""

    grader: str
    cases: str
    num_cases: int
    accuracy: float
    false_positives: int
    false_negatives: int
    median_ms: float
    max_ms: float
    wrong: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Speed:
    """One grader on the references of one data set, against themselves and against the next."""

    grader: str
    data: str
    num_references: int
    verified: int
    others_taken: int
    median_ms: float
    p99_ms: float
    max_ms: float


def ponder_grader(gold: str, output: str) -> bool:
    return grade_math(gold, output).verdict is Verdict.CORRECT


def peers() -> dict[str, Grader]:
    """math-verify 0.9 with its defaults, and as TRL's accuracy reward calls it."""
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse, verify

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    trl_config = LatexExtractionConfig(
        normalization_config=NormalizationConfig(
            nits=False,
            malformed_operators=False,
            basic_latex=True,
            boxed="all",
            units=True,
        ),
        boxed_match_priority=0,
        try_extract_without_anchor=False,
    )
    trl_parse = partial(parse, extraction_config=[trl_config], extraction_mode="first_match")

    def default(gold: str, output: str) -> bool:
        return bool(verify(parse(f"${gold}$"), parse(output)))

    def trl(gold: str, output: str) -> bool:
        return bool(verify(parse(f"${gold}$", extraction_mode="first_match"), trl_parse(output)))

    return {"math-verify": default, "math-verify, TRL": trl}


def timed(grader: Grader, gold: str, output: str) -> tuple[bool, float]:
    start = time.perf_counter()
    verdict = grader(gold, output)
    return verdict, (time.perf_counter() - start) * 1e3


def accuracy(name: str, grader: Grader, path: Path) -> Accuracy:
    cases = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    results = [timed(grader, case["gold"], case["output"]) for case in cases]
    wrong = [c for c, (verdict, _) in zip(cases, results, strict=True) if verdict != c["expected"]]
    times = [milliseconds for _, milliseconds in results]
    return Accuracy(
        grader=name,
        cases=path.stem,
        num_cases=len(cases),
        accuracy=1 - len(wrong) / len(cases),
        false_positives=sum(not case["expected"] for case in wrong),
        false_negatives=sum(case["expected"] for case in wrong),
        median_ms=statistics.median(times),
        max_ms=max(times),
        wrong=wrong,
    )


def speed(name: str, grader: Grader, data: str, golds: list[str]) -> Speed:
    """Each reference as ``\\boxed{ gold }`` (spelt a little otherwise), then the one after it."""
    own = [timed(grader, gold, rf"So it is $\boxed{{ {respelt(gold)} }}$.") for gold in golds]
    pairs = [(a, b) for a, b in zip(golds, golds[1:] + golds[:1], strict=True) if a != b]
    others = [timed(grader, gold, rf"So it is $\boxed{{{other}}}$.") for gold, other in pairs]
    times = sorted(milliseconds for _, milliseconds in own + others)
    return Speed(
        grader=name,
        data=data,
        num_references=len(golds),
        verified=sum(verdict for verdict, _ in own),
        others_taken=sum(verdict for verdict, _ in others),
        median_ms=statistics.median(times),
        p99_ms=times[int(0.99 * (len(times) - 1))],
        max_ms=times[-1],
    )


def respelt(gold: str) -> str:
    """The same answer in another spelling, so that equal text alone does not settle it."""
    return gold.replace(r"\frac", r"\dfrac").replace(",", ", ")


def references(data: Path) -> dict[str, list[str]]:
    """GSM8K's test side and MATH-500, where they are; thousands without their commas."""
    found: dict[str, list[str]] = {}
    if (path := data / "gsm8k" / "test.jsonl").exists():
        rows = [json.loads(line)["answer"] for line in path.read_text("utf-8").splitlines()]
        found["GSM8K test"] = [row.rpartition("####")[2].strip().replace(",", "") for row in rows]
    if (path := data / "math500" / "test.jsonl").exists():
        found["MATH-500"] = [
            json.loads(line)["answer"] for line in path.read_text("utf-8").splitlines()
        ]
    return found


def print_tables(table: list[Accuracy], speeds: list[Speed]) -> None:
    print_row("grader", "cases", "n", "accuracy", "FP", "FN", "median", "max (ms)")
    for row in table:
        counts = (row.num_cases, f"{row.accuracy:.3f}", row.false_positives, row.false_negatives)
        print_row(row.grader, row.cases, *counts, f"{row.median_ms:.2f}", f"{row.max_ms:.0f}")
    print()
    print_row("grader", "data", "n", "verified", "others", "median", "p99", "max (ms)")
    for line in speeds:
        counts = (line.num_references, line.verified, line.others_taken)
        times = (f"{line.median_ms:.2f}", f"{line.p99_ms:.1f}", f"{line.max_ms:.0f}")
        print_row(line.grader, line.data, *counts, *times)
    for row in table:
        for case in row.wrong if row.grader == "ponder" else []:
            print("ponder is wrong on", json.dumps(case, ensure_ascii=False))


def print_row(grader: object, data: object, *numbers: object) -> None:
    print(f"{grader!s:18}{data!s:12}" + "".join(f"{number!s:>10}" for number in numbers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cases", type=Path, nargs="*", help="labelled files")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the data sets")
    parser.add_argument("--limit", type=int, default=500, help="references of each data set")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    args = parser.parse_args()
    visible = args.data / "grading" / "visible.jsonl"
    paths = args.cases or [path for path in (OWN_CASES, visible) if path.exists()]
    graders = {"ponder": ponder_grader} | peers()
    for grader in graders.values():
        grader(r"\sin^2 x", r"so $\boxed{1-\cos^2 x}$")  # warm: imports, and our worker's start
    table = [accuracy(name, grader, path) for path in paths for name, grader in graders.items()]
    speeds = [
        speed(name, grader, data, golds[: args.limit])
        for data, golds in references(args.data).items()
        for name, grader in graders.items()
    ]
    if args.json:
        print(
            json.dumps({"accuracy": list(map(asdict, table)), "speed": list(map(asdict, speeds))})
        )
    else:
        print_tables(table, speeds)


if __name__ == "__main__":
    main()
