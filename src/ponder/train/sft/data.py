"""Rows become samples: templates, tokens, limits, and what is held out."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ponder.config.rl import TemplateConfig
from ponder.config.sft import SFTConfig
from ponder.errors import PonderError
from ponder.rollout.prompts import PromptMaker
from ponder.seeds import derive_seed
from ponder.train.sft.rows import SFTRow, read_rows
from ponder.train.sft.store import Counts, Sample, Samples, open_samples, write_samples
from ponder.types import Problem

_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Data:
    """What a run learns from and is measured on; ``figures`` are for the summary."""

    train: Samples
    heldout: Samples | None
    figures: Mapping[str, int]
    notes: tuple[str, ...]


def read_data(config: SFTConfig, tokenizer: Any, max_tokens: int, folder: Path) -> Data:
    """The samples of a config's files, which lie in ``folder`` from then on.

    Raises:
        PonderError: a file cannot be read, a row is wrong, or too few are left to train on.
    """
    data = config.data
    assert data.path is not None
    reader = SampleReader(config, tokenizer, max_tokens)
    loaded = reader.read(data.path, "data.path", folder / "train")
    notes = loaded.notes(data.path, max_tokens)
    train, heldout = split_heldout(loaded.samples, data.heldout_samples, config.seed)
    if data.heldout_path is not None:
        other = reader.read(data.heldout_path, "data.heldout_path", folder / "heldout")
        notes += other.notes(data.heldout_path, max_tokens)
        heldout = other.samples
    figures = {
        "samples": len(train),
        "heldout_samples": 0 if heldout is None else len(heldout),
        "tokens": int(train.lengths.sum()),
        "completion_tokens": int(train.completion_lengths.sum()),
        "dropped": loaded.num_dropped,
        "truncated": loaded.num_truncated,
    }
    return Data(train, heldout, figures, tuple(notes))


class Loaded(NamedTuple):
    """Samples of a file, and how many of its rows were too long."""

    samples: Samples
    num_dropped: int
    num_truncated: int

    def notes(self, path: Path, max_tokens: int) -> list[str]:
        """A line to show, where rows are not all that was learnt."""
        return [
            f"{count:,} of {len(self.samples) + self.num_dropped:,} samples of {path} {what}"
            for count, what in (
                (self.num_dropped, f"are left out (longer than {max_tokens:,} tokens)"),
                (self.num_truncated, f"are cut at {max_tokens:,} tokens and teach no end"),
            )
            if count
        ]


class SampleReader:
    """Reads files into samples as one config and tokenizer say.

    A prompt is tokenized as for sampling, a completion alone, as the model would write it after the
    prompt. The end token follows unless the completion has it.
    """

    def __init__(self, config: SFTConfig, tokenizer: Any, max_tokens: int) -> None:
        self.config, self.tokenizer, self.max_tokens = config, tokenizer, max_tokens
        self._of_question = PromptMaker(config.template, tokenizer)
        self._of_prompt = PromptMaker(TemplateConfig(name="plain"), tokenizer)

    def read(self, path: Path, field: str, folder: Path) -> Loaded:
        """Every row of ``path``; those too long are dropped or truncated, and counted.

        The samples lie in ``folder``; where it has those of this very file and config already
        (a resumed run), nothing is tokenized again.
        Raises PonderError as ``read_rows`` does, and where nothing is left.
        """
        next(read_rows(path, field), None)  # says what is wrong with the path
        source = self._source(path)
        if (found := open_samples(folder, source)) is None:
            counts = Counts()
            samples = self._within_limit(self._samples(read_rows(path, field)), counts)
            write_samples(folder, source, samples, counts)
            found = open_samples(folder, source)
            assert found is not None
        loaded, counts = found
        if not len(loaded):
            raise self._nothing(path, field, counts.dropped)
        return Loaded(loaded, counts.dropped, counts.truncated)

    def _source(self, path: Path) -> dict[str, Any]:
        """All that the samples follow from (the tokenizer is the model's)."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {
            "sha256": digest,
            "model": self.config.model,
            "template": self.config.template.model_dump(),
            "too_long": self.config.data.too_long,
            "max_tokens": self.max_tokens,
        }

    def _within_limit(self, samples: Iterable[Sample], counts: Counts) -> Iterator[Sample]:
        for sample in samples:
            room = self.max_tokens - len(sample.prompt_ids)
            if len(sample.completion_ids) <= room:
                yield sample
            elif self.config.data.too_long == "drop" or room < 1:
                counts.dropped += 1
            else:
                counts.truncated += 1
                yield Sample(sample.prompt_ids, sample.completion_ids[:room])

    def _nothing(self, path: Path, field: str, num_dropped: int) -> PonderError:
        if not num_dropped:
            return PonderError(field, str(path), "the file has no rows; fill it")
        fix = f"all {num_dropped:,} samples of {path} are longer: raise it, or choose other data"
        return PonderError("data.max_tokens", self.max_tokens, fix)

    def _samples(self, rows: Iterable[SFTRow]) -> Iterator[Sample]:
        end = self.tokenizer.eos_token_id
        for some in _chunks(rows, _ROWS_AT_ONCE):
            for is_question, alike in itertools.groupby(some, key=lambda row: row.is_question):
                same = list(alike)
                prompts = self._asked(same) if is_question else self._written(same)
                completions = self._as_it_is([row.completion for row in same])
                for prompt, ids in zip(prompts, completions, strict=True):
                    yield Sample(prompt, ids if ids[-1:] == [end] else [*ids, end])

    def _asked(self, rows: Sequence[SFTRow]) -> list[list[int]]:
        """Of questions that get the template."""
        return _prompt_ids(self._of_question, rows)

    def _written(self, rows: Sequence[SFTRow]) -> list[list[int]]:
        """Of prompts that are the whole text already."""
        if self.config.template.name == "chat":  # the text has its special tokens
            return self._as_it_is([row.prompt for row in rows])
        begin = self.tokenizer.bos_token_id
        found = _prompt_ids(self._of_prompt, rows)
        return [
            ids[1:] if begin is not None and ids[:2] == [begin, begin] else ids for ids in found
        ]

    def _as_it_is(self, texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return ids


def _prompt_ids(make: PromptMaker, rows: Sequence[SFTRow]) -> list[list[int]]:
    problems = [Problem(row.place, row.prompt, "") for row in rows]
    return [list(prompt.token_ids) for prompt in make.all(problems)]


def split_heldout(samples: Samples, wanted: int, seed: int) -> tuple[Samples, Samples | None]:
    """(training, held-out): whole prompts, chosen by (seed, their tokens), until it is enough.

    Raises PonderError where too few samples would be left to train on.
    """
    if not wanted:
        return samples, None
    by_prompt: dict[bytes, list[int]] = {}
    for index in range(len(samples)):
        prompt = samples.ids(index)[: int(samples.prompt_lengths[index])].tobytes()
        by_prompt.setdefault(hashlib.sha256(prompt).digest(), []).append(index)
    ranked = sorted(by_prompt, key=lambda key: derive_seed(seed, "heldout", key.hex()))
    is_heldout = np.zeros(len(samples), dtype=bool)
    for key in ranked:
        if is_heldout.sum() >= wanted:
            break
        is_heldout[by_prompt[key]] = True
    if is_heldout.all():
        fix = f"there are only {len(samples):,} samples ({len(by_prompt):,} prompts): hold out less"
        raise PonderError("data.heldout_samples", wanted, fix)
    return samples.take((~is_heldout).nonzero()[0]), samples.take(is_heldout.nonzero()[0])


def _chunks(rows: Iterable[SFTRow], size: int) -> Iterator[list[SFTRow]]:
    remaining = iter(rows)
    while some := list(itertools.islice(remaining, size)):
        yield some
