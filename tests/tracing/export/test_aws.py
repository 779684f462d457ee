"""Traces that go straight to AWS, whose signatures AWS' published recipe verifies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("opentelemetry.proto")
pytest.importorskip("botocore")

from svcready._transport import _otlp_target as transport
from svcready._transport.otlp import traces_target
from svcready.config._sections.otlp import OtlpSettings
from svcready.config._sections.tracing import TracingSettings
from svcready.tracing import span
from tests.sigv4 import verify
from tests.tracing.support import ALL, make_pillar

if TYPE_CHECKING:
    from tests.tracing.collector import Collector

XRAY = "https://xray.eu-west-1.amazonaws.com/v1/traces"


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_traces_are_signed_for_xray(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    """The signature covers host, date, content type and the body as it travels."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "made-up-token")
    pillar = make_pillar(
        TracingSettings(sampling=ALL),
        OtlpSettings(
            traces_endpoint=f"{collector.url}/v1/traces",
            traces_sigv4=True,
            traces_region="eu-west-1",
            compression=compression,
        ),
    )
    pillar.start()
    with span("paid"):
        pass

    assert pillar.close(10.0) == 0
    (headers,) = collector.received_headers
    verify(
        headers,
        collector.bodies[0],
        url=collector.url,
        path="/v1/traces",
        scope="eu-west-1/xray/aws4_request",
        secret="made-up-secret",
    )
    assert headers["X-Amz-Security-Token"] == "made-up-token"
    assert [record.name for record in collector.spans] == ["paid"]


@pytest.mark.parametrize(
    ("settings", "signed", "region"),
    [
        (OtlpSettings(traces_endpoint=XRAY), True, "eu-west-1"),
        (OtlpSettings(endpoint=XRAY.removesuffix("/v1/traces")), True, "eu-west-1"),
        (OtlpSettings(traces_endpoint=XRAY, traces_region="x-1"), True, "x-1"),
        (OtlpSettings(traces_endpoint=XRAY, traces_sigv4=False), False, "eu-west-1"),
        (OtlpSettings(traces_endpoint="https://proxy/x", traces_sigv4=True), True, ""),
        (OtlpSettings(endpoint="https://collector"), False, ""),
        (OtlpSettings(endpoint="https://monitoring.x-1.amazonaws.com"), False, ""),
        (
            OtlpSettings(traces_endpoint=XRAY, headers=(("authorization", "t"),)),
            False,
            "eu-west-1",
        ),
    ],
)
def test_what_is_signed(settings: OtlpSettings, signed: bool, region: str) -> None:
    """X-Ray's own address is, unless something else proves who we are; else as said."""
    target = traces_target(settings, wanted=False)

    assert target is not None
    assert (target.signed, target.region) == (signed, region)


def test_signing_without_the_extra_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """AWS without botocore is reported with its pip command, and nothing is sent."""
    monkeypatch.setattr(transport, "installed", lambda name: name != "botocore")
    pillar = make_pillar(
        TracingSettings(sampling=ALL), OtlpSettings(traces_endpoint=XRAY)
    )
    pillar.start()

    assert 'pip install "svcready[aws]"' in pillar.problems[0]
    pillar.close(0.1)
