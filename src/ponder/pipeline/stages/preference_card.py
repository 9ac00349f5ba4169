"""What preferences are like as a set: balanced, counted, and said on a card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ponder.config.preferences import PreferencesConfig
from ponder.curate.labels import balance_labels
from ponder.curate.pairs import balance_lengths, longer_chosen
from ponder.curate.preferences import Labelled, Pair
from ponder.pipeline.context import StageContext
from ponder.pipeline.stages.judged import settings_of
from ponder.pipeline.stages.teachers import name_of, open_tokenizer
from ponder.runlog import write_json_atomic
from ponder.runlog.durable import write_atomic
from ponder.seeds import derive_seed
from ponder.text.final import final_answer

CountTokens = Callable[[str], int]
Card = dict[str, Any]

_SAID = {
    "prompts": "prompts",
    "completions": "completions",
    "cut_off": "cut off at the limit",
    "asked": "put to the judge",
    "without_answer": "dropped: without a final answer",
    "unjudged": "dropped: no verdict that could be read",
    "small_margin": "dropped: small margin",
    "unbalanced": "dropped: to balance",
    "kept": "kept",
    "good": "good",
    "bad": "bad",
    "longer_chosen_before": "longer one chosen, before balancing",
    "longer_chosen": "longer one chosen",
    "mean_tokens_chosen": "mean tokens of a chosen answer",
    "mean_tokens_rejected": "mean tokens of a rejected answer",
    "mean_tokens_good": "mean tokens of a good text",
    "mean_tokens_bad": "mean tokens of a bad text",
    "mean_margin": "mean margin",
    "judge": "judge",
    "sampled_from": "sampled from",
}


def count_tokens(source: str) -> CountTokens:
    """Tokens of a text under a model's tokenizer."""
    tokenizer = open_tokenizer(source)
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def balanced(
    config: PreferencesConfig,
    rows: Sequence[Pair | Labelled],
    counts: Mapping[str, int],
    tokens: CountTokens,
) -> tuple[Sequence[Pair | Labelled], Card]:
    """The rows that stay, and the card. No rows where nothing could be learnt of them."""
    pairs = [row for row in rows if isinstance(row, Pair)]
    labels = [row for row in rows if isinstance(row, Labelled)]
    if config.objective == "pairwise":
        kept: Sequence[Pair] = pairs
        if config.balance_lengths:
            kept = balance_lengths(pairs, settings_of(config), tokens)
        about = {"longer_chosen_before": round(longer_chosen(pairs, tokens), 4)}
        card = {**counts, "unbalanced": len(pairs) - len(kept), "kept": len(kept)}
        return kept, card | about | _of_pairs(kept, tokens)
    stay = labels
    if config.balance_labels:
        stay = balance_labels(labels, derive_seed(config.seed, "labels"))
    card = {**counts, "unbalanced": len(labels) - len(stay), "kept": len(stay)}
    card |= _of_labels(stay, tokens)
    return stay if card["good"] and card["bad"] else [], card


def _of_pairs(pairs: Sequence[Pair], tokens: CountTokens) -> Card:
    return {
        "longer_chosen": round(longer_chosen(pairs, tokens), 4),
        "mean_tokens_chosen": _mean([tokens(final_answer(p.chosen, p.prompt)) for p in pairs]),
        "mean_tokens_rejected": _mean([tokens(final_answer(p.rejected, p.prompt)) for p in pairs]),
        "mean_margin": _mean([pair.margin for pair in pairs]),
    }


def _of_labels(rows: Sequence[Labelled], tokens: CountTokens) -> Card:
    good = [tokens(row.completion) for row in rows if row.is_good]
    bad = [tokens(row.completion) for row in rows if not row.is_good]
    return {
        "good": len(good),
        "bad": len(bad),
        "mean_tokens_good": _mean(good),
        "mean_tokens_bad": _mean(bad),
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def write_card(context: StageContext, config: PreferencesConfig, card: Card, source: str) -> None:
    """card.json, and card.md for people."""
    judge = config.judge
    who = {"rule": judge.rule or "the problems' own rules", "endpoint": judge.endpoint.model}
    named = card | {"judge": who.get(judge.by, judge.model), "sampled_from": name_of(source)}
    write_json_atomic(context.folder / "card.json", {"objective": config.objective} | named)
    lines = [f"# Preferences ({config.objective})", "", "| what | figure |", "|---|---|"]
    for key, said in _SAID.items():
        if named.get(key) is not None:
            value = named[key]
            lines.append(f"| {said} | {f'{value:,}' if isinstance(value, int) else value} |")
    write_atomic(context.folder / "card.md", "\n".join([*lines, ""]).encode())
    what = "pairs" if config.objective == "pairwise" else "labels"
    context.view.note(
        f"{card['kept']:,} {what} of {card['asked']:,}; card: {context.folder / 'card.md'}"
    )
