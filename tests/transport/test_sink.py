from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from svcready._core import events, fork
from svcready._transport.sinks._destination import Entry, Outcome, Quota
from svcready._transport.sinks._outage import Outage
from svcready._transport.sinks._sink import Sink
from svcready.testing import FakeClock
from tests.conftest import Faults

INFO, WARNING, ERROR = 20, 30, 40
ROOM = Quota(10_000, 10)


class Place:
    """A destination that does what the test says, and keeps what it takes."""

    name = "place"
    batch_bytes = 1000
    batch_lines = 4
    linger_s = 0.0

    def __init__(self) -> None:
        self.taken: list[Entry] = []
        self.outcomes: list[Outcome | Exception] = []
        """What comes of the next batches, before all is well."""
        self.fault = ""
        """Why nothing arrives, for as long as that is set."""
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.batches: list[int] = []
        self.deadlines_s: list[float] = []
        self.forgotten = 0
        self.closed = threading.Event()

    @property
    def lines(self) -> list[bytes]:
        """What it took."""
        return [entry.line for entry in self.taken]

    def deliver(self, batch: list[Entry], deadline_s: float, /) -> Outcome:
        """Take the batch, once the test lets it."""
        self.entered.set()
        assert self.open.wait(20)
        self.batches.append(len(batch))
        self.deadlines_s.append(deadline_s)
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome()
        if isinstance(outcome, Exception):
            raise outcome

        if outcome.fault or self.fault:
            return Outcome(batch, fault=outcome.fault or self.fault)

        self.taken += batch
        return outcome

    def forget(self) -> None:
        """Count it."""
        self.forgotten += 1

    def close(self) -> None:
        """Note it."""
        self.closed.set()


@pytest.fixture
def place() -> Iterator[Place]:
    """Return a place that lets go of whoever waits at the end."""
    made = Place()
    yield made
    made.open.set()


@pytest.fixture
def told() -> Iterator[list[object]]:
    """Collect what is published of sinks."""
    seen: list[object] = []
    ends = [
        events.subscribe(events.ItemsDropped, seen.append),
        events.subscribe(events.DestinationFailed, seen.append),
        events.subscribe(events.DestinationRecovered, seen.append),
        events.subscribe(events.DestinationNoted, seen.append),
    ]
    yield seen
    for end in ends:
        end()


def at_once(_low: float, _high: float) -> float:
    """Draw no wait."""
    return 0.0


def line(number: int) -> bytes:
    """Make a line."""
    return b"line %d\n" % number


def test_lines_arrive_in_order_with_level_and_time(place: Place) -> None:
    """Each with its level and the millisecond in which it was taken."""
    clock = FakeClock(wall_ns=1_800_000_000_123_999_999)
    sink = Sink("test", place, clock=clock)
    sink(line(1), INFO)
    clock.advance(1)
    sink(line(2), ERROR)

    assert sink.flush(10)
    assert place.taken == [
        Entry(INFO, 1_800_000_000_123, line(1)),
        Entry(ERROR, 1_800_000_001_123, line(2)),
    ]
    assert sink.close(10)
    assert place.closed.wait(10)


def test_nothing_is_started_before_the_first_line(place: Place) -> None:
    """A sink without lines has no thread, and is flushed and closed at once."""
    threads = threading.active_count()
    sink = Sink("test", place)

    assert sink.flush(0)
    assert threading.active_count() == threads
    assert sink.close(0)
    assert place.closed.is_set()


def test_a_hanging_destination_never_makes_the_caller_wait(
    place: Place, told: list[object]
) -> None:
    """Beyond the quota the least grave lines are given up, oldest first."""
    place.open.clear()
    sink = Sink("test", place, quota=ROOM)
    sink(line(0), INFO)
    assert place.entered.wait(10)
    for number in range(1, 9):
        sink(line(number), ERROR)

    for number in range(9, 13):
        sink(line(number), INFO)

    assert not sink.flush(0.01)
    assert sink.dropped == {"queue_full": 2}
    place.open.set()
    assert sink.flush(10)
    kept = [0, *range(1, 9), 11, 12]
    assert place.lines == [line(number) for number in kept]
    assert told == [events.ItemsDropped("test", "queue_full", n) for n in (1, 1)]


def test_with_keep_the_newest_is_refused(place: Place) -> None:
    """What was accepted is never given up for a later line, whatever its level."""
    place.open.clear()
    sink = Sink("test", place, quota=ROOM, keep=True)
    sink(line(0), INFO)
    assert place.entered.wait(10)
    for number in range(1, 11):
        assert sink.put(line(number), INFO, 0)

    assert not sink.put(line(11), ERROR, 0.01)
    sink(line(12), ERROR)
    assert sink.dropped == {"queue_full": 2}
    place.open.set()
    assert sink.flush(10)
    assert place.lines == [line(number) for number in range(11)]


