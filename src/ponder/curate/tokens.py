"""The words of many texts at once, as hashes: what n-grams and MinHash are made of.

A word is a run of letters, marks and digits of the normalised text (NFKC, case folded, without what
no reader sees); scripts that are written without blanks give one word per character. Signs and
blanks separate words and are none. Everything is done on one array of characters, about 30 ns for
each; hashes are 64 bits, the same on every machine.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Places = NDArray[np.intp]

_ALONE = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "MYANMAR", "KHMER")
_WORD_POWER = np.uint64(0x9E3779B97F4A7C15 | 1)
_GRAM_POWER = np.uint64(0xD6E8FEB86659FD93)
_LONGEST = 1024
"""Powers of one word; longer words use them again."""


_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]+"
)
"""Unicode's default ignorable code points: soft hyphens, joiners, marks of direction, ..."""
_UNSEEN = 3

_ALIKE = {
    "a": "\u0430\u03b1", "b": "\u0432\u03b2", "c": "\u0441", "d": "\u0501",
    "e": "\u0435\u03b5", "g": "\u0261", "h": "\u043d\u04bb", "i": "\u0456\u03b9\u0131",
    "j": "\u0458\u03f3", "k": "\u043a\u03ba", "l": "\u04cf", "m": "\u043c\u03bc", "n": "\u03b7",
    "o": "\u043e\u03bf\u0585", "p": "\u0440\u03c1", "q": "\u051b", "s": "\u0455",
    "t": "\u0442\u03c4", "u": "\u03c5\u057d", "v": "\u03bd\u0475", "w": "\u051d\u03c9",
    "x": "\u0445\u03c7", "y": "\u0443\u03b3\u04af", "z": "\u03b6",
}  # fmt: skip
"""Cyrillic, Greek and a few more letters that a reader takes for the Latin one, small or (but
for the Greek N, H and Y) as capitals. Part of Unicode's list of confusable characters (technical
standard 39)."""


def normalise(text: str) -> str:
    """NFKC and case folded: full-width letters, ligatures and capitals make no difference."""
    return unicodedata.normalize("NFKC", text).casefold()


@dataclass(frozen=True, slots=True)
class Tokens:
    """The words of several texts in a row.

    Attributes:
        hashes: [words] one per word.
        rows: [texts + 1] text ``r`` has the words ``rows[r]:rows[r + 1]``.
        starts, ends: [words] where each word stands in ``joined``, the normalised texts.
    """

    hashes: Hashes
    rows: Places
    starts: Places
    ends: Places
    joined: str

    def text(self, first: int, num_words: int) -> str:
        """The normalised text from one word on, over ``num_words`` words."""
        return self.joined[self.starts[first] : self.ends[first + num_words - 1]]


def tokenize(texts: Sequence[str]) -> Tokens:
    """The words of each text. A soft hyphen or a zero-width blank, say, parts none."""
    normal = [normalise(text) for text in texts]
    joined, codes = _joined(normal)
    kinds, values = _characters()
    if (kinds[codes] == _UNSEEN).any():  # rare: found in the array, taken out one by one
        normal = [_INVISIBLE.sub("", text) for text in normal]
        joined, codes = _joined(normal)
    kind = np.concatenate([[0], kinds[codes], [0]])
    inside, alone = kind == 1, kind == 2
    starts = np.flatnonzero(alone[1:-1] | (inside[1:-1] & ~inside[:-2]))
    ends = np.flatnonzero(alone[1:-1] | (inside[1:-1] & ~inside[2:])) + 1
    lengths = np.fromiter((len(text) + 1 for text in normal), np.intp, len(normal))
    rows = np.searchsorted(starts, np.concatenate([[0], np.cumsum(lengths)]))
    return Tokens(_word_hashes(codes, values, starts, ends), rows, starts, ends, joined)


def _joined(texts: Sequence[str]) -> tuple[str, NDArray[np.uint32]]:
    joined = "\n".join([*texts, ""])
    return joined, np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _word_hashes(codes: NDArray[np.uint32], values: Hashes, starts: Places, ends: Places) -> Hashes:
    """Polynomials of the characters' values, then mixed."""
    if not len(starts):
        return np.zeros(0, np.uint64)
    lengths = ends - starts
    offsets = np.cumsum(lengths) - lengths
    inside = np.arange(int(lengths.sum())) - np.repeat(offsets, lengths)
    characters = codes[np.repeat(starts, lengths) + inside]
    terms = values[characters] * _powers(_WORD_POWER, _LONGEST)[inside % _LONGEST]
    return mix(np.add.reduceat(terms, offsets))


def ngrams(tokens: Tokens, n: int) -> tuple[Hashes, Places]:
    """Hashes of all n-grams and [texts + 1] where each text's begin; none cross two texts.

    The n-gram number ``g`` of text ``r`` begins at word ``rows[r] + g - begins[r]``.
    """
    counts = np.maximum(np.diff(tokens.rows) - n + 1, 0)
    begins = np.concatenate([[0], np.cumsum(counts)])
    runs = run_hashes(tokens.hashes, n)
    total = int(begins[-1])
    first = np.arange(total) + np.repeat(tokens.rows[:-1] - begins[:-1], counts)
    return mix(runs[first]), begins


def run_hashes(hashes: Hashes, n: int) -> Hashes:
    """``sum(h[i + k] * power ** k for k < n)`` for every i that has so many after it."""
    powers = _powers(_GRAM_POWER, n + 1)
    done, width = hashes, 1
    while width < n:
        step = min(width, n - width)
        room = max(len(hashes) - width - step + 1, 0)
        # the last ``step`` words of the wider run are a run of ``width``, or words by themselves
        more = done if step == width else run_hashes(hashes, step)
        done = done[:room] + more[width : width + room] * powers[width]
        width += step
    return done


def whole_hashes(tokens: Tokens) -> Hashes:
    """[texts] one hash of all the words of each text; 0 for a text without words."""
    counts = np.diff(tokens.rows)
    inside = np.arange(len(tokens.hashes)) - np.repeat(tokens.rows[:-1], counts)
    longest = int(counts.max(initial=1))
    terms = tokens.hashes * _powers(_GRAM_POWER, 1 << longest.bit_length())[inside]
    found = np.zeros(len(counts), np.uint64)
    if len(terms):
        has = counts > 0
        found[has] = mix(np.add.reduceat(terms, tokens.rows[:-1][has]))
    return found


def mix(values: Hashes) -> Hashes:
    """splitmix64's finalizer: every bit of the result depends on every bit of the value."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@cache
def _powers(base: np.uint64, count: int) -> Hashes:
    powers = np.full(count, base, np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)


@cache
def _characters() -> tuple[NDArray[np.uint8], Hashes]:
    """Of every code point: 0 separates, 1 is part of a word, 2 is a word, _UNSEEN is left out; and
    a random value, of letters that look alike the same."""
    kinds = np.zeros(0x110000, np.uint8)
    for code in range(0x110000):
        character = chr(code)
        if character.isalnum() or unicodedata.category(character)[0] == "M":
            kinds[code] = 1
    for code in np.flatnonzero(kinds).tolist():
        if unicodedata.name(chr(code), "").startswith(_ALONE):
            kinds[code] = 2
    for run in _INVISIBLE.finditer("".join(map(chr, range(0x110000)))):
        kinds[run.start() : run.end()] = _UNSEEN
    values = mix(np.arange(1, 0x110001, dtype=np.uint64) * _WORD_POWER)
    for latin, alike in _ALIKE.items():
        values[[ord(letter) for letter in alike]] = values[ord(latin)]
    return kinds, values
