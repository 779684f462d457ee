"""Pushing: several sinks, their threads, one budget, and what a hanging one costs."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from svcready._core import fork
from svcready.metrics._push import Pusher
from svcready.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready._core.identity import Identity
    from tests.conftest import Faults


class Sink:
    """A sink that notes who pushes, and hangs or fails as it is told."""

    def __init__(
        self, name: str = "a", interval_s: float = 60.0, often_s: float = 0.0
    ) -> None:
        self.name = name
        self.interval_s = interval_s
        self.often_s = often_s
        self.pushes: list[str] = []
        """The threads that pushed, in order."""
        self.often = 0
        self.budgets: list[float] = []
        self.answer = True
        self.begun = threading.Event()
        self.fault: Exception | None = None
        self.meeting: threading.Barrier | None = None
        self.go_on = threading.Event()
        self.go_on.set()
        self.resets = 0
        self.closed = False
        self.dropped: dict[str, int] = {}

    def push(self, timeout_s: float) -> bool:
        """Note it, and then do as told."""
        self.pushes.append(threading.current_thread().name)
        self.budgets.append(timeout_s)
        self.begun.set()
        if self.fault is not None:
            raise self.fault

        if self.meeting is not None:
            self.meeting.wait(10)

        self.go_on.wait(20)
        return self.answer

    def push_often(self, timeout_s: float) -> bool:
        """Note it."""
        self.often += 1
        return self.answer

    def identify(self, identity: Identity) -> None:
        """Nothing here depends on it."""

    def reset(self) -> None:
        """Note it."""
        self.resets += 1

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def describe(self) -> dict[str, object]:
        """Tell what was lost."""
        return {"dropped": self.dropped}


@pytest.fixture
def sinks() -> Iterator[list[Sink]]:
    """Two sinks, which hang no longer than the test."""
    made = [Sink("a"), Sink("b")]
    yield made
    for sink in made:
        sink.go_on.set()


def highest(_low: float, high: float) -> float:
    """Draw the upper bound."""
    return high


def unspread(low: float, high: float) -> float:
    """Draw no jitter at all."""
    return 1.0 if high == 1.0 else (low + high) / 2


def test_a_flush_uses_the_threads_that_are_there(sinks: list[Sink]) -> None:
    """Each sink's own, at the same time; it starts none."""
    pusher = Pusher(sinks, FakeClock())
    pusher.wake()
    sinks[0].meeting = sinks[1].meeting = threading.Barrier(2)

    assert pusher.flush(10)
    assert [sink.pushes for sink in sinks] == [["svcready-a"], ["svcready-b"]]
    pusher.close()


def test_a_hanging_sink_takes_nothing_from_the_others(sinks: list[Sink]) -> None:
    """The flush ends with its budget, and the other sink has sent all."""
    hanging, well = sinks
    hanging.go_on.clear()
    pusher = Pusher(sinks, FakeClock())
    pusher.wake()
    begun_s = time.monotonic()
    assert not pusher.flush(0.2)
    assert time.monotonic() - begun_s < 5
    assert (well.pushes, hanging.pushes) == (["svcready-b"], ["svcready-a"])

    pusher.close()  # nor does the end wait for it
    assert hanging.closed
    assert well.closed


def test_a_flush_after_one_began_pushes_once_more(sinks: list[Sink]) -> None:
    """What was recorded since the push began must go as well; two flushes share it."""
    sink = sinks[0]
    pusher = Pusher([sink], FakeClock())
    pusher.wake()
    sink.go_on.clear()
    results: list[bool] = []
    flushes = [
        threading.Thread(target=lambda: results.append(pusher.flush(20)))
        for _ in range(3)
    ]
    flushes[0].start()
    assert sink.begun.wait(10)
    for flush in flushes[1:]:
        flush.start()

    while pusher._lanes[0]._asked < 3:
        pass

    sink.go_on.set()
    for flush in flushes:
        flush.join(20)

    assert results == [True] * 3
    assert sink.pushes == ["svcready-a"] * 2
    pusher.close()


