"""Signed metrics, whose signatures are verified by AWS' published recipe."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from svcready._core.identity import Identity
from svcready.config._sections.otlp import OtlpSettings
from svcready.metrics._model import Family, Number, Snapshot

pytest.importorskip("opentelemetry.proto")
pytest.importorskip("botocore")

from svcready._transport.otlp_metrics import AWS_LIMITS, LIMITS
from svcready.metrics.sinks._otlp._sink import OtlpSink, plan_otlp
from tests.metrics.otlp_collector import MetricsCollector

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


def _sign(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _expected(headers: dict[str, str], body: bytes, url: str, path: str) -> str:
    """Work the signature of a request out again, as AWS describes it."""
    given = {name.lower(): value for name, value in headers.items()}
    fields = dict(
        part.strip().split("=", 1)
        for part in given["authorization"].split(" ", 1)[1].split(",")
    )
    signed = fields["SignedHeaders"].split(";")
    assert {"host", "x-amz-date", "content-type"} <= set(signed)
    assert given["host"] == urlsplit(url).netloc
    lines = [f"{name}:{given[name].strip()}\n" for name in signed]
    payload = hashlib.sha256(body).hexdigest()
    request = "\n".join(
        ("POST", path, "", "".join(lines), ";".join(signed), payload)
    ).encode()
    stamp = given["x-amz-date"]
    scope = f"{stamp[:8]}/eu-west-1/monitoring/aws4_request"
    assert fields["Credential"] == f"AKIDEXAMPLE/{scope}"
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = _sign(key, part)

    text = "\n".join(
        ("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request).hexdigest())
    )
    assert fields["Signature"]
    return f"{fields['Signature']} {_sign(key, text).hex()}"


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
    sent, wanted = _expected(
        headers, receiver.bodies[0], receiver.url, "/v1/metrics"
    ).split()
    assert sent == wanted
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
