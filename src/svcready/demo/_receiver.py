"""A collector for the demo: takes spans over OTLP/HTTP and keeps them in memory."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.optional import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["ReceivedSpan", "Receiver", "decode"]

_MESSAGES = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
_FAILED = 2


class ReceivedSpan(NamedTuple):
    """A finished span, as it came over the wire."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty at the top of a trace."""
    start_ns: int
    end_ns: int
    failed: bool


class Receiver:
    """
    An OTLP endpoint on this machine, for as long as the `with` block lasts.

    Args:
        on_spans: Takes the spans of each request, on a thread of the receiver's.
    """

    def __init__(self, on_spans: Callable[[list[ReceivedSpan]], None]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(on_spans))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def decode(body: bytes) -> list[ReceivedSpan]:
    """Read one OTLP request for traces, in protobuf."""
    messages = require(_MESSAGES, extra="cli", needed_for="svcready demo")
    request = messages.ExportTraceServiceRequest.FromString(body)
    found = []
    for of_resource in request.resource_spans:
        who = {pair.key: pair.value for pair in of_resource.resource.attributes}
        found += [
            ReceivedSpan(
                who["service.name"].string_value,
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                span.start_time_unix_nano,
                span.end_time_unix_nano,
                span.status.code == _FAILED,
            )
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    return found


def _handler(
    on_spans: Callable[[list[ReceivedSpan]], None],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            on_spans(decode(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler
