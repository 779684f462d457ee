"""What is collected in an interval is what was recorded in it, under its dimensions."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as PromCounter
from prometheus_client import Gauge as PromGauge
from prometheus_client import Histogram as PromHistogram
from prometheus_client import Summary as PromSummary

from svcready._core.events import ItemsDropped
from svcready.metrics import counter, gauge
from svcready.metrics._instruments._register import Declarer
from svcready.metrics._model import Distribution, Family, Number
from svcready.metrics.sinks._cloudwatch._totals import Totals
from svcready.metrics.sources._prometheus_client import registry_families
from tests.metrics.broken_collector import register_broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from svcready.metrics.sinks._cloudwatch._collector import Collector
    from svcready.metrics.sinks._cloudwatch._data import Datum
    from svcready.testing import FakeClock
    from tests.conftest import Faults

    Make = Callable[..., Collector]

Numbers = dict[tuple[str, ...], float]
ENV = ("Environment", "test")


def by_key(datums: Iterable[Datum]) -> dict[tuple[object, ...], float]:
    """Return values, or counts of distributions, by name and dimensions."""
    return {
        (d.name, *(value for _, value in d.dimensions)): (
            d.value if d.sketch is None else float(d.sketch.count)
        )
        for d in datums
    }


def family(
    name: str,
    kind: str,
    points: Numbers,
    *,
    origin: str = "application",
    workers: str = "sum",
) -> Family:
    """Make a family of numbers with the label `kind`."""
    numbers = tuple(Number(labels, value) for labels, value in points.items())
    labels = ("kind",) if any(points) else ()
    return Family(name, name, kind, "help", "", labels, numbers, origin, workers)


def test_a_counter_gives_what_was_added(make_collector: Make) -> None:
    """Each interval has its own increments, and one without any has no datum."""
    orders = counter("orders", "help")
    collector = make_collector()
    orders.inc(3)
    (first,) = collector.collect()
    idle = collector.collect()
    orders.inc(4)
    (second,) = collector.collect()

    assert (first.name, first.dimensions, first.unit) == ("orders", (ENV,), "Count")
    assert (first.kind, first.resolution) == ("count", 60)
    assert [first.value, second.value] == [3.0, 4.0]
    assert idle == []


def test_labels_join_the_first_set_and_add_up_in_the_others(
    make_collector: Make,
) -> None:
    """By default a counter is there by its labels, and as a whole."""
    orders = counter("orders", "help", labels=("kind",))
    collector = make_collector()
    orders.labels("retail").inc(2)
    orders.labels("trade").inc(5)

    found = {d.dimensions: d.value for d in collector.collect()}

    assert found == {
        (ENV, ("kind", "retail")): 2.0,
        (ENV, ("kind", "trade")): 5.0,
        (ENV,): 7.0,
    }


def test_labels_stay_out_where_that_is_said(make_collector: Make) -> None:
    """Without `label_dimensions` only the sets decide, and sets may name a label."""
    orders = counter("orders", "help", labels=("kind", "shop"))
    collector = make_collector(
        label_dimensions=False, dimensions="Environment;Service,shop"
    )
    orders.labels("retail", "north").inc(2)
    orders.labels("trade", "north").inc(5)

    found = {d.dimensions: d.value for d in collector.collect()}

    assert found == {(ENV,): 7.0, (("Service", "orders"), ("shop", "north")): 7.0}


@pytest.mark.parametrize(
    ("mode", "expected"), [("sum", 6.0), ("max", 4.0), ("min", 2.0), ("latest", 2.0)]
)
def test_levels_of_one_set_combine_by_their_mode(
    make_collector: Make, mode: str, expected: float
) -> None:
    """What several processes' values would be, several label values are."""
    queue = family("queue", "gauge", {("a",): 4.0, ("b",): 2.0}, workers=mode)
    collector = make_collector(lambda: [queue], label_dimensions=False)

    (datum,) = collector.collect()

    assert (datum.kind, datum.value) == ("level", expected)


def test_a_level_is_sent_in_each_interval(
    make_collector: Make, clock: FakeClock
) -> None:
    """Also where it stands still, and in its unit."""
    free = gauge("free", "help", unit="By")
    collector = make_collector(clock=clock)
    free.set(12)

    for _ in range(2):
        clock.advance(1.0)
        (datum,) = collector.collect()
        assert (datum.value, datum.unit) == (12.0, "Bytes")


