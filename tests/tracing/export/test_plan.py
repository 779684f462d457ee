"""Where spans are to go: what settings say, what stands against it, what is said."""

from __future__ import annotations

import pytest

from svcready.config import load
from svcready.config._sections.otlp import OtlpSettings
from svcready.config._sections.tracing import TracingSettings
from tests.tracing.support import make_pillar

pytest.importorskip("opentelemetry.proto")


@pytest.mark.parametrize(
    ("text", "words", "problems"),
    [
        ("auto", ("auto",), 0),
        ("none", ("none",), 0),
        ("OTLP, xray", ("otlp", "xray"), 0),
        ("otlp,otlp", ("otlp",), 0),
        ("otlp,zipkin", ("otlp",), 1),
        ("zipkin", ("auto",), 1),
        ("none,otlp", ("auto",), 1),
        ("auto,xray", ("auto",), 1),
        (",", ("auto",), 1),
    ],
)
@pytest.mark.parametrize("name", ["SVCREADY_TRACING_EXPORTER", "OTEL_TRACES_EXPORTER"])
def test_ways_out_are_a_list(
    name: str, text: str, words: tuple[str, ...], problems: int
) -> None:
    """Known words are taken; a list that contradicts itself is as good as none."""
    loaded = load(environ={name: text})

    assert loaded.tracing.exporter == words
    assert len(loaded.problems) == problems


@pytest.mark.parametrize(
    ("text", "protocol", "allowed"),
    [
        ("http://collector:4318", "http/protobuf", True),
        ("collector:4317", "grpc", True),
        ("[::1]:4317", "grpc", True),
        ("collector:0", "grpc", False),
        ("collector:99999", "grpc", False),
        ("collector", "grpc", False),
        ("ftp://collector:4317", "grpc", False),
    ],
)
def test_addresses_that_are_read(text: str, protocol: str, allowed: bool) -> None:
    """A URL, or host and port; anything else is reported and nothing is sent."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": text,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
    }
    loaded = load(environ=environ)

    assert (loaded.otlp.endpoint == text) is allowed
    assert (len(loaded.problems) == 0) is allowed


def test_http_needs_a_scheme() -> None:
    """What only gRPC understands is a problem that names the address."""
    pillar = make_pillar(TracingSettings(), OtlpSettings(endpoint="collector:4318"))
    pillar.start()

    (problem,) = pillar.problems
    assert "collector:4318/v1/traces, which has no http:// or https://" in problem
    assert str(pillar.describe()["export"]).startswith("off: ")
    pillar.close(0.1)


def test_what_is_said_for_traces_wins() -> None:
    """Protocol and TLS of traces alone can differ from what is general."""
    settings = OtlpSettings(
        endpoint="http://collector:4318",
        traces_endpoint="collector:4317",
        traces_protocol="grpc",
        traces_insecure=True,
    )
    pillar = make_pillar(TracingSettings(), settings)
    pillar.start()

    assert pillar.describe()["export"] == "otlp: grpc://collector:4317"
    pillar.close(0.1)
