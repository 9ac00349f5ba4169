"""Synthetic rows for tests of passes, with a known share of each kind of bad row."""

from __future__ import annotations

import random
from pathlib import Path

from ponder.curate.rows import Row, RowWriter

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "r", "lo", "ti")]
SECRET = "the quick brown fox of the evaluation set jumps over the lazy dog again"


def sentence(chance: random.Random, num_words: int) -> str:
    return " ".join(chance.choices(WORDS, k=num_words))


def make_rows(count: int, seed: int = 0, num_words: int = 120) -> tuple[list[Row], dict[str, str]]:
    """Rows, and what is wrong with the bad ones by id."""
    chance = random.Random(seed)
    rows: list[Row] = []
    wrong: dict[str, str] = {}
    good: list[Row] = []
    for number in range(count):
        kind = chance.random() if len(good) > 5 else 1.0
        name, question = f"r{number}", f"Question {sentence(chance, 12)}?"
        thought, answer = sentence(chance, num_words), sentence(chance, 6)
        if kind < 0.05:
            wrong[name], other = "duplicate", chance.choice(good)
            question, thought, answer = str(other.question), "", ""
            completion = other.completion.upper().replace("THINK>", "think>")
        elif kind < 0.08:
            wrong[name], other = "near duplicate", chance.choice(good)
            question, completion = (
                other.question,
                other.completion.replace("</think>", f"so {name} </think>"),
            )
        elif kind < 0.1:
            wrong[name], completion = (
                "contaminated",
                f"<think> {thought} {SECRET} </think> {answer}",
            )
        elif kind < 0.13:
            wrong[name], completion = "format", f"<think> {thought}"
        else:
            completion = f"<think> {thought} </think> {answer}"
        row = Row(name, f"User: {question}", completion, "math", "made", {"question": question})
        rows.append(row)
        if name not in wrong:
            good.append(row)
    return rows, wrong


def write(path: Path, rows: list[Row]) -> Path:
    with RowWriter(path) as writer:
        for row in rows:
            writer.write(row)
    return path
