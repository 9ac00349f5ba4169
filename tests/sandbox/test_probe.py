"""What is missing is said, with its fix, and without it nothing runs unless asked for."""

from __future__ import annotations

import pytest

from ponder.errors import PonderError
from ponder.sandbox.jobs import CallJob, CheckJob, CppJob, Limits, ScriptJob
from ponder.sandbox.probe import Piece, Probe, probe
from ponder.sandbox.sandbox import Sandbox

LACKING = Probe((Piece("landlock", "none", False, fix="use Linux 5.13 or later"),))


@pytest.fixture
def no_isolation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponder.sandbox.sandbox.probe", lambda: LACKING)


@pytest.mark.usefixtures("no_isolation")
def test_without_isolation_it_refuses_and_says_what_to_do() -> None:
    with pytest.raises(PonderError, match=r"landlock: none, so use Linux 5\.13.*--unsafe"):
        Sandbox()


def test_another_system_is_told_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    found = probe()
    assert not found.ok
    assert "virtual machine" in found.missing[0].fix


def test_a_kernel_without_landlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponder.sandbox.inside.landlock.abi", lambda: 0)
    assert [piece.name for piece in probe().missing] == ["landlock"]


def test_root_that_cannot_change_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("ponder.sandbox.probe._has_capability", lambda number: False)
    assert [piece.name for piece in probe().missing] == ["user"]


def test_a_missing_compiler_is_no_reason_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponder.sandbox.probe.find_compiler", lambda: None)
    assert "g++" not in [piece.name for piece in probe().missing]


@pytest.mark.usefixtures("no_isolation")
class TestUnsafe:
    def test_it_is_marked(self) -> None:
        with Sandbox(unsafe=True) as sandbox:
            assert not sandbox.is_isolated

    @pytest.mark.parametrize(
        ("source", "status"),
        [
            ("print(input())", "finished"),
            ("1 / 0", "crashed"),
            ("while True: pass", "timeout"),
            ("x = bytearray(1 << 40)", "memory"),
            ("while True: print('x' * 999)", "output"),
            ("import sys\nsys.exit(2)", "crashed"),
        ],
    )
    def test_scripts_end_the_same_way(self, source: str, status: str) -> None:
        with Sandbox(unsafe=True) as sandbox:
            outcome = sandbox.run(ScriptJob(source, b"\xff\n"), Limits(wall_seconds=0.7))
        assert outcome.status == status, outcome
        if status == "finished":
            assert outcome.stdout == b"\xff\n"

    def test_calls_and_checks(self) -> None:
        with Sandbox(unsafe=True) as sandbox:
            assert sandbox.run(CallJob("def f(x): return x + 1", "f", "[1]")).result == b"2"
            assert sandbox.run(CheckJob("x = 1", "assert x == 1")).passed
            assert not sandbox.run(CheckJob("x = 1", "assert x == 2")).passed

    def test_compiled_programs_are_refused(self) -> None:
        with Sandbox(unsafe=True) as sandbox, pytest.raises(PonderError, match="isolated"):
            sandbox.run(CppJob("int main() {}"))


def test_unsafe_where_the_isolation_is_there_is_isolated() -> None:
    if not probe().ok:
        pytest.skip("no isolation here")
    with Sandbox(unsafe=True) as sandbox:
        assert sandbox.is_isolated


@pytest.mark.parametrize("number", [0, -1, 1000])
def test_a_wrong_number_of_runs_at_once(number: int) -> None:
    with pytest.raises(PonderError, match="num_parallel"):
        Sandbox(num_parallel=number)