def test_put_waits_for_room(place: Place) -> None:
    """A caller that may wait gets in when a batch has left."""
    place.open.clear()
    sink = Sink("test", place, quota=ROOM, keep=True)
    for number in range(10):
        assert sink.put(line(number), INFO, 10)

    assert place.entered.wait(10)
    threading.Timer(0, place.open.set).start()
    for number in range(10, 20):
        assert sink.put(line(number), INFO, 20)

    assert sink.flush(10)
    assert place.lines == [line(number) for number in range(20)]
    assert sink.dropped == {}


def test_what_fails_is_kept_and_tried_again(place: Place, told: list[object]) -> None:
    """An outage is told of once, and its end with how many lines it cost."""
    place.outcomes = [Outcome(fault="it is raining")] * 2
    sink = Sink("test", place, uniform=at_once)
    sink(line(1), INFO)

    assert sink.flush(10)
    assert place.lines == [line(1)]
    assert place.batches == [1, 1, 1]
    failed, recovered = told
    assert failed == events.DestinationFailed("test", "place", "it is raining")
    assert isinstance(recovered, events.DestinationRecovered)
    assert (recovered.destination, recovered.lost) == ("place", 0)


def test_an_outage_that_costs_lines_says_how_many(
    place: Place, told: list[object]
) -> None:
    """Lines given up while the destination failed are in the line of its return."""
    place.outcomes = [Outcome(fault="it is raining")]
    retries = threading.Event()

    def wait(_low: float, _high: float) -> float:
        retries.set()
        return 60.0

    sink = Sink("test", place, quota=ROOM, uniform=wait)
    sink(line(0), INFO)
    assert retries.wait(10)
    for number in range(1, 14):
        sink(line(number), INFO)

    assert sink.flush(10)
    assert place.lines == [line(number) for number in (0, *range(4, 14))]
    recovered = [e for e in told if isinstance(e, events.DestinationRecovered)]
    assert [e.lost for e in recovered] == [3]


def test_a_flush_does_not_wait_for_what_keeps_failing(place: Place) -> None:
    """Three tries, then it says that something is left; which stays."""
    place.fault = "no such directory"
    sink = Sink("test", place, uniform=lambda _low, _high: 0.001)
    sink(line(1), INFO)

    assert not sink.flush(600)  # ten times the test's own limit
    place.fault = ""
    assert sink.flush(10)
    assert place.lines == [line(1)]


