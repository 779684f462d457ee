"""An OTLP collector that parses what it gets, and misbehaves when told to."""

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

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan


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
    bodies: list[bytes] = field(default_factory=list)
    """What was taken, as it came."""
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
        body = sent = handler.rfile.read(int(handler.headers["Content-Length"]))
        if handler.headers.get("Content-Encoding") == "gzip":
            body = decompress(body, wbits=31)

        self.arrived.set()
        if self.hang is not None:
            self.hang.wait(30)

        status = self.statuses.pop(0) if self.statuses else 200
        content = b""
        if status == 200:
            self.bodies.append(sent)
            self.take(body)
            self.received_headers.append(dict(handler.headers.items()))
            self.paths.append(handler.path)
            content = self.say_rejected() if self.rejected else b""

        handler.send_response(status)
        for name, value in self.headers.items():
            handler.send_header(name, value)

        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def take(self, body: bytes) -> None:
        """Parse and keep a request."""
        self.requests.append(ExportTraceServiceRequest.FromString(body))

    def say_rejected(self) -> bytes:
        """Write the answer that claims to have rejected some."""
        response = ExportTraceServiceResponse()
        response.partial_success.rejected_spans = self.rejected
        written: bytes = response.SerializeToString()
        return written

    def close(self) -> None:
        """Stop it; requests that hang are let go."""
        if self.hang is not None:
            self.hang.set()

        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
