"""What an operator sees of export: families for each way out of the process."""

from __future__ import annotations

import pytest

pytest.importorskip("opentelemetry.proto")

from typing import TYPE_CHECKING

import svcready
from svcready._wiring._exports import export_families
from svcready.testing import running
from svcready.tracing.export._queue import Figures
from tests.tracing.collector import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Give a collector that listens."""
    made = Collector()
    yield made
    made.close()


def test_what_became_of_spans_is_on_the_page(collector: Collector) -> None:
    """Sent, failed and dropped are counted, and the last failure has its time."""
    prefix = "svcready_trace_export"
    settings = {
        "otlp.endpoint": collector.url,
        "tracing.export_delay_s": 3600,
        "tracing.batch_spans": 100,
    }
    with running(settings=settings) as harness:
        lost = {"component": "tracing.otlp", "reason": "rejected"}
        # Totals outlive runtimes, and so the tests before this one.
        before = harness.sample("svcready_dropped_total", **lost) or 0
        for _ in range(3):
            with svcready.span("sent"):
                pass

        assert harness.sample(f"{prefix}_queued", exporter="otlp") == 3
        assert harness.sample(f"{prefix}_queue_bytes", exporter="otlp")
        assert harness.runtime.tracing.flush(5.0)
        collector.statuses = [403]
        with svcready.span("refused"):
            pass

        harness.runtime.tracing.flush(5.0)
        of_otlp = {"exporter": "otlp"}
        rejected = {**of_otlp, "reason": "rejected"}

        assert harness.sample(f"{prefix}_queued", **of_otlp) == 0
        assert harness.sample(f"{prefix}_queue_bytes", **of_otlp) == 0
        assert harness.sample(f"{prefix}_sent_total", **of_otlp) == 3
        assert harness.sample(f"{prefix}_failures_total", **rejected) == 1
        assert harness.sample(f"{prefix}_dropped_total", **rejected) == 1
        failed_at_s = harness.sample(
            f"{prefix}_last_failure_timestamp_seconds", **of_otlp
        )
        assert failed_at_s is not None
        assert failed_at_s > 1.7e9
        dropped = harness.sample("svcready_dropped_total", **lost)
        assert dropped == before + 1


def test_without_a_way_out_there_is_nothing_to_show() -> None:
    """A process that sends no spans has none of the families."""
    assert list(export_families({})) == []


def test_several_ways_have_series_of_their_own() -> None:
    """One family holds them all, told apart by the exporter's name."""
    idle = Figures(0, 0, 0, {}, {}, 0)
    busy = Figures(2, 5000, 7, {"unavailable": 1}, {"queue_full": 4}, 10**18)
    families = {
        family.exposition: {point.labels: point.value for point in family.points}  # type: ignore[union-attr]
        for family in export_families({"otlp": busy, "xray": idle})
    }

    assert families == {
        "svcready_trace_export_queued": {("otlp",): 2, ("xray",): 0},
        "svcready_trace_export_queue_bytes": {("otlp",): 5000, ("xray",): 0},
        "svcready_trace_export_sent": {("otlp",): 7, ("xray",): 0},
        "svcready_trace_export_failures": {("otlp", "unavailable"): 1},
        "svcready_trace_export_dropped": {("otlp", "queue_full"): 4},
        "svcready_trace_export_last_failure_timestamp_seconds": {("otlp",): 1e9},
    }
