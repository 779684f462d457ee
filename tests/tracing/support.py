"""What the tracing tests share: a pillar per test and a collector that parses OTLP."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from zlib import decompress

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.identity import Identity
from svcready.config._sections.otlp import OtlpSettings
from svcready.config._sections.tracing import SamplingRate, TracingSettings
from svcready.config._sections.xray import XraySettings
from svcready.tracing._pillar import TracePillar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan

    from svcready._core.clock import Clock

ALL = SamplingRate(0.0, 1.0)
NONE = SamplingRate(0.0, 0.0)


IDENTITY = Identity(
    service="orders",
    version="1.4.2",
    environment="test",
    instance="i-1",
    host_instance="h",
)


class Masker:
    """A redactor that masks the key `password` and the text `hunter2`."""

    def fields(self, fields: Mapping[str, object], /) -> Mapping[str, object]:
        """Mask a mapping."""
        return {
            key: "***" if "password" in key else self._value(value)
            for key, value in fields.items()
        }

    def text(self, text: str, /) -> str:
        """Mask a text."""
        return text.replace("hunter2", "***")

    def _value(self, value: object) -> object:
        return self.text(value) if isinstance(value, str) else value


def make_pillar(
    settings: TracingSettings | None = None,
    otlp: OtlpSettings | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> TracePillar:
    """Return a pillar that samples all and keeps its spans, unless told otherwise."""
    return TracePillar(
        settings or TracingSettings(sampling=ALL, view_spans=1000),
        otlp or OtlpSettings(),
        XraySettings(),
        identity=IDENTITY,
        resource_attributes={"team": "shop"},
        clock=clock,
        redactor=Masker(),
        development=False,
    )


@dataclass
class Collector:
    """An OTLP collector over HTTP that really parses what it gets."""

    statuses: list[int] = field(default_factory=list)
    """Answers still to give; 200 when empty."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of each answer."""
    rejected: int = 0
    """Spans that it claims to have rejected in each request."""
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    received_headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    hang: threading.Event | None = None
    """If set, requests are answered only once this is."""
    arrived: threading.Event = field(default_factory=threading.Event)
    """A request has come in."""

    def __post_init__(self) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def spans(self) -> list[ProtoSpan]:
        """All spans received, in order."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Take one request."""
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        if handler.headers.get("Content-Encoding") == "gzip":
            body = decompress(body, wbits=31)

        self.arrived.set()
        if self.hang is not None:
            self.hang.wait(30)

        status = self.statuses.pop(0) if self.statuses else 200
        response = ExportTraceServiceResponse()
        if status == 200:
            self.requests.append(ExportTraceServiceRequest.FromString(body))
            self.received_headers.append(dict(handler.headers.items()))
            self.paths.append(handler.path)
            response.partial_success.rejected_spans = self.rejected

        content = response.SerializeToString() if self.rejected else b""
        handler.send_response(status)
        for name, value in self.headers.items():
            handler.send_header(name, value)

        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def close(self) -> None:
        """Stop it; requests that hang are let go."""
        if self.hang is not None:
            self.hang.set()

        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
