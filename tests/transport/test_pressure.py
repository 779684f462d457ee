from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest

from svcready._transport._output._outlet import Outlet
from svcready._transport.stdout import Channel, Recovered
from svcready.testing import FakeClock
from tests.transport.pipes import Pipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Faults


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Return a fresh pipe."""
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture
def outlet(pipe: Pipe, clock: FakeClock) -> Iterator[Outlet]:
    """Return an outlet on the pipe."""
    made = Outlet(pipe.writer, monotonic=clock.monotonic)
    yield made
    pipe.hang_up()
    assert made.flush(20)  # before another file gets the descriptor's number


class Summaries:
    """Writes a line of each summary into the channel that it is of."""

    def __init__(self) -> None:
        self.seen: list[Recovered] = []
        self.channel: Channel | None = None
        self.there = threading.Event()

    def __call__(self, recovered: Recovered) -> None:
        """Take a summary."""
        assert self.channel is not None
        self.seen.append(recovered)
        self.channel.write(b"summary\n", logging.WARNING)
        self.there.set()


def flood(channel: Channel, lines: int = 1000) -> None:
    """Write more than the quota."""
    for i in range(lines):
        channel.write(b"%06d\n" % i, logging.ERROR if i % 100 == 0 else logging.DEBUG)


def test_one_summary_when_the_pressure_is_over(
    pipe: Pipe, outlet: Outlet, clock: FakeClock
) -> None:
    """Nothing while it is blocked; then one line after what waited, with counts."""
    summaries = Summaries()
    channel = Channel("test", outlet, max_lines=50, on_recovered=summaries)
    summaries.channel = channel
    size = pipe.fill()
    flood(channel, 1)
    while outlet.pressure._blocked_at_s is None:
        pass

    flood(channel)
    clock.advance(12.5)
    assert not summaries.seen

    lost = channel.dropped["queue_full"]
    seen = pipe.read(size + 7 * (1001 - lost) + 8)[size:].split()
    assert channel.flush(10)

    assert seen[-1] == b"summary"
    (summary,) = summaries.seen
    assert summary.lines == lost
    assert summary.blocked_s == 12.5
    assert summary.lost == {("queue_full", logging.DEBUG): lost}
    assert channel.dropped_by_level == summary.lost
    errors = [line for line in seen if line.endswith(b"00") and line != b"summary"]
    assert errors == [b"000000", *(b"%06d" % i for i in range(0, 1000, 100))]


def test_nothing_is_said_of_no_loss(pipe: Pipe, outlet: Outlet) -> None:
    """Lines that had to wait are no news."""
    summaries = Summaries()
    channel = Channel("test", outlet, on_recovered=summaries)
    size = pipe.fill()
    flood(channel)
    pipe.read(size + 7000)

    assert channel.flush(10)
    assert not summaries.seen


def test_summaries_come_once_a_second(
    pipe: Pipe, outlet: Outlet, clock: FakeClock
) -> None:
    """A reader that stops and goes makes no flood of them; nothing of it is lost."""
    summaries = Summaries()
    channel = Channel("test", outlet, max_lines=5, on_recovered=summaries)
    summaries.channel = channel
    for _ in range(3):
        size = pipe.fill() + len(pipe.read_all())
        assert size
        pipe.fill()
        flood(channel, 50)
        pipe.read_all()
        while outlet._busy:
            pipe.read_all()

    assert len(summaries.seen) <= 1
    assert channel.flush(10)  # the process may end: now or never
    assert len(summaries.seen) == 2
    assert sum(each.lines for each in summaries.seen) == channel.dropped["queue_full"]


def test_it_is_told_while_lines_go_on(
    pipe: Pipe, outlet: Outlet, clock: FakeClock
) -> None:
    """An outlet that is never empty tells a second after the last loss."""
    summaries = Summaries()
    channel = Channel("test", outlet, max_lines=600, on_recovered=summaries)
    summaries.channel = channel
    size = pipe.fill()
    flood(channel, 1200)
    clock.advance(5.0)
    while not summaries.seen:
        assert pipe.read(1)
        if outlet.pressure._blocked_at_s is None:
            channel.write(b"goes on\n", logging.INFO)
            clock.advance(0.5)

    assert size
    assert summaries.seen[0].lines == channel.dropped["queue_full"]


def test_what_nobody_reads_is_not_summed_up(pipe: Pipe, outlet: Outlet) -> None:
    """A reader that is gone is counted, but there is no one to tell."""
    summaries = Summaries()
    channel = Channel("test", outlet, on_recovered=summaries)
    pipe.hang_up()
    flood(channel, 10)

    assert channel.flush(10)
    assert not summaries.seen
    assert channel.dropped == {"closed": 10}


def test_a_fault_of_who_is_told_ends_nothing(
    pipe: Pipe, outlet: Outlet, faults: Faults
) -> None:
    """It is reported, and the writer goes on."""

    def fail(_: Recovered) -> None:
        raise LookupError

    channel = Channel("test", outlet, max_lines=5, on_recovered=fail)
    size = pipe.fill()
    flood(channel, 100)
    pipe.read(size + 7 * (100 - channel.dropped["queue_full"]))
    assert channel.flush(10)
    channel.write(b"next\n", logging.INFO)

    assert pipe.read(5) == b"next\n"
    assert isinstance(faults.claim("transport.stdout"), LookupError)
