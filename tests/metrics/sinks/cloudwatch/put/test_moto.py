"""PutMetricData against moto, an implementation that is not ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from svcready._core.clock import SYSTEM_CLOCK
from svcready._transport.aws import make_client
from svcready.config._sections.cloudwatch import CloudwatchSettings
from svcready.metrics.sinks._cloudwatch._put._sink import PutMetricDataSink
from tests.metrics.conftest import IDENTITY
from tests.moto_account import serve_account

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.metrics.sinks.cloudwatch.put.conftest import Recorder

pytest.importorskip("moto.server")
pytest.importorskip("boto3")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
]


@pytest.fixture
def endpoint(account: None) -> Iterator[str]:
    """Run moto's server."""
    with serve_account() as url:
        yield url


def test_what_was_put_is_read_back(endpoint: str, recorder: Recorder) -> None:
    """Sums, counts, extremes and units of counters, gauges and distributions."""
    settings = CloudwatchSettings(mode="api", endpoint=endpoint, namespace="Shop")
    sink = PutMetricDataSink(settings, recorder, identity=IDENTITY, clock=SYSTEM_CLOCK)
    waits = [float(n % 40) for n in range(500)]
    recorder.count("orders", 3, Kind="retail")
    recorder.level("queue", 7)
    recorder.observe("wait", *waits)
    assert sink.push(20)
    recorder.count("orders", 4, Kind="retail")
    assert sink.push(20)
    sink.close()

    client: Any = make_client("cloudwatch", endpoint=endpoint, timeout_s=10)

    def read(name: str, **dimensions: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        answer = client.get_metric_statistics(
            Namespace="Shop",
            MetricName=name,
            Dimensions=[{"Name": n, "Value": v} for n, v in dimensions.items()],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(hours=1),
            Period=7200,
            Statistics=["Sum", "SampleCount", "Minimum", "Maximum"],
        )
        (point,) = answer["Datapoints"]
        return dict(point)

    assert read("orders", Kind="retail")["Sum"] == 7
    assert read("queue")["Maximum"] == 7
    wait = read("wait")
    assert (wait["SampleCount"], wait["Sum"]) == (500, sum(waits))
    assert (wait["Minimum"], wait["Maximum"], wait["Unit"]) == (0, 39, "Milliseconds")
