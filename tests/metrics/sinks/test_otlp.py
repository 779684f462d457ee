"""Metrics over OTLP: what arrives, at a collector that parses it."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import prometheus_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcready._core.events import ItemsDropped, subscribe
from svcready._core.identity import Identity
from svcready.config._sections.otlp import OtlpSettings
from svcready.metrics._instruments._register import Declarer
from svcready.metrics._model import Distribution, Exemplar, Family, Number, Snapshot
from svcready.metrics._push import Pusher
from svcready.metrics.sinks._otlp._points import Reading
from svcready.metrics.sinks._otlp._since import Since
from svcready.metrics.sources._declared import declared_families
from svcready.metrics.sources._otel._provider import Provider
from svcready.metrics.sources._prometheus_client import registry_families
from svcready.testing import FakeClock, running

pytest.importorskip("opentelemetry.proto")

from svcready.metrics.sinks._otlp._sink import OtlpSink, plan_otlp
from tests.metrics.broken_collector import register_broken
from tests.metrics.otlp_collector import (
    MetricsCollector,
    labels_of,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Faults

IDENTITY = Identity(
    service="orders", version="1.4.2", instance="i-1", host_instance="task-1"
)
STARTED_NS = 1_700_000_000_000_000_000
DELTA, CUMULATIVE = 1, 2


@pytest.fixture
def receiver() -> Iterator[MetricsCollector]:
    """Give a collector that listens."""
    made = MetricsCollector()
    yield made
    made.close()


@pytest.fixture
def make(
    receiver: MetricsCollector, clock: FakeClock
) -> Iterator[Callable[..., OtlpSink]]:
    """Make sinks that send what was declared to the collector."""
    made: list[OtlpSink] = []

    def make_sink(
        families: Callable[[], object] = declared_families, **values: object
    ) -> OtlpSink:
        values.setdefault("metrics_endpoint", f"{receiver.url}/v1/metrics")
        plan = plan_otlp(
            OtlpSettings(**values),  # type: ignore[arg-type]
            snapshot=lambda: Snapshot(clock.time_ns(), tuple(families())),  # type: ignore[arg-type]
            identity=IDENTITY,
            clock=clock,
        )
        assert plan.sink is not None, plan.problem
        plan.sink._started_ns = STARTED_NS
        if plan.sink._since is not None:
            plan.sink._since = Since(STARTED_NS)

        made.append(plan.sink)
        return plan.sink

    yield make_sink
    for sink in made:
        sink.close()


declare = Declarer("application")


def test_every_kind_arrives_as_it_was_recorded(
    make: Callable[..., OtlpSink], receiver: MetricsCollector, clock: FakeClock
) -> None:
    """Counters, gauges and histograms keep name, unit, labels, values and times."""
    orders = declare.counter("orders.created", "Orders", labels=("kind",), unit="1")
    waiting = declare.gauge("orders.waiting", "Waiting")
    size = declare.histogram("order.size", "Size", unit="By", buckets=(10, 100))
    orders.labels("retail").inc(3)
    waiting.set(2.5)
    for value in (5.0, 50.0, 60.0, 500.0):
        size.observe(value)

    assert make().push(5.0)

    (push,) = receiver.pushes
    resource = push.resource_metrics[0]
    assert {
        ("service.name", "orders"),
        ("service.version", "1.4.2"),
        ("service.instance.id", "i-1"),
    } <= labels_of(resource.resource)
    assert resource.scope_metrics[0].scope.name == "svcready"

    (counter,) = receiver.find("orders.created")
    (point,) = counter.sum.data_points
    assert (counter.description, counter.unit) == ("Orders", "1")
    assert counter.sum.is_monotonic
    assert counter.sum.aggregation_temporality == CUMULATIVE
    assert (value_of(point), *labels_of(point)) == (3, ("kind", "retail"))
    assert point.start_time_unix_nano == STARTED_NS
    assert point.time_unix_nano == clock.time_ns()

    (gauge,) = receiver.find("orders.waiting")
    (level,) = gauge.gauge.data_points
    assert (value_of(level), level.start_time_unix_nano) == (2.5, 0)

    (histogram,) = receiver.find("order.size")
    (spread,) = histogram.histogram.data_points
    assert list(spread.explicit_bounds) == [10, 100]
    assert list(spread.bucket_counts) == [1, 2, 1]
    assert (spread.count, spread.sum) == (4, 615)
    assert histogram.unit == "By"


def test_an_updowncounter_is_a_sum_that_may_fall(
    make: Callable[..., OtlpSink], receiver: MetricsCollector
) -> None:
    """It is not monotonic, and stays cumulative where counters are deltas."""
    family = Family(
        "jobs", "jobs", "updowncounter", "", "", (), (Number((), -2),), "application"
    )
    sink = make(lambda: [family], metrics_temporality="delta")
    assert sink.push(5.0)
    assert sink.push(5.0)

    for metric in receiver.find("jobs"):
        assert not metric.sum.is_monotonic
        assert metric.sum.aggregation_temporality == CUMULATIVE
        assert value_of(metric.sum.data_points[0]) == -2

    assert len(receiver.find("jobs")) == 2


def test_our_labels_are_attributes_by_the_conventions_names(
    make: Callable[..., OtlpSink], receiver: MetricsCollector
) -> None:
    """`http_response_status_code` is `http.response.status_code`, and a number."""
    family = Family(
        "http.server.request.duration",
        "http_server_request_duration_seconds",
        "histogram",
        "",
        "s",
        ("http_route", "http_response_status_code", "error_type"),
        (Distribution(("/o/{id}", "200", ""), (1.0,), (2, 0), 0.5),),
        "svcready",
    )
    folded = family._replace(
        name="other", points=(Distribution(("__other__",) * 3, (1.0,), (1, 0), 1.0),)
    )
    assert make(lambda: [family, folded]).push(5.0)

    (one,) = receiver.find("http.server.request.duration")
    assert labels_of(one.histogram.data_points[0]) == {
        ("http.route", "/o/{id}"),
        ("http.response.status_code", 200),
    }
    (other,) = receiver.find("other")
    assert labels_of(other.histogram.data_points[0]) == {
        ("otel.metric.overflow", "true")
    }


def test_what_meters_recorded_keeps_its_scope_and_attributes(
    make: Callable[..., OtlpSink], receiver: MetricsCollector
) -> None:
    """OpenTelemetry's own goes out as it came in, under the library's scope."""
    provider = Provider()
    for library in ("lib.a", "lib.b"):
        counter = provider.get_meter(library).create_counter("calls", "{call}")
        counter.add(2, {"order.kind": "x", "http.response.status_code": 404})

    assert make(provider.families).push(5.0)
    assert [scope for scope, _ in receiver.metrics()] == ["lib.a", "lib.b"]
    for metric in receiver.find("calls"):
        (point,) = metric.sum.data_points
        assert metric.unit == "{call}"
        assert labels_of(point) == {
            ("order.kind", "x"),
            ("http.response.status_code", 404),
        }


def test_exemplars_point_at_their_traces_once(
    make: Callable[..., OtlpSink], receiver: MetricsCollector, clock: FakeClock
) -> None:
    """An exemplar has its ids and time, and is not sent again with the next totals."""
    seen_s = clock.time_ns() / 1e9 - 1.0
    labels = (("trace_id", "0a" * 16), ("span_id", "0b" * 8), ("user", "u1"))
    exemplar = Exemplar(labels, 0.5, seen_s)
    points = (Distribution((), (1.0,), (1, 0), 0.5, (exemplar, None)),)
    family = Family("d", "d", "histogram", "", "s", (), points, "application")
    broken = Exemplar((("trace_id", "zz"),), 1.0, seen_s)
    number = (Number((), 1, broken),)
    counter = Family("c", "c", "counter", "", "", (), number, "application")
    sink = make(lambda: [family, counter])
    assert sink.push(5.0)
    assert sink.push(5.0)

    first, second = receiver.find("d")
    (sent,) = first.histogram.data_points[0].exemplars
    assert (sent.trace_id, sent.span_id) == (b"\x0a" * 16, b"\x0b" * 8)
    assert (sent.as_double, sent.time_unix_nano) == (0.5, int(seen_s * 1e9))
    assert {pair.key for pair in sent.filtered_attributes} == {"user"}
    assert not second.histogram.data_points[0].exemplars
    assert not receiver.find("c")[0].sum.data_points[0].exemplars


def test_an_exemplar_that_is_kept_while_another_push_is_on_its_way(
    make: Callable[..., OtlpSink], receiver: MetricsCollector, clock: FakeClock
) -> None:
    """It was not read any more, so the next push brings it."""
    labels = (("trace_id", "0af7651916cd43dd8448eb211c80319c"),)
    kept: list[Exemplar] = []

    def families() -> list[Family]:
        exemplar = kept[-1] if kept else None
        counted = (Number((), 1.0, exemplar),)
        return [Family("c", "c", "counter", "h", "", (), counted, "application")]

    sink = make(families)
    deliver = sink._client.deliver

    def slowly(*given: object) -> object:
        clock.advance(0.5)
        kept.append(Exemplar(labels, 1.0, clock.time_ns() / 1e9))
        clock.advance(0.5)
        return deliver(*given)  # type: ignore[arg-type]

    sink._client.deliver = slowly  # type: ignore[method-assign, assignment]
    assert sink.push(5.0)
    assert sink.push(5.0)

    first, second = receiver.find("c")
    assert not first.sum.data_points[0].exemplars
    assert second.sum.data_points[0].exemplars


def test_a_further_runtime_sends_nothing_again(receiver: MetricsCollector) -> None:
    """Of totals that outlive a runtime, the next one sends what was added since."""
    orders = declare.counter("orders", "Orders")
    chosen = {
        "otlp.metrics_endpoint": f"{receiver.url}/v1/metrics",
        "otlp.metrics_temporality": "delta",
    }
    for amount in (3, 4):
        with running(settings=chosen) as harness:
            orders.inc(amount)
            assert harness.runtime.flush(5.0)

    sent = [value_of(metric.sum.data_points[0]) for metric in receiver.find("orders")]
    assert sent == [3, 4]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_has_a_runtime_later_sends_all_that_it_counts() -> None:
    """What its parent had sent, with a runtime that is closed, is not taken off."""
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore::DeprecationWarning", "-c"),
            """
