"""Rows become samples: tokens of prompts and completions, in one flat array."""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ponder.config.rl import TemplateConfig
from ponder.config.sft import SFTConfig
from ponder.errors import PonderError
from ponder.rollout.prompts import PromptMaker
from ponder.seeds import derive_seed
from ponder.train.sft_rows import SFTRow, read_rows
from ponder.types import Problem

_ROWS_AT_ONCE = 256
Numbers = npt.NDArray[np.int64]


class Sample(NamedTuple):
    """What is learnt: the completion's tokens (end token included) after the prompt's."""

    prompt_ids: list[int]
    completion_ids: list[int]

    @property
    def num_tokens(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples in memory, four bytes a token; ``starts`` is where each begins in ``tokens``."""

    tokens: npt.NDArray[np.int32]
    starts: Numbers
    prompt_lengths: Numbers
    completion_lengths: Numbers

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> Sample:
        start, cut = int(self.starts[index]), int(self.prompt_lengths[index])
        ids = self.tokens[start : start + cut + int(self.completion_lengths[index])].tolist()
        return Sample(ids[:cut], ids[cut:])

    @property
    def lengths(self) -> Numbers:
        """Tokens of each sample, prompt included."""
        return self.prompt_lengths + self.completion_lengths

    def take(self, indices: Numbers) -> Samples:
        """Some of the samples; the tokens are shared."""
        parts = (self.starts, self.prompt_lengths, self.completion_lengths)
        return Samples(self.tokens, *(part[indices] for part in parts))

    def fingerprint(self) -> str:
        """Of all that is learnt, in order: a resumed run must find the same."""
        digest = hashlib.sha256()
        for index, length in enumerate(self.lengths):
            start = int(self.starts[index])
            digest.update(f"{self.prompt_lengths[index]}/{length};".encode())
            digest.update(self.tokens[start : start + int(length)].tobytes())
        return digest.hexdigest()


class Loaded(NamedTuple):
    """Samples of a file, and how many of its rows were too long."""

    samples: Samples
    num_dropped: int
    num_truncated: int

    def notes(self, path: Path, max_tokens: int) -> list[str]:
        """A line to show, where rows are not all that was learnt."""
        done = [
            f"{count:,} of {len(self.samples) + self.num_dropped:,} samples of {path} {what}"
            for count, what in (
                (self.num_dropped, f"are left out (longer than {max_tokens:,} tokens)"),
                (self.num_truncated, f"are cut at {max_tokens:,} tokens and teach no end"),
            )
            if count
        ]
        return done


class SampleReader:
    """Reads files into samples as one config and tokenizer say.

    A prompt is tokenized as for sampling, a completion alone, as the model would write it after the
    prompt. The end token follows unless the completion has it.
    """

    def __init__(self, config: SFTConfig, tokenizer: Any, max_tokens: int) -> None:
        self.config, self.tokenizer, self.max_tokens = config, tokenizer, max_tokens
        self._of_question = PromptMaker(config.template, tokenizer)
        self._of_prompt = PromptMaker(TemplateConfig(name="plain"), tokenizer)

    def read(self, path: Path, field: str) -> Loaded:
        """Every row of ``path``; those too long are dropped or truncated, and counted.

        Raises PonderError as ``read_rows`` does, and where nothing is left.
        """
        tokens, prompt_lengths, completion_lengths = array("i"), array("q"), array("q")
        num_dropped = num_truncated = 0
        for sample in self._samples(read_rows(path, field)):
            room = self.max_tokens - len(sample.prompt_ids)
            completion = sample.completion_ids
            if len(completion) > room:
                if self.config.data.too_long == "drop" or room < 1:
                    num_dropped += 1
                    continue
                num_truncated += 1
                completion = completion[:room]
            tokens.extend(sample.prompt_ids)
            tokens.extend(completion)
            prompt_lengths.append(len(sample.prompt_ids))
            completion_lengths.append(len(completion))
        if not prompt_lengths:
            raise self._nothing(path, field, num_dropped)
        prompts, completions = _numbers(prompt_lengths), _numbers(completion_lengths)
        lengths = prompts + completions
        flat = np.frombuffer(tokens, dtype=np.int32)
        samples = Samples(flat, lengths.cumsum() - lengths, prompts, completions)
        return Loaded(samples, num_dropped, num_truncated)

    def _nothing(self, path: Path, field: str, num_dropped: int) -> PonderError:
        if not num_dropped:
            return PonderError(field, str(path), "the file has no rows; fill it")
        fix = f"all {num_dropped:,} samples of {path} are longer: raise it, or choose other data"
        return PonderError("data.max_tokens", self.max_tokens, fix)

    def _samples(self, rows: Iterable[SFTRow]) -> Iterator[Sample]:
        end = self.tokenizer.eos_token_id
        for some in _chunks(rows, _ROWS_AT_ONCE):
            texts = [row.completion for row in some]
            encoded = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
            for row, ids in zip(some, encoded, strict=True):
                yield Sample(self._prompt(row), ids if ids[-1:] == [end] else [*ids, end])

    def _prompt(self, row: SFTRow) -> list[int]:
        if row.is_question:
            return list(self._of_question(Problem(row.place, row.prompt, "")).token_ids)
        if self.config.template.name == "chat":  # the text has its special tokens
            return list(self.tokenizer.encode(row.prompt, add_special_tokens=False))
        ids = list(self._of_prompt(Problem(row.place, row.prompt, "")).token_ids)
        begin = self.tokenizer.bos_token_id
        return ids[1:] if begin is not None and ids[:2] == [begin, begin] else ids


def split_heldout(samples: Samples, wanted: int, seed: int) -> tuple[Samples, Samples | None]:
    """(training, held-out): whole prompts, chosen by (seed, their tokens), until it is enough.

    Raises PonderError where too few samples would be left to train on.
    """
    if not wanted:
        return samples, None
    by_prompt: dict[bytes, list[int]] = {}
    for index in range(len(samples)):
        start = int(samples.starts[index])
        prompt = samples.tokens[start : start + int(samples.prompt_lengths[index])].tobytes()
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


def _numbers(values: array[int]) -> Numbers:
    return np.frombuffer(values, dtype=np.int64)


def _chunks(rows: Iterable[SFTRow], size: int) -> Iterator[list[SFTRow]]:
    remaining = iter(rows)
    while some := list(itertools.islice(remaining, size)):
        yield some
