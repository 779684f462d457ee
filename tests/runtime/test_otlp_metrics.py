"""Metrics over OTLP as one call sets them up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.testing import running

pytest.importorskip("opentelemetry.proto")

from tests.metrics.otlp_collector import MetricsCollector, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def receiver() -> Iterator[MetricsCollector]:
    """Give a collector that listens."""
    made = MetricsCollector()
    yield made
    made.close()


def test_a_variable_has_metrics_sent_and_the_end_sends_the_last(
    receiver: MetricsCollector,
) -> None:
    """What was recorded before the service ended is at the collector then."""
    orders = svcready.counter("otlp_wiring_orders", "Orders")
    before = 0.0
    environ = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{receiver.url}/v1/metrics"}
    with running(environ=environ) as harness:
        assert harness.runtime.metrics is not None
        assert "otlp" in harness.runtime.metrics.describe()["sinks"]  # type: ignore[operator]
        orders.inc(3)
        assert harness.runtime.flush(5.0)
        before = value_of(receiver.find("otlp_wiring_orders")[-1].sum.data_points[0])
        orders.inc(4)

    after = value_of(receiver.find("otlp_wiring_orders")[-1].sum.data_points[0])
    assert after - before == 4
    assert receiver.find("target") == []


def test_what_cannot_be_is_a_problem_and_stops_nothing() -> None:
    """AWS takes no gRPC, which is reported with everything else that is wrong."""
    environ = {
        "SVCREADY_OTLP_METRICS_ENDPOINT": "https://monitoring.eu-west-1.amazonaws.com",
        "SVCREADY_OTLP_PROTOCOL": "grpc",
    }
    with running(environ=environ) as harness:
        assert any("over grpc" in problem for problem in harness.runtime.problems())
