"""The EMF sink sends each recording once, and keeps what did not go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready._core.events import (
    DestinationFailed,
    DestinationRecovered,
    ItemsDropped,
    subscribe,
)
from svcready.config._sections.cloudwatch import CloudwatchSettings
from svcready.metrics import counter, gauge, histogram
from svcready.metrics.sinks._cloudwatch._data import Datum
from svcready.metrics.sinks._cloudwatch._emf._events import LARGEST_EVENT
from svcready.metrics.sinks._cloudwatch._emf._sink import EmfSink
from svcready.metrics.sinks._cloudwatch._emf._ways import Went
from svcready.testing import assert_emf_event
from tests.metrics.conftest import IDENTITY
from tests.metrics.sinks.cloudwatch.test_emf import read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from svcready.metrics.sinks._cloudwatch._collector import Collector
    from svcready.testing import FakeClock
    from tests.conftest import Faults

    Make = Callable[..., Collector]

ENV = (("Environment", "test"),)


class Road:
    """A way that takes as many lines as it is told to."""

    name = "road"
    max_bytes = LARGEST_EVENT
    hints = True

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.room = 10**6
        self.closed = False
        self.meanwhile: Callable[[], object] = lambda: None

    def send(self, lines: Sequence[bytes], ends_s: float) -> Went:
        """Take what there is room for."""
        self.meanwhile()
        taken = list(lines)[: self.room]
        self.lines += taken
        return Went(len(taken), "" if len(taken) == len(lines) else "blocked")

    def forget(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Take note."""
        self.closed = True


def make_sink(
    make_collector: Make, clock: FakeClock, road: Road, **settings: object
) -> EmfSink:
    """Make a sink that writes to *road*."""
    per_request = bool(settings.pop("per_request", False))
    return EmfSink(
        CloudwatchSettings(**settings),  # type: ignore[arg-type]
        make_collector(**settings),
        road,
        identity=IDENTITY,
        clock=clock,
        per_request=per_request,
    )


def test_what_was_recorded_is_sent_once(make_collector: Make, clock: FakeClock) -> None:
    """With who sent it, when, and for which log group."""
    orders, road = counter("orders", "help"), Road()
    sink = make_sink(make_collector, clock, road)
    orders.inc(3)

    assert sink.push(1.0)
    assert sink.push(1.0)

    (line,) = road.lines
    event = assert_emf_event(line)
    assert event["_aws"] == {
        "Timestamp": clock.time_ns() // 1_000_000,
        "LogGroupName": "orders-metrics",
        "CloudWatchMetrics": [
            {
                "Namespace": "orders",
                "Dimensions": [["Environment"]],
                "Metrics": [{"Name": "orders", "Unit": "Count"}],
            }
        ],
    }
    shown = {key: value for key, value in event.items() if key != "_aws"}
    assert shown == {
        "service": "orders",
        "version": "1.4.2",
        "environment": "test",
        "instance": "i-1",
        "Environment": "test",
        "orders": 3,
    }


def test_an_outage_costs_no_counts(make_collector: Make, clock: FakeClock) -> None:
    """Whatever part went through; the outage and its end are told of once."""
    told: list[object] = []
    undo = [subscribe(kind, told.append) for kind in (DestinationFailed,)]
    undo += [subscribe(kind, told.append) for kind in (DestinationRecovered,)]
    orders = counter("orders", "help", labels=("kind",))
    sizes = histogram("sizes", "help", buckets=(1,))
    level = gauge("level", "help")
    road = Road()
    sink = make_sink(make_collector, clock, road)
    for number in range(60):
        orders.labels("a").inc()
        orders.labels("b").inc(2)
        sizes.observe(number)
        level.set(number)
        road.room = number % 2
        assert not sink.push(1.0)
        clock.advance(60)

    road.room = 10**6
    assert sink.push(1.0)
    for end in undo:
        end()

    found = read(road.lines)
    assert found["orders", (*ENV, ("kind", "a"))][1] == 60
    assert found["orders", (*ENV, ("kind", "b"))][1] == 120
    assert found["orders", ENV][1] == 180
    assert found["sizes", ENV] == [60, sum(range(60))]
    assert [type(each) for each in told] == [DestinationFailed, DestinationRecovered]
    assert sink.describe()["pending"] == 0
    assert sink.describe()["failing"] is False


def test_metrics_by_the_second_are_sent_apart(
    make_collector: Make, clock: FakeClock
) -> None:
    """The others wait for their own time."""
    counter("ticks", "help").inc()
    counter("orders", "help").inc()
    road = Road()
    sink = make_sink(make_collector, clock, road, high_resolution=("ticks",))

    assert (sink.interval_s, sink.often_s) == (60.0, 5.0)
    assert sink.push_often(1.0)
    assert [name for name, _ in read(road.lines)] == ["ticks"]
    assert sink.push(1.0)
    assert [name for name, _ in read(road.lines)] == ["ticks", "orders"]


