from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest

from svcready._transport._output._outlet import Outlet
from svcready._transport.stdout import Channel
from tests.transport.pipes import Pipe

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = b"x" * 99 + b"\n"


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Return a fresh pipe."""
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def outlet(pipe: Pipe) -> Iterator[Outlet]:
    """Return an outlet on the pipe."""
    made = Outlet(pipe.writer)
    yield made
    pipe.hang_up()
    assert made.flush(20)  # before another file gets the descriptor's number


def test_a_line_is_out_when_put_returns(pipe: Pipe, outlet: Outlet) -> None:
    """Where nothing blocks, it is written at once."""
    assert Channel("audit", outlet, keep=True).put(LINE, logging.INFO, 0)
    assert pipe.read_all() == LINE


def test_an_event_loop_hands_over_without_waiting(pipe: Pipe, outlet: Outlet) -> None:
    """With no time to wait a line is accepted as long as the quota has room."""
    size = pipe.fill()
    channel = Channel("audit", outlet, keep=True, max_bytes=350, max_lines=100)
    taken = [i for i in range(100) if channel.put(b"%099d\n" % i, logging.INFO, 0)]

    assert 3 <= len(taken) < 100
    assert channel.dropped == {"queue_full": 100 - len(taken)}
    lines = pipe.read(size + len(taken) * 100)[size:].split()
    assert [int(line) for line in lines] == taken


def test_what_is_kept_is_never_given_up_for_others(pipe: Pipe, outlet: Outlet) -> None:
    """Neither for newer or graver ones of its own, nor for another channel's flood."""
    size = pipe.fill()
    audit = Channel("audit", outlet, keep=True, max_lines=10)
    logs = Channel("logging", outlet, max_lines=10)
    kept = [i for i in range(50) if audit.put(b"a%05d\n" % i, logging.INFO, 0)]
    for _ in range(1000):
        logs.write(b"l%05d\n" % 0, logging.ERROR)
        audit.write(b"b%05d\n" % 0, logging.ERROR)

    written = 2050 - audit.dropped["queue_full"] - logs.dropped["queue_full"]
    lines = pipe.read(size + 7 * written)[size:].split()
    assert [line for line in lines if line.startswith(b"a")] == [
        b"a%05d" % i for i in kept
    ]
    assert len(kept) >= 10


def test_a_patient_caller_waits_until_it_is_written(pipe: Pipe, outlet: Outlet) -> None:
    """As soon as the pipe is read, long before the time is up."""
    size = pipe.fill()
    channel = Channel("audit", outlet, keep=True)
    results: list[bool] = []
    thread = threading.Thread(
        target=lambda: results.append(channel.put(LINE, logging.INFO, 30))
    )
    thread.start()
    assert pipe.read(size + len(LINE)).endswith(LINE)
    thread.join(20)

    assert results == [True]


def test_a_patient_caller_waits_for_room(pipe: Pipe, outlet: Outlet) -> None:
    """A full quota is waited for too, and everything comes out in order."""
    size = pipe.fill()
    channel = Channel("audit", outlet, keep=True, max_lines=2)
    taken = 0
    while channel.put(b"%05d\n" % taken, logging.INFO, 0):
        taken += 1

    thread = threading.Thread(
        target=channel.put, args=(b"%05d\n" % taken, logging.INFO, 30)
    )
    thread.start()
    lines = pipe.read(size + 6 * (taken + 1))[size:].split()
    thread.join(20)

    assert lines == [b"%05d" % i for i in range(taken + 1)]


def test_patience_ends(pipe: Pipe, outlet: Outlet) -> None:
    """What waits in the quota stays accepted; without room the line is refused."""
    pipe.fill()
    channel = Channel("audit", outlet, keep=True, max_lines=1)
    assert channel.put(LINE, logging.INFO, 0.01)
    while outlet._flight is None:
        pass  # else the thread makes room later, when it takes the line in hand

    while channel.put(LINE, logging.INFO, 0):
        pass

    before = channel.dropped["queue_full"]
    assert not channel.put(LINE, logging.INFO, 0.01)
    assert channel.dropped == {"queue_full": before + 1}


@pytest.mark.parametrize("timeout_s", [0, 5])
def test_a_refused_line_is_told(pipe: Pipe, outlet: Outlet, timeout_s: float) -> None:
    """A reader that is gone takes nothing, and put says so."""
    pipe.hang_up()
    channel = Channel("audit", outlet, keep=True)

    assert not channel.put(LINE, logging.INFO, timeout_s)
    assert channel.dropped == {"closed": 1}


def test_a_waiting_line_that_is_refused_is_told(pipe: Pipe, outlet: Outlet) -> None:
    """Also if the reader goes while the caller waits."""
    pipe.fill()
    channel = Channel("audit", outlet, keep=True)
    results: list[bool] = []
    thread = threading.Thread(
        target=lambda: results.append(channel.put(LINE, logging.INFO, 30))
    )
    thread.start()
    while not outlet._awaited:
        pass

    pipe.hang_up()
    thread.join(20)

    assert results == [False]
    assert channel.dropped == {"closed": 1}


def test_without_new_threads_put_writes_itself(
    pipe: Pipe, outlet: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At interpreter exit no thread can start: the caller does its work."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    size = pipe.fill()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    channel = Channel("audit", outlet, keep=True)
    assert channel.put(b"first\n", logging.INFO, 0)
    pipe.read(size)

    assert channel.put(b"second\n", logging.INFO, 5)
    assert pipe.read_all() == b"first\nsecond\n"
