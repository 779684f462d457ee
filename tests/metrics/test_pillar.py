from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import prometheus_client
import psutil
import pytest

from svcready.metrics import CounterChild, counter, gauge, histogram, timer
from svcready.metrics._http import HttpMetrics
from svcready.metrics._instruments._register import Declarer
from svcready.metrics._model import Distribution, Family, Number
from svcready.metrics.sources._process import ProcessSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.metrics import Histogram
    from svcready.metrics._pillar import MetricsPillar
    from svcready.testing import FakeClock
    from tests.conftest import Faults

    Make = Callable[..., MetricsPillar]

Numbers = dict[tuple[str, ...], float]


def only(family: Family | None) -> Number | Distribution:
    """Return the one point of a family."""
    assert family is not None
    (point,) = family.points
    assert isinstance(point, Number | Distribution)
    return point


def test_what_was_recorded_before_the_start_is_there(make_pillar: Make) -> None:
    """A declaration counts from itself on, not from `init()`."""
    orders = counter("orders", "help")
    orders.inc(2)
    pillar = make_pillar()
    orders.inc()

    assert only(pillar.snapshot().find("orders")) == Number((), 3)


def test_a_snapshot_stands_still(make_pillar: Make, clock: FakeClock) -> None:
    """It is of one moment, stamped, and what is recorded later is not in it."""
    sizes = histogram("sizes", "help", buckets=(1,))
    pillar = make_pillar()
    sizes.observe(1)
    before = pillar.snapshot()
    sizes.observe(1)

    assert before.taken_ns == clock.time_ns()
    assert only(before.find("sizes")) == Distribution((), (1.0,), (1, 0), 1.0)
    assert before.find("nothing") is None


@pytest.mark.parametrize("kind", [histogram, timer])
@pytest.mark.parametrize("when", ["before", "after"])
def test_configured_buckets_win(
    make_pillar: Make, when: str, kind: Callable[..., Histogram]
) -> None:
    """Whether declared before or after the start; what was counted stays counted."""
    buckets = {"sizes": (5.0, 50.0)}
    if when == "after":
        make_pillar(buckets=buckets)

    sizes = kind("sizes", "help", labels=("kind",), buckets=(1, 10))
    child = sizes.labels("a")
    if when == "before":
        child.observe(0.5)
        make_pillar(buckets=buckets)
    else:
        child.observe(0.5)

    child.observe(20)
    point = only(sizes.read())
    assert point == Distribution(("a",), (5.0, 50.0), (1, 1, 0), 20.5)


def test_buckets_that_are_configured_no_more_are_no_more(make_pillar: Make) -> None:
    """The next runtime without them has those of the declaration again."""
    make_pillar(buckets={"sizes": (5.0, 50.0)}).close()
    sizes = histogram("sizes", "help", buckets=(1, 10))
    sizes.observe(3)
    pillar = make_pillar(buckets={"sizes": (5.0,)})
    sizes.observe(3)
    pillar.close()
    pillar = make_pillar()
    sizes.observe(3)

    point = only(pillar.snapshot().find("sizes"))
    assert isinstance(point, Distribution)
    assert point.bounds == (1.0, 10.0)
    assert point.observations == 3


def test_unmatched_requests_are_one_series_however_many_routes_there_are() -> None:
    """They find room when the routes have taken all of it, and take none of theirs."""
    metrics = HttpMetrics(Declarer("svcready"), max_routes=2)
    shown = [
        metrics.children("GET", route, 200)
        for route in ("__unmatched__", "/a", "/b", "/c", None, "__unmatched__")
    ]

    assert shown[0] is shown[4] is shown[5]
    assert len({id(child) for child in shown[:4]}) == 4


def test_bad_configured_buckets_are_reported(make_pillar: Make, faults: Faults) -> None:
    """The declared ones stay, and the service starts."""
    make_pillar(buckets={"sizes": (2.0, 1.0)})
    sizes = histogram("sizes", "help", buckets=(1,))

    assert sizes.bounds == (1.0,)
    assert "(2.0, 1.0)" in str(faults.claim("metrics"))


def test_starting_and_closing_again_does_nothing(
    make_pillar: Make, clock: FakeClock
) -> None:
    """Both are idempotent; totals and recording outlive the pillar."""
    pillar = make_pillar()
    pillar.start()
    orders = counter("orders", "help")
    orders.inc()
    pillar.close()
    pillar.close()
    orders.inc()
    again = make_pillar()

    assert only(again.snapshot().find("orders")) == Number((), 2)