def test_a_requests_ids_are_properties(make_collector: Make, clock: FakeClock) -> None:
    """They can be searched for, and are no dimensions."""
    orders, road = counter("orders", "help"), Road()
    sink = make_sink(make_collector, clock, road, per_request=True)
    orders.inc()

    assert sink.flush_request({"request_id": "r-1", "trace_id": "ab" * 16})

    (line,) = road.lines
    event = assert_emf_event(line)
    assert (event["request_id"], event["trace_id"]) == ("r-1", "ab" * 16)
    assert read(road.lines) == {("orders", ENV): [1, 1.0]}
    assert sink.interval_s == 60.0  # what no request brings goes by time
    assert sink.describe()["per_request"] is True


def test_a_forked_child_sends_nothing_of_its_parents(
    make_collector: Make, clock: FakeClock
) -> None:
    """Neither what was pending nor what was counted."""
    orders, road = counter("orders", "help"), Road()
    sink = make_sink(make_collector, clock, road)
    orders.inc()
    road.room = 0
    sink.push(1.0)
    orders.reset()
    sink.reset()
    road.room = 10
    orders.inc(4)

    assert sink.push(1.0)
    assert read(road.lines) == {("orders", ENV): [1, 4.0]}


def test_what_is_left_at_the_end_is_counted(
    make_collector: Make, clock: FakeClock, drops: list[ItemsDropped]
) -> None:
    """As lost, by datum; and the way is closed."""
    counter("orders", "help").inc()
    road = Road()
    road.room = 0
    sink = make_sink(make_collector, clock, road)
    sink.push(1.0)

    sink.close()

    assert road.closed
    assert drops == [ItemsDropped("metrics.emf", "deadline", 1)]
    assert sink.describe()["dropped"] == {"deadline": 1}


def test_what_is_on_its_way_at_the_end_is_counted(
    make_collector: Make, clock: FakeClock, drops: list[ItemsDropped]
) -> None:
    """Nobody waits for a push that hangs, and what it had does not come back."""
    counter("orders", "help").inc()
    road = Road()
    road.room = 0
    sink = make_sink(make_collector, clock, road)
    road.meanwhile = sink.close

    assert not sink.push(1.0)

    assert drops == [ItemsDropped("metrics.emf", "deadline", 1)]
    assert sink.describe()["pending"] == 0


def test_a_way_that_raises_loses_nothing(
    make_collector: Make, clock: FakeClock
) -> None:
    """Its fault is its own; the counts go with the next push."""
    orders, road = counter("orders", "help"), Road()
    sink = make_sink(make_collector, clock, road)
    orders.inc(3)
    road.meanwhile = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        sink.push(1.0)

    road.meanwhile = lambda: None
    orders.inc(4)

    assert sink.push(1.0)
    assert read(road.lines) == {("orders", ENV): [1, 7.0]}


def test_a_collector_that_raises_holds_nothing_back(
    make_collector: Make,
    clock: FakeClock,
    faults: Faults,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waited for an outage to end is sent all the same."""
    collector, road = make_collector(), Road()
    sink = EmfSink(
        CloudwatchSettings(), collector, road, identity=IDENTITY, clock=clock
    )
    counter("orders", "help").inc(3)
    road.room = 0
    sink.push(1.0)
    road.room = 9
    monkeypatch.setattr(collector, "collect", lambda _: 1 / 0)

    assert sink.push(1.0)

    assert read(road.lines) == {("orders", ENV): [1, 3.0]}
    assert isinstance(faults.claim("metrics.emf"), ZeroDivisionError)


def test_one_datum_that_cannot_be_written_is_given_up_alone(
    make_collector: Make,
    clock: FakeClock,
    drops: list[ItemsDropped],
    faults: Faults,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others of its push arrive, and it is counted."""
    collector, road = make_collector(), Road()
    sink = EmfSink(
        CloudwatchSettings(), collector, road, identity=IDENTITY, clock=clock
    )
    bad = Datum("bad", (("Environment", "\udcff"),), "Count", value=1.0)
    good = Datum("good", ENV, "Count", value=2.0)
    monkeypatch.setattr(collector, "collect", lambda _: [bad, good])

    assert sink.push(1.0)

    assert read(road.lines) == {("good", ENV): [1, 2.0]}
    assert drops == [ItemsDropped("metrics.emf", "internal_error", 1)]
    assert isinstance(faults.claim("metrics.emf"), TypeError)


def test_what_fits_no_line_is_counted(
    make_collector: Make,
    clock: FakeClock,
    drops: list[ItemsDropped],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would fit the next time no better."""
    monkeypatch.setattr(Road, "max_bytes", 100)
    counter("orders", "help").inc()
    road = Road()

    assert make_sink(make_collector, clock, road).push(1.0)

    assert road.lines == []
    assert drops == [ItemsDropped("metrics.emf", "too_large", 1)]
