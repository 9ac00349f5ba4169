"""Documents about countdown: guesses, single tries, tries that are compared, tries in a row.

What is written here is what the base can do before any reward. Most writers put down one try and
believe it. Some compare what came out with the target, and of those most stop at once whatever they
find; a few go on. Nothing tells the reader which of them does best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from random import Random

from ponder.config.pretrain import CountdownConfig
from ponder.corpus.countdown import (
    Chain,
    Countdown,
    Heldout,
    draw_countdown,
    random_chain,
    wrong_chain,
)
from ponder.corpus.documents import WRAPPERS, Document, DocumentWriter
from ponder.corpus.search_phrases import CHINESE_SEARCH, ENGLISH_SEARCH, SearchPhrases
from ponder.errors import PonderError


@dataclass(frozen=True, slots=True)
class SearchShares:
    """Share of each way of thinking among countdown problems, and the rates of right tries.

    ``guess``: an expression, nothing worked out. ``steps``: one try worked out, and believed.
    ``cosmetic``: a guess and a check in words only. ``checked``: a guess, worked out and compared;
    whoever finds it wrong answers with it all the same, or with another guess. ``search``: tries in
    a row, each compared; a hasty writer goes on with probability ``hasty_goes_on`` after a miss, a
    patient one (share ``patient`` of these) with ``patient_goes_on``. A try is right about as often
    in every style: what differs is only what the writer makes of it.

    Of all documents, ``tables`` are lists of true equations and comparisons, and ``arithmetic`` are
    documents of the bundled base's corpus. A wrong try is the nearest of ``care`` random ones.
    """

    guess: float = 0.40
    steps: float = 0.36
    cosmetic: float = 0.03
    checked: float = 0.05
    search: float = 0.16
    guess_right_rate: float = 0.3
    steps_right_rate: float = 0.3
    hasty_right_rate: float = 0.3
    hasty_goes_on: float = 0.7
    patient: float = 0.35
    patient_right_rate: float = 0.25
    patient_goes_on: float = 0.97
    most_tries: int = 16
    care: int = 3
    tables: float = 0.10
    arithmetic: float = 0.10

    @classmethod
    def from_mapping(cls, shares: Mapping[str, float]) -> SearchShares:
        """The defaults with ``shares`` on top; PonderError for an unknown name."""
        types = {item.name: item.type for item in fields(cls)}
        given: dict[str, int | float] = {}
        for name, value in shares.items():
            if name not in types:
                raise PonderError(
                    f"corpus.styles.{name}", value, f"use one of {', '.join(sorted(types))}"
                )
            given[name] = int(value) if types[name] == "int" else value
        return cls(**given)  # type: ignore[arg-type]

    def styles(self) -> dict[str, float]:
        """The shares alone, by style."""
        names = ("guess", "steps", "cosmetic", "checked", "search")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Searcher:
    """Writes one thought about a countdown problem; the chain that it ends in is its answer."""

    rng: Random
    phrases: SearchPhrases
    shares: SearchShares
    problem: Countdown

    def say(self, bank: tuple[str, ...], chain: Chain) -> str:
        text = self.rng.choice(bank)
        if "{" not in text:
            return text
        target = self.problem.target
        return text.format(e=chain.expression(), v=chain.value, t=target, d=chain.value - target)

    def attempt(self, right_rate: float) -> Chain:
        if self.rng.random() < right_rate:
            return self.problem.solution
        return wrong_chain(self.rng, self.problem, self.shares.care)

    def guess(self) -> tuple[str, Chain]:
        chain = self.attempt(self.shares.guess_right_rate)
        return self.say(self.phrases.guess, chain), chain

    def steps(self) -> tuple[str, Chain]:
        chain = self.attempt(self.shares.steps_right_rate)
        text = self.rng.choice(self.phrases.begin) + ", ".join(chain.equations())
        return text + self.say(self.phrases.conclude, chain), chain

    def cosmetic(self) -> tuple[str, Chain]:
        text, chain = self.guess()
        return text + self.say(self.phrases.cosmetic, chain), chain

    def verdict(self, chain: Chain) -> str:
        """What came out beside the target, and whether they are the same."""
        text = self.say(self.phrases.compare, chain)
        if chain.value == self.problem.target:
            return text + self.say(self.phrases.matches, chain) + self.say(self.phrases.take, chain)
        return text + self.say(self.phrases.differs, chain)

    def checked(self) -> tuple[str, Chain]:
        text, chain = self.guess()
        text += self.rng.choice(self.phrases.check) + ", ".join(chain.equations())
        text += self.verdict(chain)
        if chain.value == self.problem.target:
            return text, chain
        if self.rng.random() < 0.5:
            chain = self.attempt(self.shares.guess_right_rate)
        return text + self.say(self.phrases.settle, chain), chain

    def search(self) -> tuple[str, Chain]:
        shares, rng = self.shares, self.rng
        is_patient = rng.random() < shares.patient
        right_rate = shares.patient_right_rate if is_patient else shares.hasty_right_rate
        goes_on = shares.patient_goes_on if is_patient else shares.hasty_goes_on
        text, seen = rng.choice(self.phrases.begin), set[str]()
        for tries in range(1, shares.most_tries + 1):
            chain = self.another(right_rate, seen)
            work = ", ".join(chain.equations())
            seen.add(work)
            text += work + self.verdict(chain)
            if chain.value == self.problem.target:
                return text, chain
            if tries == shares.most_tries or rng.random() >= goes_on:
                break
            text += self.say(self.phrases.again, chain)
        return text + self.say(self.phrases.settle, chain), chain

    def another(self, right_rate: float, seen: set[str]) -> Chain:
        """A try that is not among those ``seen``, unless few numbers leave hardly another."""
        chain = self.attempt(right_rate)
        for _ in range(8):
            if ", ".join(chain.equations()) not in seen:
                break
            chain = wrong_chain(self.rng, self.problem, 1)
        return chain

    def think(self, style: str) -> tuple[str, Chain]:
        """The thought in ``style`` and the chain that it ends in."""
        writers: dict[str, Callable[[], tuple[str, Chain]]] = {
            "guess": self.guess,
            "steps": self.steps,
            "cosmetic": self.cosmetic,
            "checked": self.checked,
            "search": self.search,
        }
        return writers[style]()


@dataclass(frozen=True, slots=True)
class SearchWriter:
    """Writes document ``index`` of the countdown corpus; (seed, index) decides the text.

    Args:
        heldout: problems that no document asks, in any order of their numbers.
        arithmetic: writes the documents of the bundled base's corpus; the other seed is its own.
    """

    seed: int = 0
    config: CountdownConfig = field(default_factory=CountdownConfig)
    shares: SearchShares = field(default_factory=SearchShares)
    heldout: Heldout = frozenset()
    arithmetic: DocumentWriter = field(default_factory=DocumentWriter)

    def document(self, index: int) -> Document:
        rng = Random((self.seed << 40) + index)
        kind = rng.random()
        if kind < self.shares.arithmetic:
            return self.arithmetic.document(index)
        if kind < self.shares.arithmetic + self.shares.tables:
            return self.table(rng)
        problem = draw_countdown(rng, self.config, self.heldout)
        styles = self.shares.styles()
        style = rng.choices(list(styles), list(styles.values()))[0]
        wrapper = rng.choices(list(WRAPPERS), [share for share, _ in WRAPPERS.values()])[0]
        chinese = wrapper == "chinese"
        phrases = CHINESE_SEARCH if chinese else ENGLISH_SEARCH
        thought, chain = Searcher(rng, phrases, self.shares, problem).think(style)
        answer = chain.expression()
        final = rng.choice(phrases.final).format(e=answer)
        text = WRAPPERS[wrapper][1](rng, question(rng, problem, chinese), thought, final, answer)
        return Document(text, "countdown", style, wrapper, chinese, chain.value == problem.target)

    def table(self, rng: Random) -> Document:
        """True equations of the sizes that countdown needs; values and targets compared."""
        lines = []
        for _ in range(rng.randint(3, 8)):
            chain = random_chain(rng, draw_countdown(rng, self.config).numbers)
            work = ", ".join(chain.equations())
            kind = rng.random()
            if kind < 0.25:
                work = f"{chain.expression()}: {work}"
            elif kind < 0.75:
                work += compared(rng, chain)
            lines.append(work)
        head = rng.choice(("", "", "Table:\n", "Practice:\n", "算术表：\n"))
        return Document(head + "\n".join(lines), "table", "table", "table", False, True)


def compared(rng: Random, chain: Chain) -> str:
    """The value beside a target, half of the time the same, and the verdict."""
    target = chain.value
    while rng.random() < 0.5 or target < 0:
        target = abs(chain.value + rng.choice((-10, -3, -2, -1, 1, 2, 3, 10)))
    verdict = ENGLISH_SEARCH.matches if target == chain.value else ENGLISH_SEARCH.differs
    text = rng.choice(ENGLISH_SEARCH.compare) + rng.choice(verdict)
    return text.format(t=target, v=chain.value, d=chain.value - target).removesuffix(".") + "."


INSTRUCTIONS = (
    "\n\nFinal answer format instructions:\n"
    "1. Provide your solution as a arithmetic expression (no '=' sign).\n"
    "2. Do not include the target number in the expression.\n"
    "3. Use '*' for multiplication.\n"
    "4. Use '/' for division.\n"
    "5. Do not include any other text or formatting.\n"
)
ASKED_BY_GYM = (
    "Using all the numbers {n}, create an expression that equals {t}.\n"
    "You can only use each number once.",
    "Find a way to make {t} using all of these numbers: {n}.\nEach number can only be used once.",
    "Calculate {t} using all of these numbers: {n}.\nEach number may be used at most once.",
)
ASKED_BRIEFLY = ("Make {t} from {n}.", "Reach {t} with {n}.", "Countdown: {n}. Target: {t}.")
ASKED_IN_CHINESE = ("用 {n} 算出 {t}。", "怎样用 {n} 得到 {t}？", "数字：{n}。目标：{t}。")


def question(rng: Random, problem: Countdown, chinese: bool) -> str:
    """The problem in reasoning-gym's words (half of them with its instructions), or in others."""
    numbers = ", ".join(map(str, problem.numbers))
    if chinese:
        return rng.choice(ASKED_IN_CHINESE).format(n=numbers, t=problem.target)
    if rng.random() < 0.3:
        return rng.choice(ASKED_BRIEFLY).format(n=numbers, t=problem.target)
    text = rng.choice(ASKED_BY_GYM).format(n=numbers, t=problem.target)
    return text + INSTRUCTIONS if rng.random() < 0.5 else text