def test_timers_read_the_injected_clock(make_pillar: Make, clock: FakeClock) -> None:
    """One declared earlier too, with the functions that it decorates."""
    early = timer("early", "help")

    @early
    def work() -> None:
        clock.advance(3)

    make_pillar()
    work()

    point = only(early.read())
    assert isinstance(point, Distribution)
    assert point.sum == 3.0


def test_a_source_that_fails_spoils_only_itself(
    make_pillar: Make, faults: Faults
) -> None:
    """The snapshot goes on without it."""

    def broken() -> tuple[Family, ...]:
        raise RuntimeError("no source")

    pillar = make_pillar()
    pillar.add_source(broken)
    pillar.add_source(
        lambda: (
            Family("x", "x", "gauge", "", "", (), (Number((), 1),), "application"),
        )
    )

    assert pillar.snapshot().find("x") is not None
    assert str(faults.claim("metrics")) == "no source"


def test_a_metric_that_cannot_be_read_spoils_only_itself(
    make_pillar: Make, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are read on."""
    pillar = make_pillar()
    broken = counter("broken", "help", labels=("a",)).labels("b")
    gauge("level", "help")
    read = CounterChild.read

    def fail(child: CounterChild) -> float:
        if child is broken:
            raise RuntimeError("no value")

        return read(child)

    monkeypatch.setattr(CounterChild, "read", fail)

    snapshot = pillar.snapshot()

    assert snapshot.find("broken") is None
    assert snapshot.find("level") is not None
    assert str(faults.claim("metrics")) == "no value"


def test_a_process_that_cannot_be_read_is_shown_as_far_as_it_can(
    make_pillar: Make, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox may forbid a reading; only what nobody expects is a fault."""
    pillar = make_pillar(process=True)

    def forbidden(_: psutil.Process) -> int:
        raise psutil.AccessDenied

    def unexpected(_: psutil.Process) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(psutil.Process, "num_fds", forbidden)
    monkeypatch.setattr(psutil.Process, "num_threads", unexpected)
    snapshot = pillar.snapshot()

    assert snapshot.find("process_open_fds") is None
    assert snapshot.find("process_threads") is None
    assert snapshot.find("process_cpu_seconds") is not None
    assert isinstance(faults.claim("metrics.process"), ZeroDivisionError)


def test_it_describes_itself(make_pillar: Make) -> None:
    """What the start line and the operator's surface show."""
    pillar = make_pillar(max_series=1)
    orders = counter("orders", "help", labels=("kind",))
    orders.labels("a")
    orders.labels("b")

    described = pillar.describe()
    assert described["capped"] == ["orders"]
    assert described["series"] == 2  # its one and `__other__`; ours have none yet
    assert described["sinks"] == ["prometheus"]


def test_requests_are_measured_by_the_stable_conventions(
    make_pillar: Make, read: Callable[[Family], Numbers]
) -> None:
    """Name, unit, buckets and labels are OpenTelemetry's, in Prometheus spelling."""
    pillar = make_pillar()
    pillar.http.children("GET", "/orders/{id}", 200, scheme="https").observe(0.03)
    pillar.http.active("GET", scheme="https").inc()

    family = pillar.snapshot().find("http_server_request_duration_seconds")
    assert family is not None
    assert (family.name, family.unit) == ("http.server.request.duration", "s")
    point = only(family)
    assert dict(zip(family.labels, point.labels, strict=True)) == {
        "http_request_method": "GET",
        "http_route": "/orders/{id}",
        "http_response_status_code": "200",
        "url_scheme": "https",
        "error_type": "",
    }
    assert isinstance(point, Distribution)
    advice = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1)
    assert list(point.bounds) == [*advice, 2.5, 5, 7.5, 10]
    active = pillar.snapshot().find("http_server_active_requests")
    assert active is not None
    assert read(active) == {("GET", "https"): 1}


@pytest.mark.parametrize(
    ("asked", "labels"),
    [
        (("get", "/a", 200), ("_OTHER", "/a", "200", "http", "")),
        (("BREW", "/a", 200), ("_OTHER", "/a", "200", "http", "")),
        (("GET", None, 404), ("GET", "__unmatched__", "404", "http", "")),
        (("GET", "", 404), ("GET", "__unmatched__", "404", "http", "")),
        (("GET", "/a", None), ("GET", "/a", "", "http", "")),
        (("GET", "/a", 503), ("GET", "/a", "503", "http", "503")),
    ],
)
def test_what_a_request_brings_is_bounded(
    make_pillar: Make, asked: tuple[str, str, int], labels: tuple[str, ...]
) -> None:
    """A client can't make series by inventing methods and paths."""
    pillar = make_pillar()
    pillar.http.children(*asked).observe(1)

    point = only(pillar.snapshot().find("http.server.request.duration"))
    assert point.labels == labels


