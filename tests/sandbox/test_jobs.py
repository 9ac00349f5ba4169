"""Each kind of job, and each status that a run can end with."""

from __future__ import annotations

import pytest

from ponder.errors import PonderError
from ponder.sandbox.jobs import CallJob, CheckJob, Limits, ScriptJob
from ponder.sandbox.sandbox import Sandbox
from ponder.sandbox.values import decode, encode

SHORT = Limits(wall_seconds=0.5, memory_mb=64, output_bytes=10_000)


def output(sandbox: Sandbox, source: str, stdin: bytes = b"") -> bytes:
    outcome = sandbox.run(ScriptJob(source, stdin))
    assert outcome.status == "finished", outcome
    return outcome.stdout


def test_a_script_reads_stdin_and_writes_stdout_and_stderr(sandbox: Sandbox) -> None:
    source = "import sys\nprint(input()[::-1])\nprint('note', file=sys.stderr)"
    outcome = sandbox.run(ScriptJob(source, b"abc\n"))
    assert (outcome.status, outcome.stdout, outcome.stderr) == ("finished", b"cba\n", b"note\n")
    assert (outcome.exit_code, outcome.signal, outcome.result) == (0, None, None)
    assert 0 < outcome.seconds < 2


@pytest.mark.parametrize("reader", ["sys.stdin.buffer.read()", "os.read(0, os.fstat(0).st_size)"])
def test_stdin_and_stdout_carry_any_bytes(sandbox: Sandbox, reader: str) -> None:
    data = bytes(range(256)) * 40
    assert output(sandbox, f"import sys, os\nsys.stdout.buffer.write({reader})", data) == data


def test_text_that_is_no_utf8_passes_through(sandbox: Sandbox) -> None:
    assert output(sandbox, "print(input())", b"caf\xe9\n") == b"caf\xe9\n"


def test_a_megabyte_of_input_may_stay_unread(sandbox: Sandbox) -> None:
    assert output(sandbox, "print(1)", b"x" * (4 << 20)) == b"1\n"


@pytest.mark.parametrize(
    ("source", "status", "code", "killed_by"),
    [
        ("", "finished", 0, None),
        ("exit()", "finished", 0, None),
        ("import sys\nsys.exit(3)", "crashed", 3, None),
        ("import sys\nsys.exit('words')", "crashed", 1, None),
        ("1 / 0", "crashed", 1, None),
        ("def f(:", "crashed", 1, None),
        ("x = 1\x00", "crashed", 1, None),
        ("import os\nos._exit(7)", "crashed", 7, None),
        ("import os\nos.abort()", "crashed", None, 6),
        ("import ctypes\nctypes.string_at(0)", "crashed", None, 11),
        ("while True: pass", "timeout", None, 9),
        ("import time\ntime.sleep(60)", "timeout", None, 9),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "timeout", None, 9),
        ("x = [0] * 10**9", "memory", None, 9),
        ("x = []\nwhile True: x.append(' ' * 10**6 + str(len(x)))", "memory", None, 9),
        ("while True: print('x' * 999)", "output", None, 9),
        ("import sys\nwhile True: sys.stderr.write('x' * 999)", "output", None, 9),
        ("print('x' * 10_000, end='')", "finished", 0, None),
        ("print('x' * 10_001, end='')", "output", None, None),
        ("try: [0] * 10**9\nexcept MemoryError: print('went on')", "finished", 0, None),
        ("try: eval('(' * 10**5)\nexcept (SyntaxError, MemoryError): exit(4)", "crashed", 4, None),
        ("import threading, os, time\nthreading.Thread(target=time.sleep, args=(9,)).start()\n"
         "os._exit(0)", "finished", 0, None),
    ],
)  # fmt: skip
def test_how_a_script_ends(
    sandbox: Sandbox, source: str, status: str, code: int | None, killed_by: int | None
) -> None:
    outcome = sandbox.run(ScriptJob(source), SHORT)
    assert outcome.status == status, outcome
    assert len(outcome.stdout) + len(outcome.stderr) <= SHORT.output_bytes
    assert outcome.seconds < 1.5
    if status != "output":
        assert (outcome.exit_code, outcome.signal) == (code, killed_by)


