"""Preferences become token ids: what is scored of each, split, ordered, and cut into passes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from ponder.config.reward_model import RewardModelConfig
from ponder.curate.preferences import Labelled, Pair, read_labelled, read_pairs
from ponder.errors import PonderError
from ponder.models.reward import RewardFacts
from ponder.verify.scored import encode_scored


@dataclass(frozen=True, slots=True)
class Example:
    """The tokens that are scored of a pair (chosen, rejected), or of one completion and its label.

    ``num_tokens`` has the prompt once, ``longest`` is the longer completion after it.
    """

    prompt_ids: list[int]
    completions: tuple[list[int], ...]
    label: bool = True

    @property
    def num_tokens(self) -> int:
        return len(self.prompt_ids) + sum(len(ids) for ids in self.completions)

    @property
    def longest(self) -> int:
        return len(self.prompt_ids) + max(len(ids) for ids in self.completions)


@dataclass(frozen=True, slots=True)
class Examples:
    """What is trained on, what is held out, and how many were left out for their length."""

    train: list[Example]
    heldout: list[Example]
    num_too_long: int


def load_examples(
    config: RewardModelConfig, tokenizer: PreTrainedTokenizerBase, facts: RewardFacts
) -> Examples:
    """Read the data of a run. Rows of one prompt are all trained on or all held out.

    Raises:
        PonderError: no data, none left to train on or to hold out, or a damaged file.
    """
    data = config.data
    if data.path is None:
        raise PonderError("data.path", None, "name the file of preferences")
    train: list[Example] = []
    heldout: list[Example] = []
    num_too_long = 0
    for row in _rows(config, data.path):
        example = _encode(tokenizer, facts, row)
        apart = data.heldout_path is None and is_heldout(row.prompt, data.heldout_share)
        if example.longest > data.max_tokens:
            num_too_long += 1
        else:
            (heldout if apart else train).append(example)
    if data.heldout_path is not None:
        heldout = [_encode(tokenizer, facts, row) for row in _rows(config, data.heldout_path)]
    if not train:
        fix = f"no row to train on ({num_too_long} are longer than data.max_tokens)"
        raise PonderError("data.path", str(data.path), fix)
    if not heldout:
        fix = "no row is held out: raise data.heldout_share or name data.heldout_path"
        raise PonderError("data.heldout_share", data.heldout_share, fix)
    return Examples(train, heldout, num_too_long)


def is_heldout(prompt: str, share: float) -> bool:
    """Whether a prompt's rows are held out: by its hash, so that it never changes sides."""
    digest = hashlib.sha256(prompt.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2.0**64


def batch_of(step: int, num_rows: int, batch_size: int, seed: int) -> list[int]:
    """Places of the rows of an update; the last of an epoch may be smaller."""
    per_epoch = -(-num_rows // batch_size)
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng((seed, epoch)).permutation(num_rows)
    return [int(i) for i in order[place * batch_size : (place + 1) * batch_size]]


def passes(examples: Sequence[Example], most_tokens: int) -> Iterator[list[Example]]:
    """Examples in runs of at most so many tokens (a longer one is a run of its own)."""
    current: list[Example] = []
    num_tokens = 0
    for example in sorted(examples, key=lambda e: e.num_tokens):
        if current and num_tokens + example.num_tokens > most_tokens:
            yield current
            current, num_tokens = [], 0
        current.append(example)
        num_tokens += example.num_tokens
    if current:
        yield current


def _rows(config: RewardModelConfig, path: Path) -> Iterator[Pair] | Iterator[Labelled]:
    return read_pairs(path) if config.objective == "pairwise" else read_labelled(path)


def _encode(
    tokenizer: PreTrainedTokenizerBase, facts: RewardFacts, row: Pair | Labelled
) -> Example:
    if isinstance(row, Labelled):
        prompt_ids, ids = encode_scored(tokenizer, facts, row.prompt, row.completion)
        return Example(prompt_ids, (ids,), row.is_good)
    prompt_ids, chosen = encode_scored(tokenizer, facts, row.prompt, row.chosen)
    _, rejected = encode_scored(tokenizer, facts, row.prompt, row.rejected)
    return Example(prompt_ids, (chosen, rejected))