def test_waits_grow_to_a_bound_with_full_jitter() -> None:
    """Between nothing and a bound that doubles from 0.5 s to 30 s; 1 s in a hurry."""
    drawn = []

    def middle(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    outage = Outage("test", "place", middle)
    for _ in range(9):
        outage.judge(Outcome(fault="x"), 0.0, 0)
        outage.wait_s(hurried=False)

    highs = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert drawn == [(0.0, high) for high in highs]
    assert outage.wait_s(hurried=True) == 1.0


def test_what_the_destination_refuses_is_counted(
    place: Place, told: list[object]
) -> None:
    """By reason; that is no outage."""
    place.outcomes = [Outcome(lost=(("too_old", 1), ("too_large", 0)))]
    sink = Sink("test", place)
    sink(line(1), INFO)

    assert sink.flush(10)
    assert sink.dropped == {"too_old": 1}
    assert told == [events.ItemsDropped("test", "too_old", 1)]


def test_a_notice_is_told_once(place: Place, told: list[object]) -> None:
    """However often the destination gives it."""
    place.outcomes = [Outcome(notice="no retention")] * 2
    sink = Sink("test", place)
    for number in range(2):
        sink(line(number), INFO)
        assert sink.flush(10)

    assert told == [events.DestinationNoted("test", "place", "no retention")]


def test_a_fault_of_ours_loses_its_batch_only(place: Place, faults: Faults) -> None:
    """It is reported and counted, and the thread goes on."""
    place.outcomes = [ValueError("a bug")]
    sink = Sink("test", place)
    sink(line(1), INFO)
    assert sink.flush(10)
    sink(line(2), INFO)

    assert sink.flush(10)
    assert place.lines == [line(2)]
    assert sink.dropped == {"internal_error": 1}
    assert isinstance(faults.claim("test"), ValueError)


def test_a_line_that_can_not_be_taken_does_not_raise(
    place: Place, faults: Faults
) -> None:
    """A clock before 1970 is a fault of ours, not the application's."""
    sink = Sink("test", place, clock=FakeClock(wall_ns=-1))
    sink(line(1), INFO)

    assert isinstance(faults.claim("test"), OverflowError)


def test_lines_share_a_batch(place: Place) -> None:
    """A destination that lets lines linger gets full batches, or all at a flush."""
    place.linger_s = 3600.0
    sink = Sink("test", place)
    for number in range(4):
        sink(line(number), INFO)

    assert place.entered.wait(10)
    for number in range(4, 6):
        sink(line(number), INFO)

    assert sink.flush(10)
    assert place.batches == [4, 2]


def test_after_the_end_lines_are_counted(place: Place) -> None:
    """What is left at the deadline is lost, and what comes later is, too."""
    place.open.clear()
    sink = Sink("test", place)
    for number in range(6):
        sink(line(number), INFO)

    assert not sink.close(0.01)
    assert sink.dropped == {"deadline": 6}
    sink(line(7), INFO)
    assert not sink.put(line(8), INFO, 10)
    assert sink.dropped == {"deadline": 6, "closed": 2}
    place.open.set()
    assert place.closed.wait(10)
    assert sink.dropped == {"deadline": 6, "closed": 2}


def test_what_the_delivery_logs_is_not_fed_back(place: Place) -> None:
    """An AWS client's lines about our own call would never end; grave ones go aside."""
    aside: list[bytes] = []

    class Talkative(Place):
        def deliver(self, batch: list[Entry], deadline_s: float, /) -> Outcome:
            sink(b"connecting\n", INFO)
            sink(b"credentials are old\n", WARNING)
            assert not sink.put(b"mine\n", INFO, 10)
            assert not sink.flush(10)
            return super().deliver(batch, deadline_s)

    talkative = Talkative()
    sink = Sink("test", talkative)
    sink(line(1), INFO)
    assert sink.flush(10)
    sink.aside = lambda data, _: aside.append(data)
    sink(line(2), INFO)

    assert sink.flush(10)
    assert talkative.lines == [line(1), line(2)]
    assert aside == [b"credentials are old\n"]


def test_what_is_told_of_an_outage_goes_there_too(place: Place) -> None:
    """So that the log that was out of reach says so itself, and aside until then."""
    aside: list[bytes] = []
    sink = Sink("test", place, uniform=at_once)
    sink.aside = lambda data, _: aside.append(data)
    end = events.subscribe(
        events.DestinationFailed, lambda _: sink(b"it failed\n", WARNING)
    )
    place.outcomes = [Outcome(fault="it is raining")]
    sink(line(1), INFO)
    assert sink.flush(10)
    end()

    assert aside == [b"it failed\n"]
    assert place.lines == [line(1), b"it failed\n"]


def test_deliveries_are_quiet(place: Place) -> None:
    """Nothing that a delivery calls is traced."""
    inside = []

    @contextmanager
    def quiet() -> Iterator[None]:
        inside.append("in")
        yield
        inside.append("out")

    sink = Sink("test", place, quiet=quiet)
    sink(line(1), INFO)

    assert sink.flush(10)
    assert inside == ["in", "out"]


def test_without_threads_a_flush_delivers(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At interpreter exit no thread starts any more; then there is a deadline."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    place.outcomes = [Outcome(fault="busy")]
    sink = Sink("test", place, uniform=lambda _low, _high: 0.01)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        sink(line(1), INFO)
        assert sink.flush(10)

    assert place.lines == [line(1)]
    assert all(at < float("inf") for at in place.deadlines_s)
    assert sink.close(0)
    assert place.closed.is_set()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # threads at fork: the point
def test_a_forked_child_starts_empty(place: Place) -> None:
    """It delivers its own lines by a thread of its own, and none of the parent's."""
    fork.install()
    place.open.clear()
    sink = Sink("test", place)
    for number in range(6):
        sink(line(number), INFO)

    assert place.entered.wait(10)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            place.open = threading.Event()
            place.open.set()
            sink(b"child\n", INFO)
            flushed = sink.flush(10)
            mine = place.lines == [b"child\n"] and place.forgotten == 1
            status = 0 if flushed and mine and not sink.dropped else 1
        finally:
            os._exit(status)

    assert os.waitpid(pid, 0)[1] == 0
    place.open.set()
    assert sink.flush(10)
    assert place.lines == [line(number) for number in range(6)]
    assert place.forgotten == 0
