"""Where spans are to go: what settings say, what stands against it, what is said."""

from __future__ import annotations

import json
import socket
import time

import pytest

from svcready.config import load
from svcready.config._sections.otlp import OtlpSettings
from svcready.config._sections.tracing import TracingSettings
from svcready.config._sections.xray import DaemonAddress, XraySettings
from svcready.tracing import span
from tests.tracing.rude_server import RudeServer, hang
from tests.tracing.support import ALL, make_pillar

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


def test_a_hanging_collector_holds_no_other_way_up() -> None:
    """X-Ray's daemon gets each span while a collector says nothing, in one budget."""
    with (
        RudeServer(hang) as collector,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon,
    ):
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(5)
        address = daemon.getsockname()
        pillar = make_pillar(
            TracingSettings(
                sampling=ALL, exporter=("otlp", "xray"), export_delay_s=3600.0
            ),
            OtlpSettings(endpoint=collector.url),
            xray=XraySettings(daemon_address=DaemonAddress(address, address)),
        )
        pillar.start()
        with span("one"):
            pass

        began_s = time.monotonic()
        lost = pillar.close(1.5)
        took_s = time.monotonic() - began_s
        header, _, document = daemon.recv(65536).partition(b"\n")

    assert json.loads(header)["format"] == "json"
    assert json.loads(document)["name"] in {"orders", "one"}
    assert took_s < 4.0
    assert lost == 1
    assert {name: each.sent for name, each in pillar.exports().items()} == {
        "otlp": 0,
        "xray": 1,
    }