def test_endless_recursion_ends_soon_whatever_its_limit(sandbox: Sandbox) -> None:
    source = "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()"
    outcome = sandbox.run(ScriptJob(source), Limits(wall_seconds=10))
    assert outcome.status in ("crashed", "memory")
    assert outcome.seconds < 5


def test_deep_recursion_that_ends_is_fine(sandbox: Sandbox) -> None:
    source = (
        "import sys\nsys.setrecursionlimit(10**6)\n"
        "def f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(20_000))"
    )
    assert output(sandbox, source) == b"20000\n"


def test_the_end_of_a_program_is_an_interpreters(sandbox: Sandbox) -> None:
    source = (
        "import atexit, threading, time\n"
        "atexit.register(print, 'third')\n"
        "def late():\n    time.sleep(0.05)\n    print('second')\n"
        "threading.Thread(target=late).start()\n"
        "print('first')\n"
    )
    assert output(sandbox, source) == b"first\nsecond\nthird\n"


def test_a_traceback_shows_the_program_alone(sandbox: Sandbox) -> None:
    outcome = sandbox.run(ScriptJob("def f():\n    raise KeyError('k')\nf()"))
    assert outcome.detail == "KeyError: 'k'"
    assert outcome.stderr.count(b"  File ") == 2
    assert b"harness" not in outcome.stderr


def test_what_programs_import_is_there(sandbox: Sandbox) -> None:
    modules = "asyncio csv dataclasses difflib fractions hashlib json.tool statistics unittest zlib"
    lines = "\n".join(f"import {name}" for name in modules.split())
    assert output(sandbox, f"{lines}\nprint(hashlib.sha256(b'').hexdigest()[:8])") == b"e3b0c442\n"


def test_an_event_loop_runs(sandbox: Sandbox) -> None:
    source = (
        "import asyncio\n"
        "async def f():\n    await asyncio.sleep(0.01)\n    print('slept')\n"
        "asyncio.run(f())"
    )
    assert output(sandbox, source) == b"slept\n"


def test_the_same_program_prints_the_same(sandbox: Sandbox) -> None:
    source = "print(hash('word'), list({'a', 'b', 'c', 'd'}))"
    assert output(sandbox, source) == output(sandbox, source)


# Calls


def called(sandbox: Sandbox, source: str, *arguments: object, function: str = "f") -> object:
    outcome = sandbox.run(CallJob(source, function, encode(list(arguments))))
    assert outcome.status == "finished", outcome
    assert outcome.result is not None
    return decode(outcome.result)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -5, 1.5, "word \ud800 ü", [], [1, [2]], (1, (2,)), {1, 2}, frozenset({3}),
        {"a": 1}, {1: "b", (2, 3): None}, {"$set": [1]}, b"\x00\xff", 1 + 2j,
        pytest.param(10**6000, id="huge"),
    ],
)  # fmt: skip
def test_a_value_goes_in_and_comes_out(sandbox: Sandbox, value: object) -> None:
    found = called(sandbox, "def f(x):\n    print('noise')\n    return x", value)
    assert found == value
    assert type(found) is type(value)


def test_floats_that_are_no_numbers_come_back(sandbox: Sandbox) -> None:
    found = called(sandbox, "def f():\n    return [float('nan'), float('inf')]")
    assert str(found) == "[nan, inf]"


def test_a_method_of_solution_is_found(sandbox: Sandbox) -> None:
    source = "class Solution:\n    def add(self, a, b):\n        return a + b"
    assert called(sandbox, source, 1, 2, function="add") == 3
    assert called(sandbox, source, 1, 2, function="Solution.add") == 3


def test_named_arguments(sandbox: Sandbox) -> None:
    outcome = sandbox.run(CallJob("def f(a, b):\n    return a - b", "f", '{"b": 1, "a": 5}'))
    assert outcome.result == b"4"


def test_the_program_of_a_call_is_not_main(sandbox: Sandbox) -> None:
    source = "if __name__ == '__main__':\n    raise SystemExit(1)\ndef f():\n    return __name__"
    assert called(sandbox, source) != "__main__"


