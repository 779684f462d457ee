"""The fake service behind a real socket, as the daemon's proxy serves it."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.tracing.sampling.central.fake_xray import FakeXray

__all__ = ["serve"]


@contextmanager
def serve(xray: FakeXray) -> Iterator[str]:
    """Give the URL at which *xray* answers, one call after the other."""
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                with turn:
                    reply = xray.answer(self.path, json.loads(body))
            except ConnectionRefusedError:  # as near as a server can come to it
                self.close_connection = True
                return

            content = json.dumps(reply.body).encode()
            self.send_response_only(reply.status)
            self.send_header("Content-Length", str(len(content)))
            if reply.date:
                self.send_header("Date", reply.date)

            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
