"""Every knob of what happens to data between two stages: filter, choose, dedupe, decontaminate."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.errors import PonderError


class FilterConfig(Config):
    """What a completion must be like to be kept. 0 switches a bound off."""

    min_characters: int = Field(default=1, ge=0)
    """Shortest completion, in characters without the blanks around it."""
    max_characters: int = Field(default=0, ge=0)
    """Longest completion, in characters."""
    allow_truncated: bool = False
    """Keep completions that a token limit ended (rows whose "finish_reason" is "length")."""
    format: Literal["any", "thought", "r1"] = "thought"
    """any; thought: a closed thought and text after it; r1: R1-Zero's four tags, strictly."""
    min_language: float = Field(default=0.9, ge=0, le=1)
    """Least share of a thought's words in the language of the question; 0 is off."""
    max_repetition: float = Field(default=0.2, ge=0, le=1)
    """Largest share of 20-grams that stood in the text before; 1 is off."""
    allow_loop: bool = False
    """Keep completions that end in a loop."""
    max_paragraph_characters: int = Field(default=3000, ge=0)
    """Longest paragraph of a thought, in characters."""
    allow_code_in_thought: bool = False
    """Keep thoughts with a fenced code block."""


class ChooseConfig(Config):
    """Which of the samples of one problem are kept."""

    rule: Literal["shortest", "diverse", "random", "all"] = "random"
    """The order in which they are taken: the fewest tokens, the least alike, by lot, as sampled."""
    at_most: int = Field(default=1, ge=1)
    """Most samples kept of a problem."""


class DedupeConfig(Config):
    """When a row says the same as an earlier one."""

    exact: bool = True
    """Drop rows that are equal but for case, width and white space."""
    near_threshold: float = Field(default=0.8, ge=0)
    """Least share of common word 5-grams of a near duplicate; above 1 there are none."""
    near_text: Literal["row", "completion"] = "row"
    """What is compared: question and completion, or the completion alone (long questions)."""


class EvaluationSetConfig(Config):
    """One evaluation set whose texts may not stand in training data."""

    name: str
    """A named source ("gsm8k", "math500"), or for a path what the set is called."""
    path: Path | None = None
    """A file or folder; without it the named source's copy on the hub."""
    split: str | None = None
    """Its split; without it "test" of a named source, everything at a path."""
    text_fields: list[str] = Field(default_factory=list)
    """Fields of its rows that hold questions and solutions; without it those usually called so."""


class DecontaminateConfig(Config):
    """Which rows share too much with evaluation sets."""

    sets: list[EvaluationSetConfig] = Field(default_factory=list)
    """The evaluation sets; none: nothing is looked for."""
    ngram: int = Field(default=10, ge=1)
    """Words in a row that may not be the same (paper: 10)."""
    whole_short_items: bool = True
    """Also drop rows whose question equals an evaluation text that is shorter than that."""
    boilerplate_share: float = Field(default=0.05, gt=0, le=1)
    """N-grams in more than this share of a set's items (and six or more) do not count; 1: off."""


class CurateConfig(Config):
    """One pass over rows: filters, duplicates, contamination."""

    filters: FilterConfig = FilterConfig()
    dedupe: DedupeConfig = DedupeConfig()
    decontaminate: DecontaminateConfig = DecontaminateConfig()
    workers: int = Field(default=0, ge=0)
    """Processes that read and measure rows; 0: one per core; 1: none but this one."""
    checkpoint_rows: int = Field(default=50_000, ge=1)
    """Rows between two places from which an interrupted pass goes on."""


class MixPartConfig(Config):
    """One file of a mixture."""

    path: Path
    """A file of rows."""
    count: int | None = Field(default=None, ge=0)
    """Rows to take; without it all, or as the weight says."""
    weight: float | None = Field(default=None, gt=0)
    """Share of the mixture, relative to the other weights (needs mix.total)."""


class MixConfig(Config):
    """A mixture of files, shuffled."""

    parts: list[MixPartConfig] = Field(default_factory=list)
    """The files."""
    total: int | None = Field(default=None, ge=1)
    """Rows of the mixture, where parts have weights."""
    seed: int = Field(default=0, ge=0)
    """The draw and the order follow from it."""
    allow_repeats: bool = False
    """A part that is too small gives its rows more than once, as evenly as can be."""

    @model_validator(mode="after")
    def _counts_or_weights(self) -> MixConfig:
        for number, part in enumerate(self.parts):
            if part.count is not None and part.weight is not None:
                fix = "give a count or a weight, not both"
                raise PonderError(f"mix.parts.{number}", str(part.path), fix)
        weighted = any(part.weight is not None for part in self.parts)
        if weighted and self.total is None:
            raise PonderError("mix.total", None, "say how many rows, or give counts not weights")
        if self.total is not None and not weighted:
            raise PonderError("mix.total", self.total, "give the parts weights, or leave it out")
        return self