def test_without_threads_the_caller_pushes(sinks: list[Sink]) -> None:
    """As in a child that was never woken; each sink has its part of the budget."""
    pusher = Pusher(sinks, FakeClock())
    sinks[1].answer = False
    assert not pusher.flush(8)
    assert [sink.pushes for sink in sinks] == [["MainThread"]] * 2
    assert 3 < sinks[0].budgets[0] <= 4
    assert 7 < sinks[1].budgets[0] <= 8
    pusher.close()


def test_a_failing_sink_waits_longer_each_time() -> None:
    """With jitter, up to a minute; then at its own pace again."""
    sink, clock = Sink(interval_s=60.0), FakeClock()
    pusher = Pusher([sink], clock, highest)
    worker = pusher._lanes[0].worker
    sink.answer = False
    clock.advance(60)
    waits = []
    for _ in range(8):
        wait_s = worker.run_due()
        assert wait_s is not None
        waits.append(wait_s)
        clock.advance(wait_s)

    assert waits == pytest.approx([2.2, 4.4, 8.8, 17.6, 35.2, 66.0, 66.0, 66.0])
    sink.answer = True
    assert worker.run_due() == pytest.approx(66.0)
    pusher.close()


def test_the_first_push_of_a_fleet_is_spread() -> None:
    """Processes that start together push apart: between half an interval and one."""
    asked = []

    def lowest(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    sink = Sink(interval_s=60.0)
    pusher = Pusher([sink], FakeClock(), lowest)
    assert pusher._lanes[0].worker.run_due() == 30.0
    assert asked == [(0.5, 1.0)]
    pusher.close()


def test_a_part_is_sent_more_often() -> None:
    """A flush sends all of it."""
    sink, clock = Sink(interval_s=60.0, often_s=5.0), FakeClock()
    pusher = Pusher([sink], clock, unspread)
    for _ in range(60):
        clock.advance(1.0)
        pusher._lanes[0].worker.run_due()

    assert (len(sink.pushes), sink.often) == (1, 12)
    assert pusher.flush(1)
    assert (len(sink.pushes), sink.often) == (2, 12)
    pusher.close()


def test_a_fault_of_a_sink_is_reported(faults: Faults) -> None:
    """And counts as not sent; the sinks after it are pushed."""
    broken, well = Sink("a"), Sink("b")
    broken.fault = ValueError("broken")
    pusher = Pusher([broken, well], FakeClock())
    assert not pusher.flush(5)
    assert well.pushes == ["MainThread"]
    assert faults.claim("metrics.a") is broken.fault
    pusher.close()


def test_after_the_end_nothing_is_pushed(sinks: list[Sink]) -> None:
    """And what was lost adds up over the sinks."""
    pusher = Pusher(sinks, FakeClock())
    sinks[0].dropped = {"deadline": 2, "rejected": 0}
    sinks[1].dropped = {"deadline": 1}
    pusher.wake()
    pusher.close()
    assert not pusher.flush(1)
    assert [sink.pushes for sink in sinks] == [[], []]
    assert pusher.lost == {"deadline": 3}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # threads at fork: the point
def test_a_child_forked_during_a_push_is_free(sinks: list[Sink]) -> None:
    """It resets its sinks, waits for nobody's push, and plans anew."""
    fork.install()
    sink, clock = sinks[0], FakeClock()
    pusher = Pusher([sink], clock, highest)
    pusher.wake()
    sink.go_on.clear()
    assert not pusher.flush(0.01)
    assert sink.begun.wait(10)
    clock.advance(1000.0)
    pid = os.fork()
    if pid == 0:
        sink.go_on.set()
        due_s = pusher._lanes[0].worker.run_due()
        good = due_s == pytest.approx(66.0) and pusher.flush(5)
        good &= (sink.resets, sink.pushes[1:]) == (1, ["MainThread"])
        os._exit(0 if good else 1)

    assert os.waitpid(pid, 0)[1] == 0
    sink.go_on.set()
    assert pusher.flush(10)
    assert sink.resets == 0
    pusher.close()
