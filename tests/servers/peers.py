"""What a service under test talks to: an OTLP collector and a downstream, for real."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.servers.harness import eventually

__all__ = ["Collector", "SpanSeen", "server_span"]


class SpanSeen(NamedTuple):
    """One span as it came over the wire."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, object]
    resource: dict[str, object]
    scope: str
    status: int

    @property
    def is_server(self) -> bool:
        """Tell whether it is a server's span."""
        return self.kind == Span.SPAN_KIND_SERVER


class Collector:
    """
    Takes spans over OTLP/HTTP, and answers every GET as a downstream would.

    `hang()` makes it accept connections and never answer, until `close`.
    """

    def __init__(self) -> None:
        self.spans: list[SpanSeen] = []
        self.calls: list[dict[str, str]] = []
        self._hangs = threading.Event()
        self._released = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if collector.wait_if_hanging():
                    self.close_connection = True
                    return

                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)

                collector.take(ExportTraceServiceRequest.FromString(body))
                self.answer(ExportTraceServiceResponse().SerializeToString())

            def do_GET(self) -> None:
                collector.calls.append(
                    {name.lower(): value for name, value in self.headers.items()}
                )
                self.answer(b"ok")

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """Bear clients that go away; tests kill them."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hang(self) -> None:
        """Never answer an export again."""
        self._hangs.set()

    def wait_if_hanging(self) -> bool:
        """Wait for the end if it hangs, and tell whether it did."""
        return self._hangs.is_set() and self._released.wait(60)

    def close(self) -> None:
        """Stop listening; connections are refused from now on."""
        self._released.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()

        self._server.server_close()

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep the spans of an export."""
        for of_resource in request.resource_spans:
            resource = {a.key: _plain(a.value) for a in of_resource.resource.attributes}
            for of_scope in of_resource.scope_spans:
                self.spans += [
                    SpanSeen(
                        span.name,
                        span.kind,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        {a.key: _plain(a.value) for a in span.attributes},
                        resource,
                        of_scope.scope.name,
                        span.status.code,
                    )
                    for span in of_scope.spans
                ]

    def of_trace(self, trace_id: str) -> list[SpanSeen]:
        """Return the spans of a trace that have arrived."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def servers_of(self, trace_id: str) -> list[SpanSeen]:
        """Return the server spans of a trace that have arrived."""
        return [span for span in self.of_trace(trace_id) if span.is_server]


def server_span(collector: Collector, trace_id: str) -> SpanSeen:
    """Return the one server span of a trace, once it has arrived."""
    eventually(lambda: collector.servers_of(trace_id), f"the span of {trace_id}")
    (span,) = collector.servers_of(trace_id)
    return span


def _plain(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]

    return None if kind is None else getattr(value, kind)
