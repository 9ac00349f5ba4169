"""`ponder sandbox`: the pieces, the escapes, and an exit code that means it."""

from __future__ import annotations

import json

import pytest

from ponder.cli.main import main
from ponder.sandbox.escapes import Attempted
from ponder.sandbox.jobs import SandboxLost
from ponder.sandbox.probe import Piece, Probe, probe

LACKING = Probe((Piece("landlock", "none", False, fix="use Linux 5.13 or later"),))
needs_isolation = pytest.mark.skipif(not probe().ok, reason="no isolation here")


@needs_isolation
def test_the_doctor_tries_to_break_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "--doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert told["is_isolated"]
    assert len(told["attempts"]) > 20
    assert all(attempt["is_blocked"] for attempt in told["attempts"])


@needs_isolation
def test_without_the_doctor_it_only_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox"]) == 0
    said = capsys.readouterr().out
    assert "landlock" in said
    assert "--doctor" in said


def test_what_is_missing_is_an_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponder.cli.sandbox.probe", lambda: LACKING)
    assert main(["sandbox", "--doctor"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "MISSING none: use Linux 5.13 or later" in said
    assert "not isolated" in said


@needs_isolation
def test_an_escape_that_is_not_blocked_is_an_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Attempted("run", True, "42", 0.0), Attempted("dig", False, "[bold]out", 0.0)]
    monkeypatch.setattr("ponder.cli.sandbox.attempt_escapes", lambda sandbox: found)
    assert main(["sandbox", "--doctor"]) == 1
    said = capsys.readouterr().out
    assert "FAILED" in said
    assert "[bold]out" in said


@needs_isolation
def test_a_sandbox_that_does_not_start_is_an_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(sandbox: object) -> None:
        raise SandboxLost("no zygote")

    monkeypatch.setattr("ponder.cli.sandbox.attempt_escapes", lost)
    assert main(["sandbox", "--doctor"]) == 1
    assert "no zygote" in capsys.readouterr().out
