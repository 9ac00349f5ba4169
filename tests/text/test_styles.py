from __future__ import annotations

import pytest

from ponder.text.styles import style_of


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("<think> 3*4=12. </think> <answer> 12 </answer>", "direct"),
        ("", "direct"),
        ("3*40=120, 3*2=6, so 126", "steps"),
        ("3*42=125. Wait, 3*40=120", "checks"),
        ("Let me verify.", "checks"),
        ("3*42=125。等等，3*40=120", "steps"),  # the paper's words are English
    ],
)
def test_style_by_rule(text: str, style: str) -> None:
    assert style_of(text) == style
