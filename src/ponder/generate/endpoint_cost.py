"""What asking an endpoint costs: an estimate before, a running total while it is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

MILLION = 1_000_000
CHARACTERS_PER_TOKEN = 4

CountTokens = Callable[[str], int]


def about_tokens(text: str) -> int:
    """Tokens of a text without its tokenizer: a quarter of its characters (of English text)."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class Prices:
    """Per million tokens, in any currency."""

    prompt: float = 0.0
    completion: float = 0.0

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / MILLION


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a batch of requests will cost; those that stand in the cache cost nothing.

    ``completion_tokens`` and ``cost`` are what to expect, ``most_...`` if every completion ran into
    its limit.
    """

    num_requests: int
    num_cached: int
    prompt_tokens: int
    completion_tokens: int
    most_completion_tokens: int
    cost: float
    most_cost: float

    def __str__(self) -> str:
        return (
            f"{self.num_requests:,} requests ({self.num_cached:,} of them in the cache), "
            f"{self.prompt_tokens:,} prompt tokens, about {self.completion_tokens:,} completion "
            f"tokens{self._price()}"
        )

    def _price(self) -> str:
        if self.most_cost:
            return f": {_money(self.cost)}, at most {_money(self.most_cost)}"
        return "" if self.num_cached == self.num_requests else "; no prices are set"


def _money(cost: float) -> str:
    return f"{cost:.2f}" if cost >= 0.005 or not cost else "less than 0.01"


class Tally:
    """The running total of an endpoint. Thread-safe."""

    def __init__(self, prices: Prices) -> None:
        self.prices = prices
        self.num_answers = 0
        self.num_cached = 0
        self.num_retries = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self._lock = threading.Lock()

    @property
    def cost(self) -> float:
        """What was spent on answers that did not stand in the cache."""
        return self.prices.of(self.prompt_tokens, self.completion_tokens)

    def answer(self, prompt_tokens: int, completion_tokens: int) -> None:
        with self._lock:
            self.num_answers += 1
            self.prompt_tokens += prompt_tokens
            self.completion_tokens += completion_tokens

    def cached(self) -> None:
        with self._lock:
            self.num_cached += 1

    def retry(self) -> None:
        with self._lock:
            self.num_retries += 1

    def metrics(self) -> dict[str, float]:
        """For metrics.jsonl."""
        return {
            "endpoint/num_answers": self.num_answers,
            "endpoint/num_cached": self.num_cached,
            "endpoint/num_retries": self.num_retries,
            "endpoint/prompt_tokens": self.prompt_tokens,
            "endpoint/completion_tokens": self.completion_tokens,
            "endpoint/cost": self.cost,
        }