def test_an_unhandled_error_names_its_class(make_pillar: Make) -> None:
    """It says more than the status that the client saw."""
    pillar = make_pillar()
    pillar.http.children("GET", "/a", 500, scheme="ftp", error="KeyError").observe(1)

    point = only(pillar.snapshot().find("http.server.request.duration"))
    assert point.labels == ("GET", "/a", "500", "_OTHER", "KeyError")


def test_routes_are_capped(make_pillar: Make) -> None:
    """Routes beyond the cap share one value, told apart by method and status."""
    pillar = make_pillar(max_routes=2)
    for number in range(5):
        pillar.http.children("GET", f"/{number}", 200).observe(1)

    pillar.http.children("POST", "/4", 201).observe(1)
    family = pillar.snapshot().find("http.server.request.duration")
    assert family is not None
    seen = {
        point.labels[:3]: point.observations
        for point in family.points
        if isinstance(point, Distribution)
    }
    assert seen == {
        ("GET", "/0", "200"): 1,
        ("GET", "/1", "200"): 1,
        ("GET", "__other__", "200"): 3,
        ("POST", "__other__", "201"): 1,
    }


def test_children_are_kept_objects(make_pillar: Make) -> None:
    """The same request finds the same child, so that a lifecycle may keep it."""
    http = HttpMetrics(Declarer("svcready"), max_routes=5)

    assert http.children("GET", "/", 200) is http.children("GET", "/", 200)
    assert http.active("GET") is http.active("GET")


def test_the_process_tells_about_itself(make_pillar: Make) -> None:
    """Standard names, values as the operating system has them."""
    pillar = make_pillar(process=True)
    process = psutil.Process()
    found = {
        family.exposition: family.points[0].value  # type: ignore[union-attr]
        for family in pillar.snapshot().families
        if family.origin == "process"
    }

    assert 0 < found["process_cpu_seconds"] < 600
    assert abs(found["process_resident_memory_bytes"] - process.memory_info().rss) < 5e7
    assert found["process_virtual_memory_bytes"] > 1e6
    assert found["process_open_fds"] >= 3
    assert found["process_max_fds"] >= found["process_open_fds"]
    assert found["process_threads"] >= threading.active_count()
    assert abs(found["process_start_time_seconds"] - process.create_time()) < 1
    assert 0 < found["python_gc_collections"] <= gc.get_stats()[0]["collections"]
    assert found["python_info"] == 1


@pytest.mark.parametrize("ours", [True, False])
def test_what_prometheus_client_says_of_the_process_is_ours_to_say(
    make_pillar: Make, *, ours: bool
) -> None:
    """It registers that by being loaded, without OpenTelemetry's names or a word."""
    assert prometheus_client.PROCESS_COLLECTOR is not None  # it is loaded
    pillar = make_pillar(process=ours, application_registry=True)
    families = pillar.snapshot().families
    (cpu,) = [f for f in families if f.exposition == "process_cpu_seconds"]
    (info,) = [f for f in families if f.exposition == "python_info"]

    name, origin = cpu.name, cpu.origin
    if ours:
        assert (name, origin) == ("process.cpu.time", "process")
        assert info.origin == "process"
    else:
        assert (name, origin) == ("process_cpu_seconds", "prometheus_client")
        assert info.origin == "prometheus_client"


def test_a_reading_of_the_process_serves_for_a_second(clock: FakeClock) -> None:
    """Several scrapers cost one reading."""
    source = ProcessSource(clock)
    first = source()
    clock.advance(0.9)
    assert source() is first
    clock.advance(0.2)
    assert source() is not first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_tells_about_itself() -> None:
    """What was read of the parent is not shown as the child's."""
    script = """
import os
from svcready.metrics.sources._process import ProcessSource
source = ProcessSource()
threads = lambda: [f for f in source() if f.name == "process.thread.count"][0]
source()
pid = os.fork()
if pid == 0:
    source()
    os._exit(0 if source._process.pid == os.getpid() else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


def test_declaring_loads_nothing_heavy() -> None:
    """No renderer, no event loop, no inspection, no thread, for an import."""
    script = """
import sys, threading
from svcready.metrics import counter, timer
counter("orders", "help", labels=("kind",)).labels("a").inc()
timer("checkout", "help")(len)([])
heavy = {"asyncio", "inspect", "dataclasses", "prometheus_client", "psutil", "wrapt",
         "opentelemetry", "platform", "importlib.metadata"}
print(sorted(heavy & set(sys.modules)), threading.active_count())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        # Coverage, which is measured in processes too, loads what it likes.
        env={k: v for k, v in os.environ.items() if not k.startswith("COV")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[] 1"
