"""R1-Zero on the bundled model with other verifiers than the demo's: a code task, and a mixture.

    python benchmarks/verified_runs.py [--steps 30] [--out FOLDER]

* code: the answer completes a program, `def value(): return ANSWER`, that runs in the sandbox and
  is tested by a call. Rewarded by the share of tests passed.
* mixture: products (verifier math), Alice-in-Wonderland riddles (logic, reasoning-gym), and "which
  of these numbers is the largest" with options (verifier choice), with a language reward.

Prints one JSON object: for each run held-out pass@1 before and after, and the means of every reward
part and of every source's pass rate over the first and the last five steps. The run folders stay in
--out (reports included).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

ROWS = 3000
ENDS = 5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("runs/verified"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    runs = {"code": code_settings(options.out), "mixture": mixture_settings(options.out)}
    told = {name: train(name, settings, options) for name, settings in runs.items()}
    print(json.dumps(told, indent=2))


def train(name: str, settings: list[str], options: argparse.Namespace) -> dict[str, Any]:
    folder = options.out / name
    start = "import sys; from ponder.cli.main import main; sys.exit(main())"
    ponder = [sys.executable, "-c", start]
    common = [f"steps={options.steps}", "eval.num_problems=128", f"out={folder}"]
    subprocess.run([*ponder, "train", "zero-tiny", *common, *settings], check=True, stdout=2)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "reward/mean" in row]
    summary = json.loads((folder / "summary.json").read_text())
    return {
        "settings": settings,
        "pass@1": [summary[when]["pass@1"] for when in ("before", "after")],
        "stderr": [summary[when]["stderr"] for when in ("before", "after")],
        "first_and_last_steps": dict(ends(steps)),
        "seconds": summary["seconds"],
    }


def ends(steps: list[dict[str, float]]) -> Iterator[tuple[str, list[float]]]:
    keys = sorted({key for row in steps for key in row if key.startswith(("reward/", "source/"))})
    for key in [*keys, "rollout/num_error"]:
        found = [row[key] for row in steps if key in row]
        yield key, [round(statistics.fmean(part), 3) for part in (found[:ENDS], found[-ENDS:])]


def code_settings(folder: Path) -> list[str]:
    path = write(folder / "code.jsonl", map(code_row, products(seed=1)))
    fields = '{tests = "tests", prefix_code = "prefix_code"}'
    return [
        "problems.task=none",
        f"problems.path={path}",
        "problems.verifier=code",
        f"problems.metadata_fields={fields}",
        "reward.accuracy=0",
        "reward.score=1",
    ]


def mixture_settings(folder: Path) -> list[str]:
    math = write(folder / "math.jsonl", map(math_row, products(seed=2)))
    choice = write(folder / "choice.jsonl", (choice_row(seed) for seed in range(ROWS)))
    entries = [
        f'{{path = "{math}", verifier = "math"}}',
        '{task = "aiw"}',
        f'{{path = "{choice}", verifier = "choice", metadata_fields = {{choices = "choices"}}}}',
    ]
    return [
        "problems.task=none",
        f"problems.mixture=[{', '.join(entries)}]",
        "reward.language=0.5",
        "reward.repetition=0.5",
    ]


def write(path: Path, rows: Iterator[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path.resolve()


def products(seed: int) -> Iterator[tuple[int, int]]:
    random = Random(seed)
    for _ in range(ROWS):
        yield random.randint(11, 99), random.randint(11, 99)


def math_row(factors: tuple[int, int]) -> dict[str, Any]:
    a, b = factors
    return {"question": f"Solve the following multiplication: {a} * {b}.", "answer": str(a * b)}


def code_row(factors: tuple[int, int]) -> dict[str, Any]:
    test = {"call": "value", "args": [], "expected": factors[0] * factors[1]}
    return math_row(factors) | {"tests": [test], "prefix_code": "def value():\n    return "}


def choice_row(seed: int) -> dict[str, Any]:
    numbers = Random(seed).sample(range(10, 1000), 4)
    text = ", ".join(map(str, numbers))
    letter = "ABCD"[numbers.index(max(numbers))]
    return {
        "question": f"Which of these numbers is the largest: {text}?",
        "choices": [str(number) for number in numbers],
        "answer": letter,
    }


if __name__ == "__main__":
    main()
