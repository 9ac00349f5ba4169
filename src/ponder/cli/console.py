"""What the commands share on the terminal: consoles, and how a completion is shown."""

from __future__ import annotations

import os

from rich.console import Console
from rich.text import Text

THOUGHT, ANSWER = "dim", "bold"
_PIPE_WIDTH = 220
END_OF_THOUGHT = "</think>"


def console() -> Console:
    """Standard output. Nothing is guessed from what is printed (no emoji, no number colouring).

    In a pipe or a file lines are long, so that one row is one line.
    """
    out = Console(highlight=False, emoji=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = _PIPE_WIDTH
    return out


def shown(text: str) -> str:
    """Text of a model, safe to print: control and invisible characters appear as escapes."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text
    )


def styled(completion: str, after_thought: bool = False) -> Text:
    """A completion with its thought dimmed and what follows it bright; never read as markup.

    The thought is all up to the last ``</think>``, or everything where one was opened and not
    closed. ``after_thought`` says that the thought ended before this text (when streaming).
    """
    head, tag, tail = completion.rpartition(END_OF_THOUGHT)
    if not tag and "<think>" in completion and not after_thought:
        head, tail = completion, ""
    text = Text()
    text.append(shown(head + tag), style=THOUGHT)
    text.append(shown(tail), style=ANSWER)
    return text


def clock_time(seconds: float) -> str:
    """Seconds as ``1:05`` or ``2:03:09``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
