"""What the tests of traced clients share: peers, and a look at what came out."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from svcready.tracing.instrumentation._conventions import OLD

if TYPE_CHECKING:
    from svcready.testing import Harness
    from svcready.tracing.view._records import SpanRecord

__all__ = ["Site", "made_by"]


class Site:
    """An HTTP server: `/missing` is 404, everything else 200."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        """Of each request, by lower-case name."""
        seen = self.headers

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                seen.append({k.lower(): v for k, v in self.headers.items()})
                self.send_response(404 if self.path == "/missing" else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def made_by(harness: Harness, package: str) -> list[SpanRecord]:
    """
    Return the spans that an instrumentation package made, in which nothing is old.

    Args:
        harness: The service.
        package: The package's name, without `opentelemetry.instrumentation`.
    """
    scope = f"opentelemetry.instrumentation.{package}"
    found = [s for s in harness.spans if s.scope.startswith(scope)]
    for span in found:
        assert OLD.isdisjoint(span.attributes), OLD & span.attributes.keys()

    return found
