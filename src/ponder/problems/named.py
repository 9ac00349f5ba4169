"""Sources by name: where they are on the hub, what their rows hold, how they are verified.

A row may come from the hub or from a copy with other field names; each reader takes both. Questions
are given as they stand, but for options, which are listed after the question, and for a line that
says which form of answer is meant where that does not go without saying.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ponder.errors import PonderError
from ponder.problems.rows import Fields, Item, Reader, Row, answer_text
from ponder.text.parsing import last_boxed
from ponder.verify.choice import LETTERS
from ponder.verify.code.rows import code_row

CHOICE_FORMAT = "{question}\n\n{options}\n\nAnswer with the letter of the right option."
KNIGHTS_FORMAT = (
    "{quiz}\n\n"
    'Answer in the form "(1) NAME is a knight (2) NAME is a knave ...", each inhabitant once.'
)
_LETTERED = re.compile(r"^\s*[A-J]\s*[).:]\s*")
_LOGIC_RL = "3ppl+4ppl+5ppl+6ppl+7ppl"


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A data set that Ponder knows.

    Attributes:
        hub: its id on the Hugging Face hub.
        verifier: the name of its verifier.
        read: makes a question, an answer and metadata of a row.
        splits: the configuration and the split on the hub, by what the split is called here.
        heldout_split: which of them is held out; None: the fingerprint decides.
    """

    hub: str
    verifier: str
    read: Reader
    splits: Mapping[str, tuple[str | None, str]]
    heldout_split: str | None = None

    @property
    def is_benchmark(self) -> bool:
        """It has no training split: it is there to be measured on, whole."""
        return "train" not in self.splits

    def on_the_hub(self, split: str) -> tuple[str | None, str]:
        """Configuration and split; any split of a benchmark's is its one split unless named."""
        if split in self.splits:
            return self.splits[split]
        first = next(iter(self.splits.values()))
        return first if self.is_benchmark and split == "train" else (first[0], split)


def _math(row: Row) -> Item:
    """A question and an answer; an answer that is missing is the last box of the solution."""
    question = str(_value(row, "problem", "question"))
    if {"answer", "golden"} & set(row.fields):
        return Item(question, answer_text(_value(row, "answer", "golden")).strip())
    return Item(question, last_boxed(str(_value(row, "solution"))) or "")


def _svamp(row: Row) -> Item:
    body = str(_value(row, "Body")).strip()
    stop = "" if body.endswith((".", ",", "?", "!", ";", ":")) else "."
    question = f"{body}{stop} {str(_value(row, 'Question')).strip()}"
    return Item(question, answer_text(_value(row, "Answer")).strip())


def _aqua(row: Row) -> Item:
    choices = [_LETTERED.sub("", str(option)).strip() for option in _value(row, "options")]
    return _choice(row, choices, str(_value(row, "correct")).strip())


def _mmlu(row: Row) -> Item:
    answer = _value(row, "answer")
    is_index = isinstance(answer, int) and 0 <= answer < len(LETTERS)
    letter = LETTERS[answer] if is_index else str(answer).strip()
    return _choice(row, [str(choice) for choice in _value(row, "choices")], letter)


def _choice(row: Row, choices: Sequence[str], letter: str) -> Item:
    if not 2 <= len(choices) <= len(LETTERS):
        return Item("", letter, fault=f"{len(choices)} options")
    options = "\n".join(f"{name}) {text}" for name, text in zip(LETTERS, choices, strict=False))
    question = CHOICE_FORMAT.replace("{options}", options)
    question = question.replace("{question}", str(_value(row, "question")).strip())
    return Item(question, letter, {"choices": list(choices)})


def _knights_knaves(row: Row) -> Item:
    names = [str(name) for name in _value(row, "names")]
    roles = ["knight" if is_knight else "knave" for is_knight in _value(row, "solution")]
    lines = [f"({n}) {name} is a {role}" for n, (name, role) in _numbered(names, roles)]
    try:
        statements = json.dumps(ast.literal_eval(str(_value(row, "statements"))))
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as error:
        return Item("", "\n".join(lines), fault=f"its statements cannot be read: {error}")
    question = KNIGHTS_FORMAT.replace("{quiz}", str(_value(row, "quiz")).strip())
    return Item(question, "\n".join(lines), {"names": names, "statements": statements})


def _numbered(names: Sequence[str], roles: Sequence[str]) -> Any:
    return enumerate(zip(names, roles, strict=False), start=1)


def _code(row: Row) -> Item:
    made = code_row(row.fields)
    return Item(made.question, made.answer, made.metadata)


def _value(row: Row, *names: str) -> Any:
    """The first of these fields that the row has."""
    for name in names:
        if name in row.fields:
            return row.fields[name]
    there = ", ".join(sorted(row.fields)) or "no fields at all"
    fix = f"{row.place} has no such field, so it is no row of this data set; it has {there}"
    raise PonderError("problems.name", " or ".join(names), fix)


_TEST_ONLY = {"test": (None, "test")}
_TRAIN_AND_TEST = {"train": (None, "train"), "test": (None, "test")}

NAMED: Mapping[str, NamedSource] = {
    # The answer field holds the worked solution; the answer follows "####" (2110.14168).
    "gsm8k": NamedSource(
        "openai/gsm8k", "exact", Fields("question", "answer", answer_after="####"),
        {"train": ("main", "train"), "test": ("main", "test")}, "test",
    ),
    # The 12,000 + 500 split of 2305.20050; the 500 are math500.
    "math": NamedSource(
        "nlile/hendrycks-MATH-benchmark", "math", _math, _TRAIN_AND_TEST, "test"
    ),
    "math500": NamedSource("HuggingFaceH4/MATH-500", "math", _math, _TEST_ONLY),
    "aime25": NamedSource("math-ai/aime25", "math", _math, _TEST_ONLY),
    "amc23": NamedSource("math-ai/amc23", "math", _math, _TEST_ONLY),
    "svamp": NamedSource("ChilleD/SVAMP", "math", _svamp, _TRAIN_AND_TEST, "test"),
    "cmath": NamedSource(
        "weitianwen/cmath", "math", _math,
        {"validation": (None, "validation"), "test": (None, "test")},
    ),
    "aqua": NamedSource(
        "deepmind/aqua_rat", "choice", _aqua,
        {"train": ("raw", "train"), "test": ("raw", "test")}, "test",
    ),
    "mmlu_stem": NamedSource("TIGER-Lab/MMLU-STEM", "choice", _mmlu, _TEST_ONLY),
    "knights_knaves": NamedSource(
        "K-and-K/knights-and-knaves", "knights_knaves", _knights_knaves,
        {"train": ("train", _LOGIC_RL), "test": ("test", _LOGIC_RL)}, "test",
    ),
    "mbpp": NamedSource(
        "google-research-datasets/mbpp", "code", _code,
        {"train": ("full", "train"), "test": ("full", "test")}, "test",
    ),
    "humaneval": NamedSource("openai/openai_humaneval", "code", _code, _TEST_ONLY),
}  # fmt: skip
"""By the value of ``problems.name``."""