import os
from svcready._core import fork
from svcready.metrics._model import Number
from svcready.metrics.sinks._otlp._since import since_of_process
fork.install()
key = False, "application", "orders", "", "counter", ()
since_of_process(0).arrive(key, Number((), 10))
assert since_of_process(0).difference(key, Number((), 12))[0].value == 2
pid = os.fork()
if pid == 0:
    os._exit(since_of_process(0).difference(key, Number((), 12))[0].value)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 12
""",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_prometheus_client_recorded_keeps_its_kind(
    make: Callable[..., OtlpSink], receiver: MetricsCollector
) -> None:
    """Its counters, histograms and summaries are OTLP's; info and states are gauges."""
    registry = prometheus_client.CollectorRegistry()
    counter = prometheus_client.Counter("c", "C", ["k"], registry=registry)
    counter.labels("x").inc(4)
    spread = prometheus_client.Histogram(
        "h_seconds", "H", unit="seconds", buckets=(1, 2), registry=registry
    )
    for value in (0.5, 1.5, 1.6, 9.0):
        spread.observe(value)

    prometheus_client.Summary("s", "S", registry=registry).observe(3)
    prometheus_client.Info("i", "I", registry=registry).info({"v": "1"})
    prometheus_client.Enum("e", "E", states=["a", "b"], registry=registry).state("b")
    assert make(lambda: registry_families(registry)).push(5.0)

    (point,) = receiver.find("c")[0].sum.data_points
    assert (value_of(point), *labels_of(point)) == (4, ("k", "x"))
    (found,) = receiver.find("h_seconds")
    (buckets,) = found.histogram.data_points
    assert list(buckets.explicit_bounds) == [1, 2]
    assert list(buckets.bucket_counts) == [1, 2, 1]
    assert (buckets.count, buckets.sum) == (4, pytest.approx(12.6))
    assert found.unit == "s"
    (summary,) = receiver.find("s")[0].summary.data_points
    assert (summary.count, summary.sum) == (1, 3)
    (info,) = receiver.find("i_info")[0].gauge.data_points
    assert (value_of(info), *labels_of(info)) == (1, ("v", "1"))
    states = receiver.find("e")[0].gauge.data_points
    assert {(labels_of(s), value_of(s)) for s in states} == {
        (frozenset({("e", "a")}), 0),
        (frozenset({("e", "b")}), 1),
    }


