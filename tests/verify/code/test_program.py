"""Which program a completion gives."""

from __future__ import annotations

import ast
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.types import Problem
from ponder.verify.code.program import continue_header, extract_program, whole_program

BLOCK = "```python\nprint(1)\n```"


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (BLOCK, "print(1)"),
        (f"<think>```py\nx\n```</think>{BLOCK}", "print(1)"),
        (f"<think> a </think> <answer>{BLOCK}</answer>", "print(1)"),
        (f"</think>```py\nother\n```<answer>{BLOCK}</answer>", "print(1)"),
        ("<answer>print(2)</answer>", "print(2)"),
        (f"```py\nfirst\n```\n{BLOCK}\n", "print(1)"),
        (f"{BLOCK}\nIt prints\n```\n1\n```", "print(1)"),  # the named block is the program
        (f"{BLOCK}\n```text\n1", "print(1)"),
        ("```\nx = 1\n```", "x = 1"),
        ("~~~python\nx = 1\n~~~", "x = 1"),
        ("````python\ns = '''\n```\n'''\n````", "s = '''\n```\n'''"),
        ("```Python\nx\n```", "x"),
        ('```python title="a"\nx\n```', "x"),
        ("  ```py\r\nx\r\n  ```\r\n", "x\r"),
        # none
        ("print(1)", None),
        ("", None),
        ("```cpp\nint main(){}\n```", None),
        (f"{BLOCK}\n```python\nprint(2)", None),  # nothing earlier stands in for it
        (f"<answer>{BLOCK}</answer><answer>", None),
        (f"<think> {BLOCK}", None),
        (f"</think><think> {BLOCK}", None),
        ("<answer>  \n </answer>", None),
        ("```python\n\n```", None),
        ("```python\nx```", None),
    ],
)
def test_extraction(text: str, program: str | None) -> None:
    assert extract_program(text) == program


def test_the_language_chooses_the_block() -> None:
    text = f"{BLOCK}\n```cpp\nint main() {{}}\n```"
    assert extract_program(text, "cpp") == "int main() {}"
    assert extract_program(text) == "print(1)"


HEADER = 'import math\n\ndef helper():\n    return 1\n\ndef f(x):\n    """Doc."""\n'


@pytest.mark.parametrize(
    "completion",
    [
        "    y = x\n    return y + helper()\n",  # a base model goes on
        "    y = x\n    return y + helper()\n\nprint(f(2))\nprint(",
        "<answer>    y = x\n    return y + helper()</answer>",
        "<answer> y = x\n    return y + helper() </answer>",
        "<answer>y = x\nreturn y + helper()</answer>",
        "```python\ny = x\nreturn y + helper()\n```",
        "```python\n\ty = x\n\treturn y + helper()\n```",
        "```python\ndef f(x):\n  return x + helper()\n```",
        "<answer>def f(x):\n    return math.floor(x) + helper()</answer>",
        "for y in [x]:\n    return y + helper()",
        "    return (\n        x + helper()\n)",
        "  y = x\n  return y + helper()",
        "<answer>     y = x\n    return y + helper() </answer>",
        "<answer>     for y in [x]:\n        return y + helper() </answer>",
        "<answer> return x + helper() </answer>",
    ],
)
def test_a_header_is_completed(completion: str) -> None:
    metadata = {"prompt_code": HEADER, "entry_point": "f"}
    program = whole_program(Problem("1", "q", "", "code", metadata), completion)
    assert program is not None
    names: dict[str, object] = {}
    exec(compile(ast.parse(program), "program", "exec"), names)
    assert names["f"](4) == 5  # type: ignore[operator]


def test_a_function_with_a_longer_name_is_not_the_entry_point() -> None:
    program = continue_header("def f(x):\n", "def f_2(y):\n    return y\nreturn f_2(x)", "f")
    assert program.startswith("def f(x):\n    def f_2")


def test_an_expression_is_put_behind_its_prefix() -> None:
    problem = Problem("1", "q", "", "code", {"prefix_code": "f = lambda a, b: "})
    assert whole_program(problem, "<answer> a + b </answer>") == "f = lambda a, b: a + b\n"
    assert whole_program(problem, "a + b") == "f = lambda a, b: a + b\n"
    assert whole_program(problem, "<think> a + b") is None


def test_the_reference_in_the_strict_format_is_the_program() -> None:
    problem = Problem("1", "q", "def f(x):\n\treturn x", "code", {})
    text = f"<think> reference </think> <answer> {problem.answer} </answer>"
    assert whole_program(problem, text) == problem.answer


PIECES = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "<answer>",
            "</answer>",
            "```",
            "```python",
            "\n",
            "x",
            " ",
            "\ud800",
        ]
    )
    | st.text(max_size=5),
    max_size=30,
)


@given(PIECES)
def test_extraction_never_raises_and_invents_nothing(pieces: list[str]) -> None:
    text = "".join(pieces)
    program = extract_program(text)
    assert program is None or (program in text and program.strip())


@pytest.mark.parametrize(
    "piece", ["```", "`" * 3 + " ", "~~~\n", "<answer>", "```a`\n", "\t", "``` x"]
)
def test_extraction_is_linear(piece: str) -> None:
    text = piece * (400_000 // len(piece)) + "`"
    start = time.perf_counter()
    extract_program(text)
    extract_program(text + "\n```\n" + text)
    assert time.perf_counter() - start < 2
