"""Slow answers to operators: a thread each, and not without end."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.health._check import CHECKS
from svcready.testing import running
from tests.adapters.support import ask_asgi, http_scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.adapters.support import Reply
    from tests.conftest import Faults

MOST = 16
ENVIRON = {
    "SVCREADY_HEALTH_MODE": "on_demand",
    "SVCREADY_HEALTH_TOTAL_TIMEOUT_S": "30",
    "SVCREADY_ADMIN_TOKENS": "s3cret",
}
TOKEN = [(b"authorization", b"Bearer s3cret")]


class Unused(ThreadPoolExecutor):
    """The pool of the handlers, which no operator's request may use."""

    def submit(self, *_: object, **__: object) -> object:  # type: ignore[override]
        """Refuse."""
        raise AssertionError


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


def operators() -> int:
    """Return how many threads answer operators."""
    names = [thread.name for thread in threading.enumerate()]
    return names.count("svcready-operator")


async def until(happened: Callable[[], bool]) -> None:
    """Let the loop turn until something has happened."""
    while True:
        await asyncio.sleep(0)
        if happened():
            return


class Service:
    """An application whose one check waits until it is let go."""

    def __init__(self) -> None:
        self.gate, self.began = threading.Event(), threading.Event()

        @svcready.health.check("db", critical=True, timeout=60)
        def database() -> None:
            self.began.set()
            self.gate.wait(20)

        self._app = svcready.wrap(app)

    def ask(self, path: str, headers: list[tuple[bytes, bytes]]) -> asyncio.Task[Reply]:
        """Ask for a path meanwhile."""
        scope = http_scope(path, headers=headers)
        return asyncio.ensure_future(ask_asgi(self._app, scope))

    async def begin(self) -> None:
        """Begin to serve, and have the handlers' pool watched."""
        asyncio.get_running_loop().set_default_executor(Unused())
        assert (await self.ask("/", [])).status == 200

    async def fill(self) -> list[asyncio.Task[Reply]]:
        """Have as many operators wait for the check as there may be."""
        asked = [self.ask("/admin/health", TOKEN) for _ in range(MOST)]
        await until(lambda: self.began.is_set() and operators() == MOST)

        return asked


def serve(of: Callable[[Service], Awaitable[None]], **environ: str) -> None:
    """Run *of* with a service whose checks run on demand."""

    async def main() -> None:
        service = Service()
        try:
            await service.begin()
            await of(service)
        finally:
            service.gate.set()

    with running(environ=ENVIRON | environ):
        asyncio.run(main())


def test_probes_take_no_threads() -> None:
    """Any number of them wait on the loop for the one run of a check."""

    async def flood(service: Service) -> None:
        asked = [service.ask("/health/readiness", []) for _ in range(200)]
        await until(service.began.is_set)

        assert operators() == 0
        assert not any(task.done() for task in asked)
        service.gate.set()
        replies = await asyncio.gather(*asked)
        assert {reply.body for reply in replies} == {b'{"status":"pass"}'}

    serve(flood)


def test_other_requests_beyond_the_cap_are_refused() -> None:
    """Sixteen are answered beside each other; more are told to come again."""

    async def flood(service: Service) -> None:
        asked = await service.fill()
        for path in ("/admin/health", "/metrics"):
            refused = await service.ask(path, TOKEN)
            assert refused.status == 503
            assert refused.headers["retry-after"] == "1"
            assert refused.headers["cache-control"] == "no-store"

        assert operators() == MOST
        service.gate.set()
        assert {reply.status for reply in await asyncio.gather(*asked)} == {200}

    serve(flood)


@pytest.mark.parametrize("headers", [[], TOKEN])
@pytest.mark.parametrize("details", ["authorised", "always"])
def test_probes_beyond_the_cap_are_answered(
    headers: list[tuple[bytes, bytes]], details: str
) -> None:
    """Without the handlers' pool, and with credentials too."""

    async def flood(service: Service) -> None:
        asked = await service.fill()
        assert (await service.ask("/health/liveness", headers)).status == 200
        probe = service.ask("/health/readiness", headers)
        for _ in range(3):
            await asyncio.sleep(0)

        assert operators() == MOST
        service.gate.set()
        reply = await probe
        assert reply.status == 200
        assert b'"status":"pass"' in reply.body
        await asyncio.gather(*asked)

    serve(flood, SVCREADY_HEALTH_DETAILS=details)


def test_probe_waits_no_longer_than_the_total_time() -> None:
    """Where the check does not come back, it is answered from what is known."""

    async def wait(service: Service) -> None:
        reply = await service.ask("/health/readiness", [])
        assert (reply.status, reply.body) == (503, b'{"status":"fail"}')

    serve(wait, SVCREADY_HEALTH_TOTAL_TIMEOUT_S="0.05")


def test_fault_of_ours(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> None:
    """A probe is answered from what is known, and the fault is reported."""

    def broken(*_: object) -> None:
        raise LookupError

    async def fail(service: Service) -> None:
        reply = await service.ask("/health/readiness", [])
        assert (reply.status, reply.body) == (503, b'{"status":"fail"}')

    monkeypatch.setattr("svcready.health.HealthPillar.demand", broken)
    serve(fail)
    assert isinstance(faults.claim("admin.probe"), LookupError)


def test_client_that_leaves() -> None:
    """A probe that is given up meanwhile disturbs nothing."""

    async def leave(service: Service) -> None:
        gone, stays = (service.ask("/health/readiness", []) for _ in range(2))
        await until(service.began.is_set)

        gone.cancel()
        service.gate.set()
        assert (await stays).status == 200
        with pytest.raises(asyncio.CancelledError):
            await gone

    serve(leave)