def test_one_family_that_cannot_be_written_spoils_no_other(
    make: Callable[..., OtlpSink], receiver: MetricsCollector, faults: Faults
) -> None:
    """What a broken collector says stays behind, and everything beside it goes."""
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("before", "B", registry=registry).inc(2)
    register_broken(registry, "odd", "x", 1.0)
    register_broken(registry, "unknown", "1", math.nan)
    register_broken(registry, "negative", "1", -1.0)
    prometheus_client.Counter("behind", "B", registry=registry).inc(3)

    assert make(lambda: registry_families(registry)).push(5.0)

    sent = {metric.name for _, metric in receiver.metrics()}
    assert {"before", "behind"} <= sent
    assert not sent & {"odd", "unknown", "negative"}
    assert isinstance(faults.claim("metrics.otlp"), ValueError)


def test_an_outage_loses_no_count(
    make: Callable[..., OtlpSink], receiver: MetricsCollector, clock: FakeClock
) -> None:
    """What could not be sent as delta is in the next one, which starts as early."""
    orders = declare.counter("orders", "Orders")
    sink = make(metrics_temporality="delta")
    orders.inc(1)
    assert sink.push(5.0)
    clock.advance(60)
    first_ns = clock.time_ns() - 60 * 10**9
    receiver.statuses = [503, 503, 500, 401]
    for _ in range(3):
        orders.inc(10)
        assert not sink.push(5.0)
        clock.advance(60)

    orders.inc(100)
    assert sink.push(5.0)
    assert sink.push(5.0)  # nothing new: nothing sent

    points = [metric.sum.data_points[0] for metric in receiver.find("orders")]
    assert [value_of(point) for point in points] == [1, 130]
    assert points[1].start_time_unix_nano == first_ns == points[0].time_unix_nano
    assert all(
        metric.sum.aggregation_temporality == DELTA
        for metric in receiver.find("orders")
    )