def test_only_the_applications_own_is_sent_by_default(make_collector: Make) -> None:
    """Others join and leave by patterns of declared names; leaving wins."""
    counter("orders.created", "help").inc()
    counter("refunds", "help").inc()
    Declarer("svcready").counter("svcready_things", "help").inc()

    def names(**settings: object) -> set[str]:
        return {d.name for d in make_collector(**settings).collect()}

    assert names() == {"orders.created", "refunds"}
    assert names(metrics=("svcready_*", "!ref*")) == {
        "orders.created",
        "svcready_things",
    }
    assert names(metrics=("!*",)) == set()


def test_resolutions_can_be_collected_apart(make_collector: Make) -> None:
    """What is stored by the second is collected alone where only that is asked for."""
    counter("orders", "help").inc()
    counter("ticks", "help").inc()
    collector = make_collector(high_resolution=("tick*",))

    fast = collector.collect(only=1)
    rest = collector.collect()

    assert [(d.name, d.resolution) for d in fast] == [("ticks", 1)]
    assert [(d.name, d.resolution) for d in rest] == [("orders", 60)]


def test_the_next_runtime_does_not_send_again(make_collector: Make) -> None:
    """Totals are the process's; so is what of them was collected."""
    orders = counter("orders", "help")
    totals = Totals()
    orders.inc(3)
    make_collector(totals=totals).collect()
    orders.inc(1)

    (datum,) = make_collector(totals=totals).collect()

    assert datum.value == 1.0


