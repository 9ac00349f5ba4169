"""`ponder chat`: one question a line, the thought dimmed, the answer bright."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from ponder.cli.console import console, styled
from ponder.cli.opened import OpenModel, open_model
from ponder.types import Completion, Problem


def run(arguments: Namespace) -> int:
    """Answer every line of standard input; each is a conversation of its own."""
    opened = open_model(arguments)
    out = console()
    is_person = sys.stdin.isatty()
    if is_person:
        template = opened.make_prompt.template.name
        out.print(Text(f"{arguments.model}, template {template}. Ctrl-D ends.", style="dim"))
    for number, question in enumerate(_questions(is_person)):
        completion = answer(opened, question, number, arguments.seed, out)
        _print(completion, out)
    return 0


def answer(opened: OpenModel, question: str, number: int, seed: int, out: Console) -> Completion:
    """The model's completion; the same question asked again gets another one."""
    problem = Problem(f"chat-{number}", question, "")
    prompt, sampling = opened.make_prompt(problem), opened.sampling_for([problem])
    with out.status("thinking"):
        return opened.generator.generate([prompt], 1, sampling, seed)[0][0]


def _questions(is_person: bool) -> Iterator[str]:
    while True:
        try:
            line = input("> " if is_person else "")
        except EOFError:
            if is_person:
                print()  # noqa: T201 - ends the line of input's own prompt
            return
        if line.strip():
            yield line.strip()


def _print(completion: Completion, out: Console) -> None:
    out.print(styled(completion.text.strip()), soft_wrap=True)
    if completion.finish_reason == "length":
        note = f"(cut off at {len(completion.token_ids)} tokens; --max-completion-tokens)"
        out.print(Text(note, style="dim italic"))