def test_totals_are_simply_sent_again(
    make: Callable[..., OtlpSink], receiver: MetricsCollector
) -> None:
    """After a failure a cumulative total says all of it."""
    orders = declare.counter("orders", "Orders")
    orders.inc(1)
    sink = make()
    receiver.statuses = [503, 503]
    assert not sink.push(5.0)
    orders.inc(1)
    assert sink.push(5.0)
    assert value_of(receiver.find("orders")[0].sum.data_points[0]) == 2
    assert "last_error" not in sink.describe()


def test_refused_points_are_counted_and_told(
    make: Callable[..., OtlpSink],
    receiver: MetricsCollector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Partial success and bad requests are drops by reason, not lost unsaid."""
    dropped: list[ItemsDropped] = []
    end = subscribe(ItemsDropped, dropped.append)
    declare.counter("orders", "Orders").inc(1)
    sink = make(metrics_temporality="delta")
    receiver.rejected = 1
    assert sink.push(5.0)
    declare.counter("orders", "Orders").inc(1)
    receiver.statuses = [400]
    assert not sink.push(5.0)
    assert sink.push(5.0)  # a refused point is not sent for ever
    end()

    assert dropped == [ItemsDropped("metrics.otlp", "rejected", 1)] * 2
    assert len(receiver.pushes) == 1
    assert "too many labels" in caplog.text
    assert sink.describe()["dropped"] == {"rejected": 2}


def test_a_proxys_answer_that_is_no_protobuf_is_a_success(
    make: Callable[..., OtlpSink], receiver: MetricsCollector
) -> None:
    """Whoever says 200 has taken the points, whatever else is said."""
    declare.counter("orders", "Orders").inc(1)
    receiver.say_rejected = lambda: b"<html>OK"  # type: ignore[method-assign]
    receiver.rejected = 1
    assert make().push(5.0)


def test_cloudwatchs_limits_divide_a_push(
    make: Callable[..., OtlpSink], receiver: MetricsCollector
) -> None:
    """Signed metrics go in requests of at most 1 000 points and 1 MB."""
    points = tuple(Number((str(n),), n) for n in range(2345))
    family = Family("m", "m", "counter", "", "", ("n",), points, "application")
    sink = make(lambda: [family])
    sink._limits = sink._limits._replace(points=1000)
    assert sink.push(5.0)

    found = [metric.sum.data_points for metric in receiver.find("m")]
    assert [len(each) for each in found] == [1000, 1000, 345]
    assert sum(value_of(p) for each in found for p in each) == sum(range(2345))


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_a_request_that_is_too_large_is_sent_in_parts(
    make: Callable[..., OtlpSink], receiver: MetricsCollector, temporality: str
) -> None:
    """A proxy may take less than a collector does: nothing is lost for that."""
    points = tuple(Number((str(n),), 1) for n in range(30))
    family = Family("m", "m", "counter", "", "", ("n",), points, "application")
    sink = make(lambda: [family], metrics_temporality=temporality)
    receiver.statuses = [413, 413]
    assert [sink.push(5.0) for _ in range(3)] == [False, False, True]

    arrived = [p for metric in receiver.find("m") for p in metric.sum.data_points]
    assert len(arrived) == len({labels_of(point) for point in arrived}) == 30
    assert max(len(m.sum.data_points) for m in receiver.find("m")) <= 7
    assert sink.describe()["dropped"] == {}


def test_one_point_that_is_too_large_is_given_up(
    make: Callable[..., OtlpSink], receiver: MetricsCollector
) -> None:
    """There is nothing left to divide, and the others go."""
    points = tuple(Number((str(n),), 1) for n in range(2))
    family = Family("m", "m", "counter", "", "", ("n",), points, "application")
    sink = make(lambda: [family], metrics_temporality="delta")
    receiver.statuses = [413, 413]
    assert not sink.push(5.0)
    assert not sink.push(5.0)
    assert sink.push(5.0)

    (found,) = receiver.find("m")
    assert [labels_of(point) for point in found.sum.data_points] == [{("n", "1")}]
    assert sink.describe()["dropped"] == {"rejected": 1}


def test_what_did_not_arrive_at_the_end_is_counted_as_lost(
    make: Callable[..., OtlpSink], receiver: MetricsCollector, clock: FakeClock
) -> None:
    """By the points of the last push, for whoever writes the last line."""
    points = tuple(Number((str(n),), 1) for n in range(2))
    family = Family("m", "m", "gauge", "", "", ("n",), points, "application")
    sink = make(lambda: [family])
    pusher = Pusher([sink], clock)
    receiver.statuses = [503, 503]
    assert not pusher.flush(5.0)

    pusher.close()

    assert pusher.lost == {"deadline": 2}


def test_the_rest_of_a_push_survives_one_refused_request(
    make: Callable[..., OtlpSink], receiver: MetricsCollector
) -> None:
    """A delta's parts are settled one by one: the refused one alone is dropped."""
    points = tuple(Number((str(n),), 1) for n in range(30))
    family = Family("m", "m", "counter", "", "", ("n",), points, "application")
    sink = make(lambda: [family], metrics_temporality="delta")
    sink._limits = sink._limits._replace(points=10)
    receiver.statuses = [200, 400, 503, 503]
    assert not sink.push(5.0)
    assert sink.push(5.0)

    arrived = [p for metric in receiver.find("m") for p in metric.sum.data_points]
    assert len(arrived) == 20
    assert len({labels_of(point) for point in arrived}) == 20


SERIES = ("a", "b")


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["count", "observe", "push", "fail", "rebucket"]),
            st.sampled_from(SERIES),
            st.integers(0, 20),
        ),
        max_size=40,
    )
)
def test_deltas_add_up_to_the_totals(steps: list[tuple[str, str, int]]) -> None:
    """Whatever fails between, what arrived is what was recorded, once."""
    counts = dict.fromkeys(SERIES, 0)
    observed: dict[str, list[float]] = {name: [] for name in SERIES}
    bounds: tuple[float, ...] = (5.0, 10.0)
    got_counts = dict.fromkeys(SERIES, 0.0)
    got = {name: [0, 0.0] for name in SERIES}
    since = Since(STARTED_NS)
    now_ns = STARTED_NS
    ends_ns: dict[str, int] = {}

    def families() -> tuple[Family, ...]:
        spread = [
            Distribution(
                (name,),
                bounds,
                tuple(
                    sum(low < v <= high for v in observed[name])
                    for low, high in zip(
                        (-1.0, *bounds), (*bounds, float("inf")), strict=True
                    )
                ),
                float(sum(observed[name])),
            )
            for name in SERIES
            if observed[name]
        ]
        numbers = [Number((name,), counts[name]) for name in SERIES if counts[name]]
        labels = ("k",)
        return (
            Family("c", "c", "counter", "", "", labels, tuple(numbers), "application"),
            Family("h", "h", "histogram", "", "", labels, tuple(spread), "application"),
        )

    for step, name, amount in [*steps, ("push", "a", 0)]:
        now_ns += 10**9
        if step == "count":
            counts[name] += amount
        elif step == "observe":
            observed[name].append(float(amount))
        elif step == "rebucket":
            bounds = (5.0, 10.0) if amount % 2 else (1.0, 10.0, 15.0)
        else:
            reading = Reading(Snapshot(now_ns, families()), STARTED_NS, since=since)
            for each in reading.outgoing():
                point = each.point
                label = str(point.attributes["k"])
                assert each.key is not None
                if step == "fail":
                    continue

                # Of one series no moment is told of twice.
                place = f"{each.key[2]}{label}"
                assert ends_ns.get(place, STARTED_NS) <= point.start_ns
                assert point.start_ns < point.time_ns
                ends_ns[place] = point.time_ns
                assert each.total is not None
                since.arrive(each.key, each.total)
                if isinstance(each.total, Number):
                    got_counts[label] += point.value  # type: ignore[union-attr]
                else:
                    assert min(point.counts) >= 0  # type: ignore[union-attr]
                    got[label][0] += sum(point.counts)  # type: ignore[union-attr]
                    got[label][1] += point.sum or 0.0  # type: ignore[union-attr]

    assert got_counts == counts
    assert got == {n: [len(observed[n]), sum(observed[n])] for n in SERIES}


