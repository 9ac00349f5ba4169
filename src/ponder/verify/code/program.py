"""Which program a completion gives. Works on text alone: nothing of a model's is parsed here."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

from ponder.types import Problem

_TAGS: Mapping[str, frozenset[str]] = {
    "python": frozenset({"python", "py", "python3"}),
    "cpp": frozenset({"cpp", "c++", "cc", "cxx", "cpp17"}),
}
_FENCE = re.compile(r"[ \t]{0,3}+(`{3,}+|~{3,}+)[ \t]*+([^\s`]*+)[^`\n]*+")
_ANSWER_TAG = re.compile(r"</?answer>")
_FIRST_INDENT = re.compile(r"^([ \t]+)\S", re.MULTILINE)


def extract_program(completion: str, language: str = "python") -> str | None:
    """The program that a completion commits to, or None. Never raises.

    After the last ``</think>``, inside the last ``<answer>`` element if one is there: the last
    fenced block of the language, or without one the last that names no language; else the whole
    text of the answer element. Nothing earlier stands in for a last block or element that was
    never closed.
    """
    after = completion.rpartition("</think>")[2].partition("<think>")[0]
    answer, has_tag = _answer_element(after)
    if has_tag and answer is None:
        return None
    text = after if answer is None else answer
    blocks, is_open = _blocks(text, language)
    if is_open:
        return None
    if blocks:
        return blocks[-1] if blocks[-1].strip() else None
    return answer if answer is not None and answer.strip() else None


def whole_program(problem: Problem, completion: str) -> str | None:
    """The program to be tested: what the completion gives, on top of what the problem gives.

    ``metadata["prompt_code"]``: a function's header; the completion continues it, or defines
    ``metadata["entry_point"]`` anew. ``metadata["prefix_code"]``: what stands before the answer,
    which may be a mere expression. With either, a completion without any tag or fence is taken
    whole.
    """
    where = problem.metadata
    prompt_code, prefix = where.get("prompt_code"), where.get("prefix_code")
    program = extract_program(completion, where.get("language", "python"))
    if program is None and (prompt_code or prefix) and _is_bare(completion):
        program = completion
    if program is None:
        return None
    if prompt_code:
        return continue_header(prompt_code, program, where.get("entry_point", ""))
    if prefix:
        return f"{prefix}{program.strip()}\n"
    return program.strip("\n") if program[:1] == "\n" else program.strip()


def continue_header(prompt_code: str, code: str, entry_point: str) -> str:
    """A function's header and its body; where ``code`` defines the function, what is before it.

    What stands before the function in ``prompt_code`` (imports, functions that it may use) is kept
    in both cases. A body ends at its first line that is not indented.
    """
    definition = re.compile(rf"^(?:async[ \t]+)?def[ \t]+{re.escape(entry_point)}\b", re.MULTILINE)
    if entry_point and definition.search(code.strip()):
        header = definition.search(prompt_code)
        return f"{prompt_code[: header.start()] if header else ''}\n{code.strip()}\n"
    return f"{prompt_code.rstrip()}\n{_body(prompt_code, code)}\n"


def _body(prompt_code: str, code: str) -> str:
    """The lines of a body, indented as the header wants it."""
    found = _FIRST_INDENT.search(prompt_code)
    indent = found[1].expandtabs(4) if found else "    "
    lines = code.expandtabs(4).strip("\n").rstrip().split("\n")
    if _width(lines[0]):  # a base model goes on: the body ends where something else begins
        ends = (n for n, line in enumerate(lines) if line.strip() and line[0] not in " )]}")
        lines = lines[: next(ends, len(lines))]
    rest = [_width(line) for line in lines[1:] if line.strip()]
    if not rest or _width(lines[0]) != min(rest):
        # The first line's indentation got lost, or grew, with the space around the answer.
        lines[0] = lines[0].lstrip()
        opens = lines[0].endswith(":") and rest and rest[0] <= len(indent)
        if not opens and 0 not in rest:
            lines[0] = indent + lines[0]
            return "\n".join(lines)
    return textwrap.indent(textwrap.dedent("\n".join(lines)), indent)


def _width(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_bare(completion: str) -> bool:
    tags = ("<think>", "</think>", "<answer>", "```", "~~~")
    return bool(completion.strip()) and not any(tag in completion for tag in tags)


def _answer_element(text: str) -> tuple[str | None, bool]:
    """The last ``<answer>`` element, and whether one was opened at all."""
    answer: str | None = None
    opened: int | None = None
    has_tag = False
    for tag in _ANSWER_TAG.finditer(text):
        if tag[0] == "<answer>":
            opened, answer, has_tag = tag.end(), None, True
        elif opened is not None:
            answer, opened = text[opened : tag.start()], None
    return answer, has_tag


def _blocks(text: str, language: str) -> tuple[list[str], bool]:
    """The blocks to choose from, and whether one that might be the program was never closed."""
    named: list[str] = []
    unnamed: list[str] = []
    fence, tag = "", ""
    lines: list[str] = []
    for line in text.split("\n"):
        match = _FENCE.fullmatch(line.rstrip())
        if not fence:
            if match:
                fence, tag, lines = match[1], match[2].lower(), []
        elif match and match[1].startswith(fence) and not match[2]:
            if tag in _TAGS.get(language, ()):
                named.append("\n".join(lines))
            elif not tag:
                unnamed.append("\n".join(lines))
            fence = ""
        else:
            lines.append(line)
    is_open = bool(fence) and (not tag or tag in _TAGS.get(language, ()))
    return named or unnamed, is_open
