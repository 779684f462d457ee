"""The standard set of HTTP metrics is made from the durations of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready.metrics._http import HttpMetrics
from svcready.metrics._instruments._register import Declarer
from svcready.metrics.sinks._cloudwatch._standard import is_error, is_fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.metrics.sinks._cloudwatch._collector import Collector
    from svcready.metrics.sinks._cloudwatch._data import Datum

    Make = Callable[..., Collector]

ORDERS = (("ApiEndpoint", "POST /orders"), ("Environment", "test"))
NOWHERE = (("ApiEndpoint", "POST __unmatched__"), ("Environment", "test"))
ALL = (("Environment", "test"),)


@pytest.fixture
def http() -> HttpMetrics:
    """The server's metrics."""
    return HttpMetrics(Declarer("svcready"), max_routes=100)


def amounts(datums: list[Datum], name: str) -> dict[object, float]:
    """Return a metric's values by dimensions."""
    return {
        d.dimensions: d.value if d.sketch is None else d.sketch.count
        for d in datums
        if d.name == name
    }


def test_requests_errors_and_faults(make_collector: Make, http: HttpMetrics) -> None:
    """4xx are errors, 5xx and unhandled exceptions faults, all are requests."""
    collector = make_collector()
    for status, error, times in (
        (200, None, 5),
        (404, None, 2),
        (503, None, 1),
        (500, "KeyError", 3),
        (200, "BrokenPipeError", 1),
        (None, None, 1),
    ):
        for _ in range(times):
            http.children("POST", "/orders", status, error=error).observe(0.25)

    http.children("POST", None, 404).observe(0.5)
    datums = collector.collect()

    assert amounts(datums, "RequestCount") == {ORDERS: 13, NOWHERE: 1, ALL: 14}
    assert amounts(datums, "ErrorCount") == {ORDERS: 2, NOWHERE: 1, ALL: 3}
    assert amounts(datums, "FaultCount") == {ORDERS: 5, ALL: 5}
    assert amounts(datums, "ResponseTime") == {ORDERS: 13, NOWHERE: 1, ALL: 14}
    assert amounts(datums, "RequestErrorCount") == {
        (*ALL, ("ErrorType", "503")): 1,
        (*ALL, ("ErrorType", "KeyError")): 3,
        (*ALL, ("ErrorType", "BrokenPipeError")): 1,
    }
    assert {d.unit for d in datums if d.name != "ResponseTime"} == {"Count"}


def test_an_applications_own_times_are_not_taken_for_seconds(
    make_collector: Make, http: HttpMetrics
) -> None:
    """A metric of the same name in milliseconds joins the standard one as it is."""
    own = Declarer("application").histogram("ResponseTime", "help", unit="ms")
    collector = make_collector()
    http.children("POST", "/orders", 200).observe(0.25)
    own.observe(700.0)

    (whole,) = [
        datum
        for datum in collector.collect()
        if (datum.name, datum.dimensions) == ("ResponseTime", ALL)
    ]

    assert whole.statistics() == pytest.approx((2, 950.0, 250.0, 700.0))


def test_times_are_in_milliseconds(make_collector: Make, http: HttpMetrics) -> None:
    """The family's are in seconds."""
    collector = make_collector()
    http.children("POST", "/orders", 200).observe(0.25)
    http.children("POST", "/orders", 200).observe(0.75)

    (time,) = [
        d
        for d in collector.collect()
        if d.name == "ResponseTime" and d.dimensions == ORDERS
    ]

    assert time.unit == "Milliseconds"
    assert time.statistics().samples == 2
    assert time.statistics().sum == pytest.approx(1000.0)


def test_zeros_follow_requests(make_collector: Make, http: HttpMetrics) -> None:
    """A whole has its zeros from the start, an endpoint from its first failure."""
    collector = make_collector()
    kept = http.children("POST", "/orders", 200)
    kept.observe(0.1)
    before = collector.collect()
    http.children("POST", "/orders", 400).observe(0.1)
    collector.collect()
    kept.observe(0.1)
    after = collector.collect()
    idle = collector.collect()

    assert amounts(before, "ErrorCount") == {ALL: 0}
    assert amounts(before, "FaultCount") == {ALL: 0}
    assert amounts(after, "ErrorCount") == {ORDERS: 0, ALL: 0}
    assert amounts(after, "FaultCount") == {ALL: 0}
    assert idle == []


def test_it_is_left_out_by_name(make_collector: Make, http: HttpMetrics) -> None:
    """Each of the set, and all of it; the family itself comes by its own name."""

    def names(*patterns: str) -> set[str]:
        collector = make_collector(metrics=patterns)
        http.children("POST", "/orders", 200).observe(0.1)
        return {d.name for d in collector.collect()}

    standard = {"RequestCount", "ResponseTime", "ErrorCount", "FaultCount"}
    assert names() == standard
    assert names("!Error*", "!Re*") == {"FaultCount"}
    assert names("!*") == set()
    assert names("http.server.request.*") == {
        *standard,
        "http.server.request.duration",
    }


def test_one_pattern_makes_all_of_it_high_resolution(
    make_collector: Make, http: HttpMetrics
) -> None:
    """It is taken in one go, so it is stored in one way."""
    http.children("POST", "/orders", 200).observe(0.1)

    fast = make_collector(high_resolution=("ResponseTime",)).collect()

    assert {d.resolution for d in fast} == {1}
    assert len(fast) == 6


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        ("200", "", (False, False)),
        ("404", "", (True, False)),
        ("404", "Http404", (True, False)),
        ("500", "500", (False, True)),
        ("", "KeyError", (False, True)),
        ("", "", (False, False)),
        ("__other__", "__other__", (False, False)),
    ],
)
def test_errors_and_faults(
    status: str,
    error: str,
    expected: tuple[bool, bool],
) -> None:
    """A status decides before an exception does."""
    assert (is_error(status), is_fault(status, error)) == expected