def test_a_forked_child_begins_at_zero(make_collector: Make) -> None:
    """Totals begin anew there; what collectors compute goes on from the parent's."""
    ours: Numbers = {(): 5.0}
    meters: Numbers = {(): 5.0}
    theirs: Numbers = {(): 5.0}
    computed: Numbers = {(): 50.0}
    client = "prometheus_client"
    collector = make_collector(
        lambda: [
            family("ours", "counter", ours),
            family("meters", "counter", meters, origin="otel"),
            family("theirs", "counter", theirs, origin=client),
            family("computed", "counter", computed, origin=client, workers="own"),
        ],
        metrics=("*",),
    )
    collector.collect()
    collector.reset()
    # More than before the fork, but counted from zero.
    ours[()] = meters[()] = theirs[()] = 6.0
    computed[()] = 52.0

    assert by_key(collector.collect()) == {
        ("ours", "test"): 6.0,
        ("meters", "test"): 6.0,
        ("theirs", "test"): 6.0,
        ("computed", "test"): 2.0,
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_has_a_runtime_later_sends_all_that_it_counts() -> None:
    """What its parent had collected before its runtime was closed is not taken off."""
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore::DeprecationWarning", "-c"),
            """
import os
from svcready._core import fork
from svcready.metrics.sinks._cloudwatch._collector import COLLECTED
fork.install()
assert COLLECTED.book("application", "orders").added((), 10) == 10
assert COLLECTED.book("otel", "calls").added((), 10) == 10
assert COLLECTED.book("own", "computed", goes_on=True).added((), 10) == 10
pid = os.fork()
if pid == 0:
    assert COLLECTED.book("otel", "calls").added((), 12) == 12
    assert COLLECTED.book("own", "computed", goes_on=True).added((), 12) == 2
    os._exit(int(COLLECTED.book("application", "orders").added((), 12)))
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 12
""",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_total_that_fell_began_again(make_collector: Make) -> None:
    """As Prometheus sees a restart: what is there now was added since."""
    numbers: Numbers = {(): 5.0}
    collector = make_collector(lambda: [family("jobs", "counter", numbers)])
    collector.collect()
    numbers[()] = 2.0

    assert by_key(collector.collect()) == {("jobs", "test"): 2.0}


@pytest.mark.parametrize(
    ("origin", "workers"), [("otel", "sum"), ("prometheus_client", "own")]
)
def test_a_total_that_nobody_told_once_is_not_added_again(
    make_collector: Make, origin: str, workers: str
) -> None:
    """A callback or collector that fails for a while says the same total afterwards."""
    numbers: Numbers = {("a",): 5.0, ("b",): 1.0}
    collector = make_collector(
        lambda: [family("jobs", "counter", numbers, origin=origin, workers=workers)],
        metrics=("jobs",),
        dimensions="kind",
    )
    collector.collect()
    some: list[Numbers] = [{}, {("b",): 2.0}]
    for left in some:
        numbers.clear()
        numbers.update(left)
        collector.collect()

    numbers[("a",)] = 7.0

    assert by_key(collector.collect()) == {("jobs", "a"): 2.0}


def test_series_that_stay_away_are_forgotten(make_collector: Make) -> None:
    """Labels that come and go leave nothing behind after a while."""
    numbers: Numbers = {}
    totals = Totals()
    collector = make_collector(
        lambda: [family("jobs", "counter", numbers, origin="otel")],
        totals=totals,
        metrics=("jobs",),
    )
    for number in range(40):
        numbers.clear()
        numbers[(str(number),)] = 1.0
        collector.collect()

    book = totals.book("otel", "jobs")
    known = [number for number in range(40) if book.knows((str(number),))]
    assert known == list(range(29, 40))


def test_prometheus_clients_metrics_are_read(make_collector: Make) -> None:
    """Counters by difference, gauges as they are, distributions with count and sum."""
    registry = CollectorRegistry()
    jobs = PromCounter("jobs", "help", ["kind"], registry=registry)
    depth = PromGauge("depth", "help", registry=registry)
    took = PromHistogram("took_seconds", "help", registry=registry, unit="seconds")
    size = PromSummary("size", "help", registry=registry)
    collector = make_collector(lambda: registry_families(registry), metrics=("*",))
    jobs.labels("a").inc(7)
    depth.set(3)
    for value in (0.02, 0.3, 0.4, 20.0):
        took.observe(value)

    size.observe(10)
    size.observe(20)
    first = collector.collect()
    jobs.labels("a").inc(2)
    took.observe(0.3)
    second = collector.collect()

    assert by_key(first) == {
        ("jobs", "test", "a"): 7.0,
        ("jobs", "test"): 7.0,
        ("depth", "test"): 3.0,
        ("took_seconds", "test"): 4.0,
        ("size", "test"): 2.0,
    }
    times = next(d for d in first if d.name == "took_seconds").statistics()
    assert times.sum == pytest.approx(20.72)
    assert next(d for d in first if d.name == "took_seconds").unit == "Seconds"
    assert next(d for d in first if d.name == "size").statistics().sum == 30.0
    assert by_key(second)["jobs", "test"] == 2.0
    later = next(d for d in second if d.name == "took_seconds")
    assert later.statistics().samples == 1
    assert 0.25 <= later.statistics().min <= later.statistics().max <= 0.5


def test_values_lie_in_their_buckets_and_add_up(make_collector: Make) -> None:
    """Buckets say where values are, and the sum where in them."""
    point = Distribution((), (1.0, 2.0, 4.0), (2, 0, 4, 2), 40.0)
    made = family("sizes", "histogram", {})._replace(points=(point,))

    (datum,) = make_collector(lambda: [made]).collect()

    assert datum.sketch is not None
    shown = datum.sketch.reduce(150)
    assert shown.counts == (2, 4, 2)
    assert 0 < shown.values[0] <= 1
    assert 2 < shown.values[1] <= 4
    assert shown.values[2] > 4
    weighed = zip(shown.values, shown.counts, strict=True)
    assert sum(value * count for value, count in weighed) == pytest.approx(40.0)


def test_foreign_series_are_bounded_and_nothing_is_lost(make_collector: Make) -> None:
    """What finds no place is counted as `__other__`, whoever comes and goes."""
    numbers: Numbers = {(str(n),): 1.0 for n in range(10)}
    collector = make_collector(
        lambda: [family("jobs", "counter", numbers, origin="otel")],
        metrics=("jobs",),
        max_series=4,
    )
    first = collector.collect()
    numbers.update({(str(n),): 1.0 for n in range(10, 1000)})
    del numbers["0",]  # its place stays its own
    numbers["1",] = 3.0
    second = collector.collect()

    assert len(first) == 4 + 1 + 1
    assert by_key(first)["jobs", "test"] == 10.0
    assert by_key(first)["jobs", "test", "__other__"] == 6.0
    assert by_key(second) == {
        ("jobs", "test", "1"): 2.0,
        ("jobs", "test", "__other__"): 990.0,
        ("jobs", "test"): 992.0,
    }


def test_what_cloudwatch_refuses_is_counted(
    make_collector: Make, drops: list[ItemsDropped]
) -> None:
    """Not-a-number and what is beyond ±2^360 stay behind; the rest goes on."""
    numbers: Numbers = {("a",): float("nan"), ("b",): 2.0**361, ("c",): -(2.0**360)}
    levels = family("level", "gauge", numbers, workers="max")

    datums = make_collector(lambda: [levels], dimensions="Environment").collect()

    assert [d.value for d in datums] == [-(2.0**360)]
    assert drops == [ItemsDropped("metrics.cloudwatch", "invalid_value", 2)]


def test_one_bad_level_does_not_spoil_the_others(
    make_collector: Make, drops: list[ItemsDropped]
) -> None:
    """A series that is no number is left out of the sum of its set."""
    levels = family("level", "gauge", {("a",): float("nan"), ("b",): 2.0})

    (datum,) = make_collector(lambda: [levels], label_dimensions=False).collect()

    assert datum.value == 2.0
    assert [drop.items for drop in drops] == [1]


def test_dimension_values_are_made_to_fit(make_collector: Make) -> None:
    """ASCII, printable, not blank, 1024 characters at most; no datum is dropped."""
    shops = counter("visits", "help", labels=("shop",))
    for name in ("Müller\n", " ", "x" * 200):
        shops.labels(name).inc()

    found = make_collector(dimensions="Environment").collect()

    assert sorted(dict(d.dimensions)["shop"] for d in found) == [
        "-",
        "M?ller?",
        "x" * 200,
    ]


def test_what_is_not_sent_is_not_read(make_collector: Make) -> None:
    """
    Who sends no other library's metrics has none of them read: per request, on
    Lambda, that is most of the cost. A pattern has them read.
    """
    asked: list[str] = []

    def families() -> tuple[Family, ...]:
        asked.append("others")
        return ()

    orders = counter("orders", "help")
    collector = make_collector(families)
    orders.inc(2)
    assert [(datum.name, datum.value) for datum in collector.collect()] == [
        ("orders", 2)
    ]
    assert asked == []

    orders.inc(3)
    patterned = make_collector(families, metrics=("queue_*",))
    assert [(datum.name, datum.value) for datum in patterned.collect()] == [
        ("orders", 5)
    ]
    assert asked == ["others"]


def test_what_is_declared_later_is_read(make_collector: Make) -> None:
    """A metric declared after the first interval goes with the next, in its labels."""
    counter("orders", "help").inc()
    collector = make_collector()
    collector.collect()
    depth = gauge("depth", "help", labels=("queue",))
    depth.labels("retail").set(4)

    assert by_key(collector.collect()) == {
        ("depth", "test", "retail"): 4,
        ("depth", "test"): 4,
    }


def test_one_family_that_cannot_be_read_spoils_no_other(
    make_collector: Make, faults: Faults
) -> None:
    """What a broken collector says stays behind, and every count beside it goes."""
    registry = CollectorRegistry()
    PromCounter("before", "help", registry=registry).inc(2)
    register_broken(registry, "odd", "x", 1.0)
    register_broken(registry, "unknown", "1", math.nan)
    collector = make_collector(lambda: registry_families(registry), metrics=("*",))
    counter("orders", "help").inc(3)

    first, second = by_key(collector.collect()), by_key(collector.collect())

    assert first == {("before", "test"): 2.0, ("orders", "test"): 3.0}
    assert second == {}
    assert isinstance(faults.claim("metrics.cloudwatch"), ValueError)
    assert isinstance(faults.claim("metrics.cloudwatch"), ValueError)


def test_a_level_that_is_flushed_again_at_once_is_one_sample(
    make_collector: Make, clock: FakeClock
) -> None:
    """A stop flushes several times; a level that moved, or stands later, is told."""
    depth = gauge("depth", "help")
    collector = make_collector(clock=clock)
    depth.set(3)
    values = []
    for then in (0.0, 0.1, 0.1, 60.0):
        clock.advance(then)
        values.append([datum.value for datum in collector.collect()])

    depth.set(4)
    values.append([datum.value for datum in collector.collect()])

    assert values == [[3.0], [], [], [3.0], [4.0]]