def test_a_total_that_fell_began_again() -> None:
    """A counter that was cleared counts from zero, and nothing is negative."""
    since = Since(0)
    family = Family("c", "c", "counter", "", "", (), (), "prometheus_client")
    key = since.key(family, Number((), 0))
    for at, (total, added) in enumerate([(10, 10), (4, 4), (9, 5)]):
        since.begin(at)
        found = since.difference(key, Number((), total))
        assert found is not None
        assert found[0] == Number((), added)
        since.arrive(key, Number((), total))


def test_a_forked_child_sends_its_own_counts_alone() -> None:
    """Totals are zero in a child; only what a collector computes goes on."""
    since = Since(0)
    ours = Family("c", "c", "counter", "", "", (), (), "application")
    theirs = ours._replace(origin="prometheus_client", workers="own")
    since.begin(10)
    for family in (ours, theirs):
        since.arrive(since.key(family, Number((), 0)), Number((), 5))

    since.began_again(50)
    since.begin(60)
    found = since.difference(since.key(ours, Number((), 0)), Number((), 7))
    assert found == (Number((), 7), 50)
    found = since.difference(since.key(theirs, Number((), 0)), Number((), 7))
    assert found == (Number((), 2), 10)


def test_series_that_are_gone_are_forgotten() -> None:
    """Labels that come and go leave nothing behind after a while."""
    since = Since(0)
    family = Family("c", "c", "counter", "", "", ("k",), (), "application")
    for at in range(500):
        since.begin(at)
        total = Number((str(at),), 1)
        since.difference(since.key(family, total), total)

    assert len(since._arrived) <= 120


