"""Frames, and what may be in them."""

from __future__ import annotations

import os
import pickle
import random
import socket
import threading
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from ponder.types import Judgement, Verdict
from ponder.verify.pool.channel import Channel, ClosedError, load_plain


def pair(max_bytes: int = 1 << 20) -> tuple[Channel, socket.socket]:
    ours, theirs = socket.socketpair()
    return Channel(ours, max_bytes), theirs


def test_frames_arrive_whole_and_in_order() -> None:
    ours, theirs = pair()
    other = Channel(theirs, 1 << 20)
    for frame in (b"a", b"", b"b" * 100_000):
        other.send(frame)
    assert [ours.receive(), ours.receive(), ours.receive()] == [b"a", b"", b"b" * 100_000]


def test_a_frame_that_is_there_counts_after_the_deadline() -> None:
    ours, theirs = pair()
    Channel(theirs, 1 << 20).send(b"done")
    assert ours.receive(time.monotonic() - 100) == b"done"


def test_a_frame_that_trickles_in_ends_at_the_deadline() -> None:
    ours, theirs = pair()
    over = threading.Event()

    def trickle() -> None:
        theirs.sendall(b"\0\0\0\0\0\1\0\0")
        while not over.wait(0.005):
            theirs.sendall(b"x")

    thread = threading.Thread(target=trickle)
    thread.start()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        ours.receive(began + 0.1)
    assert time.monotonic() - began < 0.4
    over.set()
    thread.join()


def test_half_a_frame_and_the_end() -> None:
    ours, theirs = pair()
    theirs.sendall(b"\0\0\0\0\0\0\1\0half")
    theirs.close()
    with pytest.raises(ClosedError):
        ours.receive(time.monotonic() + 5)


def test_garbage_is_no_frame() -> None:
    ours, theirs = pair()
    theirs.sendall(os.urandom(7) + b"\xff" * 100)
    with pytest.raises(ClosedError):
        ours.receive(time.monotonic() + 5)


def test_sending_to_someone_who_does_not_read_ends() -> None:
    ours, _theirs = pair()
    with pytest.raises(ClosedError):
        ours.send(b"x" * (8 << 20), timeout_seconds=0.05)


def test_plain_data_loads() -> None:
    for value in (
        [1, 2.5, "x", b"y", None, True, {"a": (1, 2)}, {3}, frozenset({4})],
        Fraction(1, 3),
        Decimal("1.10"),
        Judgement(Verdict.CORRECT, "7", "why"),
        Verdict.ERROR,
    ):
        for protocol in (4, pickle.HIGHEST_PROTOCOL):
            assert load_plain(pickle.dumps(value, protocol)) == value


class _Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/ponder-pool-attack",)


@pytest.mark.parametrize(
    "frame",
    [
        pickle.dumps(_Attack()),
        pickle.dumps(Path("x")),
        b"cponder.errors\nPonderError\n(tR.",
        b"cponder.verify.pool.worker\nos.system\n(S'true'\ntR.",
        b"cponder.verify.verifiers\nverify\n(tR.",
        b"\x80\x05garbage",
        b"",
        random.Random(1).randbytes(50),
        pickle.dumps([1, 2, 3])[:-3],
    ],
)
def test_nothing_else_does(frame: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError):
        load_plain(frame)
    assert not Path("/tmp/ponder-pool-attack").exists()
