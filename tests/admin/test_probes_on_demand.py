"""Probes that run checks, asked through the adapters."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.health._check import CHECKS
from svcready.testing import running
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

ON_DEMAND = {
    "SVCREADY_HEALTH_MODE": "on_demand",
    "SVCREADY_HEALTH_TOTAL_TIMEOUT_S": "30",
    "SVCREADY_ADMIN_TOKENS": "s3cret",
}


@pytest.fixture(autouse=True)
def no_checks() -> Iterator[None]:
    """Forget the checks of other tests, and those of this one."""
    CHECKS.clear()
    yield
    CHECKS.clear()


async def app(
    _scope: object,
    _receive: object,
    send: Callable[[dict[str, object]], Awaitable[None]],
) -> None:
    """Answer at once."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_asgi_goes_on() -> None:
    """While a probe waits for its checks, the event loop serves other requests."""
    gate, began = threading.Event(), threading.Event()

    @svcready.health.check("plain", critical=True, timeout=60)
    def plain() -> None:
        began.set()
        gate.wait(20)

    ran_on = []

    @svcready.health.check("async", critical=True, timeout=60)
    async def coroutine() -> None:
        ran_on.append(asyncio.get_running_loop())

    async def serve() -> None:
        wrapped = svcready.wrap(app)
        await ask_asgi(wrapped, http_scope("/"))
        probe = asyncio.ensure_future(
            ask_asgi(wrapped, http_scope("/health/readiness"))
        )
        await asyncio.to_thread(began.wait, 20)
        assert (await ask_asgi(wrapped, http_scope("/"))).status == 200
        assert (await ask_asgi(wrapped, http_scope("/health/liveness"))).status == 200
        assert not probe.done()
        gate.set()

        assert (await probe).body == b'{"status":"pass"}'
        assert ran_on == [asyncio.get_running_loop()]

    with running(environ=ON_DEMAND):
        asyncio.run(serve())


def test_wsgi_probes_and_the_report() -> None:
    """A probe runs the checks of its group, the report those of all."""
    calls = []

    @svcready.health.check("a", critical=True)
    def a() -> None:
        calls.append("a")

    @svcready.health.check("b", groups=("other",))
    def b() -> None:
        calls.append("b")

    def wsgi(
        _environ: dict[str, object], start: Callable[..., object]
    ) -> Iterable[bytes]:
        start("200 OK", [])
        return [b""]

    with running(environ=ON_DEMAND):
        wrapped = svcready.wrap(wsgi, protocol="wsgi")
        assert ask_wsgi(wrapped, "/health/liveness").status == 200
        assert calls == []
        assert ask_wsgi(wrapped, "/health/readiness").status == 200
        assert calls == ["a"]
        token = {"HTTP_AUTHORIZATION": "Bearer s3cret"}
        report = json.loads(ask_wsgi(wrapped, "/admin/health", **token).body)
        assert calls == ["a", "b"]
        assert report["checks"]["b:responseTime"][0]["status"] == "pass"
