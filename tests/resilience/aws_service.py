"""An AWS service that answers as it is told, and keeps what it was asked."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Reply", "Service", "serve_aws"]


class Reply(NamedTuple):
    """One answer."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = {}
    after_s: float = 0.0


class Service:
    """The service's script and memory."""

    def __init__(self) -> None:
        self.url = ""
        self.replies: list[Reply] = []
        """What it answers; after the last one, 200."""
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []

    @property
    def asked(self) -> int:
        """How many requests there were."""
        return len(self.bodies)


def throttled(code: str = "ThrottlingException", **headers: str) -> Reply:
    """Return the answer of who is asked too fast."""
    made = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(400, f'{{"__type": "{code}", "message": "slow"}}'.encode(), made)


@contextmanager
def serve_aws() -> Iterator[Service]:
    """Run it inside the block."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            service.bodies.append(self.rfile.read(length))
            service.headers.append(dict(self.headers))
            reply = service.replies.pop(0) if service.replies else Reply()
            if reply.after_s:
                time.sleep(reply.after_s)

            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)

                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
            except OSError:
                self.close_connection = True  # nobody waits any more

        def __getattr__(self, name: str) -> object:
            if name.startswith("do_"):
                return self.answer

            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
