"""Label values without end, on every sink."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import opentelemetry.metrics
import pytest

import svcready
from svcready.testing import Harness, running

pytest.importorskip("opentelemetry.proto")
pytest.importorskip("boto3")

from svcready.metrics.sinks._cloudwatch._emf._sink import EmfSink
from svcready.metrics.sinks._cloudwatch._emf._ways import Went
from tests.metrics.received import ENVIRONMENT, Receivers
from tests.metrics.recorded import OTHER, OVERFLOW
from tests.metrics.sinks.cloudwatch.put.metrics_server import Refused

DURATION = "http.server.request.duration"
MOST, ROUTES, ALL = 2000, 500, 50_000
REST = range(MOST, ALL)


class Run:
    """A service that labels its metrics with whatever comes, by every instrument."""

    def __init__(self, harness: Harness, library_counter: str) -> None:
        assert harness.runtime.metrics is not None
        self._http = harness.runtime.metrics.http
        user = ("user",)
        self._seen = svcready.counter("seen", "help", labels=user)
        self._took = svcready.histogram("took", "help", labels=user, buckets=(9,))
        meter = opentelemetry.metrics.get_meter("library")
        self._calls = meter.create_counter(library_counter)

    def work(self, start: int, end: int) -> None:
        """Record under each label value once."""
        for number in range(start, end):
            user = f"user-{number}"
            self._seen.labels(user).inc()
            self._took.labels(user).observe(number % 20)
            self._calls.add(1, {"user": user})
            self._http.children("GET", f"/users/{number}", 200).observe(0.5)


@contextmanager
def outage(receivers: Receivers, harness: Harness) -> Iterator[None]:
    """Have nothing arrive anywhere."""
    receivers.put.weather = lambda: Refused("Throttling")
    receivers.collector.statuses = [503] * 99
    assert harness.runtime.metrics is not None
    with pytest.MonkeyPatch.context() as patch:
        for sink in harness.runtime.metrics._pusher.sinks:
            if isinstance(sink, EmfSink):
                patch.setattr(sink._way, "send", lambda *_: Went(0, "full"))

        yield

    receivers.put.weather = lambda: None
    receivers.collector.statuses = []


def blocks_in_use(receivers: Receivers, harness: Harness) -> int:
    """Try to send and look at a page, and return how much memory is in use then."""
    assert not harness.runtime.flush(30)
    receivers.page(harness)
    gc.collect()
    return sys.getallocatedblocks()


@pytest.mark.parametrize(
    ("mode", "temporality"), [("emf", "cumulative"), ("api", "delta")]
)
def test_fifty_thousand_label_values(
    receivers: Receivers, mode: str, temporality: str
) -> None:
    """
    Memory is bounded, even while nothing can be sent; each metric warns once.

    Nothing is lost: what found no room is in `__other__`, on every sink.
    """
    chosen = receivers.settings(mode, temporality) | {"cloudwatch.metrics": "calls.*"}
    with running(settings=chosen, clock=receivers.clock) as harness:
        run = Run(harness, f"calls.{mode}")
        with outage(receivers, harness):
            run.work(0, MOST + 1)
            few = blocks_in_use(receivers, harness)
            run.work(MOST + 1, ALL)
            most = blocks_in_use(receivers, harness)

        assert harness.runtime.flush(30)
        page = receivers.page(harness)
        warned = [
            line["context"]["metric"]  # type: ignore[index]
            for line in harness.lines
            if line.get("event") == "metrics.series_capped"
        ]

    assert most - few < len(REST) / 40
    assert sorted(warned) == [f"calls.{mode}", DURATION, "seen", "took"]
    folded = page["svcready_metrics_folded", frozenset({("metric", "seen")})]
    assert folded.latest == len(REST)

    over_otlp, sent = receivers.otlp(), receivers.cloudwatch(mode)
    other, scope = frozenset({("user", OTHER)}), ("otel_scope_name", OTHER)
    for received, key, calls in (
        (page, other, (f"calls_{mode}", other | {scope})),
        (over_otlp, OVERFLOW, (f"calls.{mode}", OVERFLOW)),
        (sent, other | {ENVIRONMENT}, (f"calls.{mode}", other | {scope, ENVIRONMENT})),
    ):
        assert received["seen", key].sum == len(REST)
        assert received["took", key].count == len(REST)
        assert received["took", key].sum == sum(number % 20 for number in REST)
        assert received[calls].sum == len(REST)

    for received in (page, over_otlp):
        assert len([key for key in received if key[0] == "seen"]) == MOST + 1
        assert [
            amount.count
            for (name, labels), amount in received.items()
            if name.replace("_", ".").startswith(DURATION)
            and OTHER in dict(labels).values()
        ] == [ALL - ROUTES]

    endpoint = frozenset({ENVIRONMENT, ("ApiEndpoint", f"GET {OTHER}")})
    assert sent["RequestCount", endpoint].sum == ALL - ROUTES
    assert sent["seen", frozenset({ENVIRONMENT})].sum == ALL