@pytest.mark.parametrize("word", ["delta", "lowmemory"])
def test_low_memory_leaves_what_is_only_observed_cumulative(word: str) -> None:
    """As OpenTelemetry says; plain delta makes differences of every counter."""
    family = Family(
        "process.cpu.time", "p", "counter", "", "s", (), (Number((), 1),), "process"
    )
    reading = Reading(
        Snapshot(9, (family,)), 1, since=Since(1), frugal=word == "lowmemory"
    )
    (each,) = reading.outgoing()
    assert (each.key is None) == (word == "lowmemory")


def test_a_push_ends_within_its_time(
    make: Callable[..., OtlpSink], receiver: MetricsCollector, clock: FakeClock
) -> None:
    """A collector that asks for a long wait is left until the next interval."""
    declare.counter("orders", "Orders").inc(1)
    receiver.headers = {"Retry-After": "120"}
    receiver.statuses = [503, 200]
    assert not make().push(5.0)
    assert clock.sleeps == []
    assert receiver.statuses == [200]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"endpoint": "http://c:4318"}, None),
        ({"endpoint": "http://c:4318", "metrics": True}, "http://c:4318/v1/metrics"),
        ({"metrics": True}, "http://localhost:4318/v1/metrics"),
        ({"metrics_endpoint": "http://c/x"}, "http://c/x"),
        ({"metrics_endpoint": "http://c/x", "metrics": False}, None),
    ],
)
def test_a_general_endpoint_alone_sends_no_metrics(
    values: dict[str, object], expected: str | None, clock: FakeClock
) -> None:
    """Metrics are sent where their own endpoint is set, or the word is given."""
    plan = plan_otlp(
        OtlpSettings(**values),  # type: ignore[arg-type]
        snapshot=lambda: Snapshot(0, ()),
        identity=IDENTITY,
        clock=clock,
    )
    assert plan.problem == ""
    to = None if plan.sink is None else plan.sink.describe()["to"]
    assert to == expected


def test_an_address_that_http_cannot_use_is_a_problem(clock: FakeClock) -> None:
    """What only gRPC understands is not sent to by HTTP in silence."""
    plan = plan_otlp(
        OtlpSettings(metrics=True, endpoint="collector:4317"),
        snapshot=lambda: Snapshot(0, ()),
        identity=IDENTITY,
        clock=clock,
    )
    assert plan.sink is None
    assert re.search("collector:4317.*has no http://", plan.problem)
