"""A payment service to call: standard library only, slow or broken on request."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODES = ("ok", "slow", "broken", "down")
SLOW_S = float(os.environ.get("PAYMENTS_SLOW_S", "2"))


class Behaviour:
    """
    What the service does with payments from now on.

    - `ok`: takes them at once.
    - `slow`: takes them after PAYMENTS_SLOW_S seconds.
    - `broken`: answers 503.
    - `down`: hangs up without an answer.

    Args:
        mode: One of the four.
    """

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.received: dict[str, str] = {}
        self.lock = threading.Lock()

    def receipt(self, key: str) -> str:
        """Return the receipt for *key*; the same key again is the same payment."""
        with self.lock:
            return self.received.setdefault(key, uuid.uuid4().hex[:12])


class Handler(BaseHTTPRequestHandler):
    """Serves `POST /payments`, and `GET` and `PUT /mode` to control it."""

    protocol_version = "HTTP/1.1"
    behaviour = Behaviour(os.environ.get("PAYMENTS_MODE", "ok"))

    def do_GET(self) -> None:
        """Tell the mode."""
        self.answer(HTTPStatus.OK, {"mode": self.behaviour.mode})

    def do_PUT(self) -> None:
        """Change the mode: `{"mode": "broken"}`."""
        mode = self.body().get("mode")
        if mode not in MODES:
            self.answer(HTTPStatus.BAD_REQUEST, {"error": f"modes are {MODES}"})
            return

        self.behaviour.mode = str(mode)
        self.answer(HTTPStatus.OK, {"mode": self.behaviour.mode})

    def do_POST(self) -> None:
        """Take a payment."""
        self.body()
        mode = self.behaviour.mode
        if mode == "down":
            self.close_connection = True
            return

        if mode == "broken":
            self.answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "out of order"})
            return

        if mode == "slow":
            time.sleep(SLOW_S)

        key = self.headers.get("Idempotency-Key") or uuid.uuid4().hex
        self.answer(HTTPStatus.CREATED, {"receipt": self.behaviour.receipt(key)})

    def body(self) -> dict[str, object]:
        """Return the request's JSON object; empty if there is none."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            value = json.loads(raw or b"{}")
        except ValueError:
            return {}

        return value if isinstance(value, dict) else {}

    def answer(self, status: HTTPStatus, value: dict[str, object]) -> None:
        """Send *value* as JSON."""
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet: the orders service has the story."""


def main() -> None:
    """Serve on PORT, 9000 unless set; on 127.0.0.1 only."""
    port = int(os.environ.get("PORT", "9000"))
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    print(f"payments on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
