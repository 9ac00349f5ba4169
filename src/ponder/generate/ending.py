"""When a completion ends, and what its text is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from transformers import PreTrainedTokenizerFast

from ponder.types import FinishReason


class Ending:
    """The end tokens and stop strings of one run.

    A stop string can only be completed by some tokens, found once from the vocabulary; only after
    those is the tail of a completion turned into text. Everything else is a set lookup.

    Args:
        tokenizer: a transformers tokenizer.
        end_tokens: ids that end a completion.
        stop: strings that end a completion and stay in its text.
    """

    def __init__(self, tokenizer: Any, end_tokens: Iterable[int], stop: Sequence[str]) -> None:
        self.end_tokens = frozenset(end_tokens)
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        self._tail_tokens = max((len(text.encode()) for text in stop), default=0) + 1
        self.completing_tokens = _completing_tokens(tokenizer, self._stop)
        self._suspects = self.end_tokens | self.completing_tokens

    def is_suspect(self, token: int) -> bool:
        """Cheap: may ``token`` end a completion?"""
        return token in self._suspects

    def reason(self, token_ids: list[int], limit: int) -> FinishReason | None:
        """Why a completion is over, or None if it is not; ``limit`` is its most tokens."""
        if token_ids[-1] in self.end_tokens:
            return "stop"
        if self._stop:
            tail = self._decode(token_ids[-self._tail_tokens :])
            if any(text in tail for text in self._stop):
                return "stop"
        return "length" if len(token_ids) >= limit else None

    def texts(self, completions: Sequence[list[int]]) -> list[str]:
        """The text of finished completions: no end token, nothing after a stop string."""
        bodies = [ids[:-1] if ids[-1] in self.end_tokens else ids for ids in completions]
        return [self._cut(text) for text in _decode_all(self._tokenizer, bodies)]

    def _cut(self, text: str) -> str:
        ends = [text.index(stop) + len(stop) for stop in self._stop if stop in text]
        return text[: min(ends)] if ends else text

    def _decode(self, token_ids: list[int]) -> str:
        text: str = self._tokenizer.decode(token_ids)
        return text


def _decode_all(tokenizer: Any, completions: list[list[int]]) -> list[str]:
    """What ``tokenizer.batch_decode`` returns; where that only passes each on to the tokenizers
    library, by one call of it, which uses all cores and looks at no token in Python."""
    plain = (
        isinstance(tokenizer, PreTrainedTokenizerFast)
        and type(tokenizer)._decode is PreTrainedTokenizerFast._decode
        and not tokenizer.clean_up_tokenization_spaces
    )
    texts: list[str]
    if plain:
        texts = tokenizer.backend_tokenizer.decode_batch(completions, skip_special_tokens=False)
    else:
        texts = tokenizer.batch_decode(completions)
    return texts


def _completing_tokens(tokenizer: Any, stop: Sequence[str]) -> frozenset[int]:
    """Ids of all tokens that can complete a stop string: those that hold it, or begin with one of
    its endings. Too many is harmless: a leading space that decoding may drop, and bytes that are
    no text on their own, count as matching."""
    if not stop:
        return frozenset()
    endings = {text[start:] for text in stop for start in range(len(text))}
    pieces = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
    return frozenset(
        token
        for token, piece in enumerate(pieces)
        if _may_complete(piece, endings, stop) or _may_complete(" " + piece, endings, stop)
    )


def _may_complete(piece: str, endings: set[str], stop: Sequence[str]) -> bool:
    if "\N{REPLACEMENT CHARACTER}" in piece or any(text in piece for text in stop):
        return True
    return any(piece[:end] in endings for end in range(1, len(piece) + 1))
