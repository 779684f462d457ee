"""Signed metrics, whose signatures are verified by AWS' published recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready._core.identity import Identity
from svcready.config._sections.otlp import OtlpSettings
from svcready.metrics._model import Family, Number, Snapshot

pytest.importorskip("opentelemetry.proto")
pytest.importorskip("botocore")

from svcready._transport.otlp_metrics import AWS_LIMITS, LIMITS
from svcready.metrics.sinks._otlp._sink import OtlpSink, plan_otlp
from tests.metrics.otlp_collector import MetricsCollector
from tests.sigv4 import verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.testing import FakeClock

SECRET = "made-up-secret"
AWS = "https://monitoring.eu-west-1.amazonaws.com/v1/metrics"


@pytest.fixture
def receiver() -> Iterator[MetricsCollector]:
    """Give a collector that listens."""
    made = MetricsCollector()
    yield made
    made.close()


def _sink(clock: FakeClock, **values: object) -> OtlpSink:
    plan = plan_otlp(
        OtlpSettings(**values),  # type: ignore[arg-type]
        snapshot=lambda: Snapshot(
            clock.time_ns(),
            (Family("c", "c", "counter", "", "", (), (Number((), 1),), "application"),),
        ),
        identity=Identity(service="orders", instance="i", host_instance="h"),
        clock=clock,
    )
    assert plan.sink is not None
    return plan.sink


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_what_is_sent_is_signed_for_cloudwatch(
    receiver: MetricsCollector,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    compression: str,
) -> None:
    """The signature covers host, date, content type and the body as it travels."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "made-up-token")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    sink = _sink(
        clock,
        metrics_endpoint=f"{receiver.url}/v1/metrics",
        metrics_sigv4=True,
        metrics_compression=compression,
    )
    assert sink.push(5.0)
    sink.close()

    (headers,) = receiver.received_headers
    verify(
        headers,
        receiver.bodies[0],
        url=receiver.url,
        path="/v1/metrics",
        scope="eu-west-1/monitoring/aws4_request",
        secret=SECRET,
    )
    assert headers["X-Amz-Security-Token"] == "made-up-token"
    assert len(receiver.find("c")) == 1


def test_without_credentials_nothing_is_lost_and_the_next_push_asks_again(
    receiver: MetricsCollector,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Credentials that come late (a role, a mounted file) are found then."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    sink = _sink(
        clock,
        metrics_endpoint=f"{receiver.url}/v1/metrics",
        metrics_sigv4=True,
        metrics_temporality="delta",
    )
    assert not sink.push(5.0)
    assert sink.describe()["last_error"] == "NoRegionError"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert not sink.push(5.0)
    assert sink.describe()["last_error"] == "NoCredentialsError"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert sink.push(5.0)
    sink.close()
    assert receiver.find("c")[0].sum.data_points[0].as_int == 1


@pytest.mark.parametrize(
    ("values", "signed"),
    [
        ({"metrics_endpoint": AWS}, True),
        ({"metrics_endpoint": AWS.replace(".com", ".com.cn")}, True),
        ({"metrics_endpoint": AWS.replace("monitoring", "xray")}, False),
        ({"metrics_endpoint": "https://evil/monitoring.x.amazonaws.com"}, False),
        ({"metrics_endpoint": AWS, "metrics_sigv4": False}, False),
        ({"metrics_endpoint": AWS, "headers": (("authorization", "Bearer x"),)}, False),
        ({"metrics_endpoint": "http://collector/x", "metrics_sigv4": True}, True),
    ],
)
def test_cloudwatchs_own_url_is_signed_unless_a_token_is_given(
    clock: FakeClock, values: dict[str, object], *, signed: bool
) -> None:
    """An API key in the headers, or a word, wins; signed requests keep AWS' limits."""
    sink = _sink(clock, **values)
    assert sink.describe()["signed"] == signed
    assert sink._limits == (AWS_LIMITS if signed else LIMITS)
    assert AWS_LIMITS == (1000, 1_000_000)