def test_an_overridden_comparison_does_not_come_along(sandbox: Sandbox) -> None:
    source = (
        "class Any(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n"
        "class Items(list):\n    def __iter__(self): return iter([9])\n"
        "def f():\n    return [Any(3), Items([1, 2])]"
    )
    found = called(sandbox, source)
    assert found == [3, [1, 2]]
    assert isinstance(found, list)
    assert [type(item) for item in found] == [int, list]


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        ("def f():\n    return object()", "crashed", "type object"),
        ("def g(): pass", "crashed", "no function 'f'"),
        ("def f(x): pass", "crashed", "missing 1 required"),
        ("def f():\n    return 'x' * 2000000", "output", ""),
        (
            "def f():\n    x = []\n    for _ in range(1000): x = [x]\n    return x",
            "crashed",
            "deeper",
        ),
        ("def f():\n    x = []\n    x.append(x)\n    return x", "crashed", "deeper"),
        ("def f():\n    return 1 / 0", "crashed", "ZeroDivisionError"),
    ],
)
def test_calls_that_give_no_value(sandbox: Sandbox, source: str, status: str, words: str) -> None:
    outcome = sandbox.run(CallJob(source, "f"))
    assert (outcome.status, outcome.result) == (status, None) or outcome.status == "output"
    assert words in outcome.detail


@pytest.mark.parametrize("leave", ["import os\nos._exit(0)", "raise SystemExit", "exit()"])
def test_a_call_that_leaves_early_has_no_result(sandbox: Sandbox, leave: str) -> None:
    outcome = sandbox.run(CallJob(f"def f():\n    return 1\n{leave}", "f"))
    assert (outcome.status, outcome.result) == ("finished", None)


@pytest.mark.parametrize("text", ["{", "3", '"a"'])
def test_wrong_arguments_are_the_users_mistake(sandbox: Sandbox, text: str) -> None:
    with pytest.raises(PonderError, match="args_json"):
        sandbox.run(CallJob("", "f", text))


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"$x": 1}', b'{"$set": [[1]]}', b'{"$dict": 3}', b"[" * 10**5, b'{"$int": 1}',
     b'{"$bytes": "g"}', b"\xff", b'{"$dict": [[1]]}', b'{"$complex": ["a"]}'],
)  # fmt: skip
def test_forged_results_are_value_errors(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (whatever the words)
        decode(text)


# Checks


@pytest.mark.parametrize(
    ("source", "tests", "passed"),
    [
        ("def f(x): return x + 1", "assert f(1) == 2\nassert f(2) == 3", True),
        ("def f(x): return x + 1", "assert f(1) == 2\nassert f(2) == 4", False),
        ("def f(x): return x + 1", "", True),
        ("import os\nos._exit(0)", "assert False", False),
        ("raise SystemExit(0)", "assert False", False),
        ("def f(x): raise SystemExit(0)", "assert f(1) == 2", False),
        ("def f(x):\n    import os\n    os._exit(0)", "assert f(1) == 2", False),
        ("import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 0",
         "assert f(1) == 2", False),
        ("import sys\nsys.excepthook = lambda *a: None\ndef f(x): return 0",
         "assert f(1) == 2", False),
        ("import os\nfor n in range(3, 10):\n    try: os.write(n, b'x' * 32)\n"
         "    except OSError: pass", "assert False", False),
    ],
)  # fmt: skip
def test_checks_pass_only_by_reaching_their_end(
    sandbox: Sandbox, source: str, tests: str, passed: bool
) -> None:
    outcome = sandbox.run(CheckJob(source, tests))
    assert outcome.passed is passed
    assert outcome.result is None


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["wall_seconds", "memory_mb", "output_bytes"])
def test_a_limit_that_limits_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(PonderError, match=name):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_wall_time_begins_when_the_program_does(sandbox: Sandbox) -> None:
    """A limit that is over before the job is even taken: a timeout, and the zygote lives on."""
    limits = Limits(wall_seconds=0.0005)
    statuses = {sandbox.run(ScriptJob("while True: pass"), limits).status for _ in range(60)}
    assert statuses == {"timeout"}
