"""Load shedding under real servers of threads, and clients that are slow to send."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.servers.harness import Service, eventually

GTHREAD = ["gunicorn", "--bind", "127.0.0.1:{port}", "-k", "gthread"]
GTHREAD += ["--threads", "12", "--no-control-socket"]
ENVIRON = {
    "SVCREADY_HTTP_SHEDDING": "enforce",
    "SVCREADY_HTTP_SHEDDING_INITIAL_LIMIT": "5",
    "SVCREADY_HTTP_SHEDDING_MAX_LIMIT": "5",
    "DJANGO_SETTINGS_MODULE": "tests.servers.apps.limited_settings",
}
HALF = b"POST /read HTTP/1.0\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc"
ACTIVE = 'http_server_active_requests{http_request_method="POST",url_scheme="http"} 8.0'


@pytest.mark.parametrize("name", ["limited_flask:app", "limited_django:application"])
def test_slow_bodies_take_no_place(name: str, tmp_path: Path) -> None:
    """More clients than there are places send half a body; all others are served."""
    command = [*GTHREAD, f"tests.servers.apps.{name}"]
    with Service(command, tmp_path, environ=ENVIRON) as service, ExitStack() as held:
        slow = [
            held.enter_context(
                socket.create_connection(("127.0.0.1", service.port), timeout=10)
            )
            for _ in range(8)
        ]
        for one in slow:
            one.sendall(HALF)

        def all_wait() -> bool:
            return ACTIVE in service.client.get("/metrics").text

        eventually(all_wait, "eight requests in flight")
        statuses = [service.get("/shared/1").status for _ in range(5)]
        assert statuses == [200] * 5
        for one in slow:
            one.sendall(b"def")
            answer = HTTPResponse(one)
            answer.begin()
            assert answer.status == 200
            assert json.loads(answer.read()) == {"bytes": 6}
