"""A data card: what is in a file of rows, in the shape of the paper's table, as JSON and Markdown.

DeepSeek-R1 (arXiv 2501.12948 v2, table 5) prints, for each domain of its 804,745 SFT rows, the
number of samples, the average rounds and the average tokens: Math 395,285 / 1.0 / 6,094.2; Code
211,129 / 1.1 / 7,435.7; STEM 10,124 / 1.0 / 4,928.8; Logic 10,395 / 1.0 / 2,739.0; General 177,812
/ 1.1 / 1,419.8; total 804,745 / 1.0 / 5,355.3. What it counts as a sample's tokens is not said:
here they are those of the prompt and the completion, and the completion's alone stand beside them.
"""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ponder.curate.filters import language_of
from ponder.curate.reader import read_rows
from ponder.curate.row import Row
from ponder.runlog.durable import write_atomic
from ponder.runlog.summary import write_json_atomic

TokenCounter = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each text."""
_BATCH = 500


@dataclass(frozen=True, slots=True)
class DomainFacts:
    """A domain of a file, or all of it. Token figures are None where no tokenizer was given."""

    rows: int
    mean_rounds: float
    mean_tokens: float | None = None
    mean_completion_tokens: float | None = None
    median_tokens: float | None = None
    p95_tokens: float | None = None
    max_tokens: int | None = None
    total_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class DataCard:
    """What is in a file of rows, and what was left out on the way to it."""

    name: str
    sha256: str
    num_bytes: int
    total: DomainFacts
    domains: dict[str, DomainFacts]
    sources: dict[str, int]
    languages: dict[str, int]
    num_read: int | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def to_markdown(self) -> str:
        """A page for people."""
        return "\n".join([*self._tables(), ""])

    def _tables(self) -> Iterator[str]:
        yield f"# Data card: {self.name}\n"
        yield f"{self.num_bytes:,} bytes, sha256 `{self.sha256}`\n"
        yield "| domain | samples | avg rounds | avg tokens | of the completion | median | p95 |"
        yield "|---|---:|---:|---:|---:|---:|---:|"
        for name, facts in self.domains.items():
            yield _line(name or "(none)", facts)
        yield _line("**Total**", self.total)
        yield from _counts("source", self.sources)
        yield from _counts("language of the question", self.languages)
        if self.num_read is not None:
            yield f"\nOf {self.num_read:,} rows {self.total.rows:,} were kept."
        if self.dropped:
            yield from _counts("dropped because", self.dropped)
        for name, value in self.notes.items():
            yield f"\n{name}: {value}"


def make_card(
    path: Path,
    count_tokens: TokenCounter | None = None,
    num_read: int | None = None,
    dropped: Mapping[str, int] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> DataCard:
    """Read a file of rows once and say what is in it.

    Args:
        count_tokens: see ``token_counter``; without it tokens are not counted.
        num_read, dropped: of the pass that wrote it (``CurateSummary``).
        notes: further facts to print, as JSON can hold them.
    """
    tallies: dict[str, _Tally] = {}
    sources: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    for batch in _batches(read_rows(path)):
        tokens = _count(batch, count_tokens)
        for row, counts in zip(batch, tokens, strict=True):
            tallies.setdefault(row.domain, _Tally()).add(row, counts)
            sources[row.source] += 1
            languages[language_of(row)] += 1
    return DataCard(
        path.name,
        *_hash(path),
        total=_Tally.of_all(tallies.values()).facts(),
        domains={name: tallies[name].facts() for name in sorted(tallies)},
        sources=dict(sources.most_common()),
        languages=dict(languages.most_common()),
        num_read=num_read,
        dropped=dict(dropped or {}),
        notes=dict(notes or {}),
    )


def write_card(card: DataCard, path: Path) -> None:
    """Write ``PATH.card.json`` and ``PATH.card.md`` beside the file of rows ``path``."""
    write_json_atomic(path.with_name(f"{path.name}.card.json"), card.to_json())
    write_atomic(path.with_name(f"{path.name}.card.md"), card.to_markdown().encode())


def token_counter(tokenizer: Any) -> TokenCounter:
    """Counts with a transformers tokenizer; special tokens are not added."""

    def count(texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]

    return count


class _Tally:
    """Sums over the rows of a domain: twelve bytes a row."""

    def __init__(self) -> None:
        self.num_rows = self.num_rounds = self.num_completion_tokens = 0
        self.tokens = array("i")

    @classmethod
    def of_all(cls, parts: Iterable[_Tally]) -> _Tally:
        total = cls()
        for part in parts:
            total.num_rows += part.num_rows
            total.num_rounds += part.num_rounds
            total.num_completion_tokens += part.num_completion_tokens
            total.tokens.extend(part.tokens)
        return total

    def add(self, row: Row, counts: tuple[int, int] | None) -> None:
        rounds = row.metadata.get("rounds")
        self.num_rows += 1
        self.num_rounds += rounds if isinstance(rounds, int) else 1
        if counts is not None:
            self.num_completion_tokens += counts[1]
            self.tokens.append(sum(counts))

    def facts(self) -> DomainFacts:
        rounds = self.num_rounds / self.num_rows if self.num_rows else 0.0
        if not self.tokens:
            return DomainFacts(self.num_rows, rounds)
        tokens = np.asarray(self.tokens)
        return DomainFacts(
            self.num_rows,
            rounds,
            float(tokens.mean()),
            self.num_completion_tokens / self.num_rows,
            float(np.median(tokens)),
            float(np.percentile(tokens, 95)),
            int(tokens.max()),
            int(tokens.sum(dtype=np.int64)),
        )


def _count(
    rows: Sequence[Row], count_tokens: TokenCounter | None
) -> Sequence[tuple[int, int] | None]:
    """Tokens of the prompt and of the completion of each row."""
    if count_tokens is None:
        return [None] * len(rows)
    prompts = count_tokens([row.prompt for row in rows])
    return list(zip(prompts, count_tokens([row.completion for row in rows]), strict=True))


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(itertools.islice(rows, _BATCH)):
        yield batch


def _hash(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


def _line(name: str, facts: DomainFacts) -> str:
    means = (facts.mean_tokens, facts.mean_completion_tokens, facts.median_tokens, facts.p95_tokens)
    figures = " | ".join("" if mean is None else f"{mean:,.1f}" for mean in means)
    return f"| {name} | {facts.rows:,} | {facts.mean_rounds:.1f} | {figures} |"


def _counts(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    yield f"\n| {title} | rows |\n|---|---:|"
    yield from (f"| {name or '(none)'} | {count:,} |" for name, count in counts.items())
