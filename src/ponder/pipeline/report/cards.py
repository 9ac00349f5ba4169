"""Data cards of the stages as HTML: the paper's table of domains, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ponder.pipeline.report.data import Card


def cards_html(cards: Sequence[Card]) -> str:
    """A figure for each card; a note where there is none."""
    if not cards:
        return "<p class='note'>No stage has written rows yet.</p>"
    return f"<div class='datacards'>{''.join(map(_card, cards))}</div>"


def _card(card: Card) -> str:
    return _rows_card(card) if "domains" in card.facts else _figures_card(card)


def _figures_card(card: Card) -> str:
    """Of preferences: one figure a line."""
    lines = "".join(
        f"<tr><th scope='row'>{escape(str(name).replace('_', ' '))}</th>"
        f"<td>{_shown(value)}</td></tr>"
        for name, value in card.facts.items()
        if isinstance(value, int | float | str)
    )
    return (
        f"<figure class='datacard'><h3>{escape(card.stage)}</h3>"
        f"<table class='figures'><tbody>{lines}</tbody></table></figure>"
    )


def _shown(value: float | str) -> str:
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.2f}"
    return f"{value:,.0f}" if isinstance(value, int | float) else escape(value)


def _rows_card(card: Card) -> str:
    facts = card.facts
    rows = [_domain(name or "(none)", one) for name, one in facts["domains"].items()]
    rows.append(_domain("total", facts["total"], "total"))
    head = "<tr><th>domain</th><th>rows</th><th>tokens</th><th>of the completion</th></tr>"
    kept = facts.get("num_read")
    kept_text = f"Of {kept:,} rows {facts['total']['rows']:,} were kept." if kept else ""
    return (
        f"<figure class='datacard'><h3>{escape(card.stage)} "
        f"<small>{escape(str(facts.get('name', '')))}</small></h3>"
        f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
        f"<p class='note'>{kept_text} {_counts('Languages', facts.get('languages'))} "
        f"{_counts('Dropped', facts.get('dropped'))}</p></figure>"
    )


def _domain(name: str, facts: Mapping[str, Any], css: str = "") -> str:
    figures = (facts.get("mean_tokens"), facts.get("mean_completion_tokens"))
    cells = "".join(f"<td>{'–' if f is None else f'{f:,.1f}'}</td>" for f in figures)
    head = f"<th scope='row'>{escape(name)}</th><td>{facts['rows']:,}</td>"
    return f"<tr class='{css}'>{head}{cells}</tr>"


def _counts(title: str, counts: Mapping[str, int] | None) -> str:
    if not counts:
        return ""
    told = ", ".join(f"{escape(str(name) or '(none)')} {count:,}" for name, count in counts.items())
    return f"{title}: {told}."
