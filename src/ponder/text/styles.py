"""Three coarse ways of thinking that can be told from the text alone, for plots and tables.

Counted by rule, so that nobody has to trust a judge: a completion with a reflective word *checks*;
otherwise one with two or more equals signs works in *steps*; the rest answer *directly*. The rule
knows the paper's ten English words only: a check in another language counts as steps.
"""

from __future__ import annotations

from typing import Literal, get_args

from ponder.text.reflection import count_reflective_words

Style = Literal["direct", "steps", "checks"]
STYLES: tuple[Style, ...] = get_args(Style)


def style_of(text: str) -> Style:
    """The style of one completion."""
    if count_reflective_words(text):
        return "checks"
    return "steps" if text.count("=") >= 2 else "direct"
