"""A collector for the demo: takes spans over OTLP/HTTP and keeps them in memory."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from svcready._core.optional import require
from svcready.tracing.view._records import EventRecord, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

__all__ = ["Receiver", "decode"]

_MESSAGES = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
_KINDS = ("internal", "internal", "server", "client", "producer", "consumer")
_STATUSES = ("unset", "ok", "error")
_REMOTE = 0x200


class Receiver:
    """
    An OTLP endpoint on this machine, for as long as the `with` block lasts.

    Args:
        on_spans: Takes the spans of each request, on a thread of the receiver's.
    """

    def __init__(self, on_spans: Callable[[list[SpanRecord]], None]) -> None:
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


def decode(body: bytes) -> list[SpanRecord]:
    """Read one OTLP request for traces, in protobuf."""
    messages = require(_MESSAGES, extra="cli", needed_for="svcready demo")
    request = messages.ExportTraceServiceRequest.FromString(body)
    found: list[SpanRecord] = []
    for of_resource in request.resource_spans:
        service = _values(of_resource.resource.attributes).get("service.name", "")
        found += [
            SpanRecord(
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex() or None,
                bool(span.flags & _REMOTE),
                span.name,
                _KINDS[span.kind],
                of_scope.scope.name,
                span.start_time_unix_nano,
                span.end_time_unix_nano,
                _STATUSES[span.status.code],
                span.status.message,
                _values(span.attributes),
                tuple(
                    EventRecord(it.name, it.time_unix_nano, _values(it.attributes))
                    for it in span.events
                ),
                tuple((it.trace_id.hex(), it.span_id.hex()) for it in span.links),
                str(service),
            )
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    return found


def _values(pairs: Iterable[KeyValue]) -> dict[str, object]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "", None)
        for pair in pairs
    }


def _handler(
    on_spans: Callable[[list[SpanRecord]], None],
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
