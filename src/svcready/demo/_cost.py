"""Measures what svcready costs a request: the same file with it, and without."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from svcready.demo._serve import obey_parent
from svcready.demo._without import without_svcready

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    import httpx

    App = Callable[..., Awaitable[None]]
    Message = MutableMapping[str, object]

__all__ = ["main", "measure"]

_BODY = b'{"item": "lamp", "kind": "retail", "quantity": 3, "total": 57.0}'
_WARM_UP = 2
_REQUESTS_PER_ROUND = 40
_FLUSH_S = 5.0


class _Running:
    """
    One application, started, and asked without a server.

    Args:
        app: The ASGI application.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._stop = asyncio.Event()
        self._started = asyncio.Event()
        self._lifespan = asyncio.create_task(self._live())

    async def start(self) -> None:
        """Wait until it has started."""
        await self._started.wait()

    async def stop(self) -> None:
        """Have it stop."""
        self._stop.set()
        await self._lifespan

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send one request and return the answer's status and body."""
        status, answer = 0, b""

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Mapping[str, object]) -> None:
            nonlocal status, answer
            if message["type"] == "http.response.start":
                status = int(str(message["status"]))
            else:
                answer += bytes(message.get("body", b""))  # type: ignore[call-overload]

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(b"host", b"demo"), (b"content-type", b"application/json")],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 80),
            # FastAPI would trace the bare application itself, by svcready's provider.
            "fastapi.telemetry": None,
        }
        await self._app(scope, receive, send)
        return status, answer

    async def _live(self) -> None:
        async def receive() -> Message:
            if not self._started.is_set():
                return {"type": "lifespan.startup"}

            await self._stop.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Mapping[str, object]) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._started.set()

        await self._app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)


async def measure(rounds: int) -> dict[str, tuple[float, float, float]]:
    """
    Measure the service with svcready and without, turn about.

    Args:
        rounds: How many turns each one has.

    Returns:
        By kind of request: microseconds of CPU without svcready, what it adds as it
        comes, and what it adds if every trace is sampled. It is the CPU of the whole
        process, so all that svcready does in the background is in it.
    """
    from svcready._runtime import init
    from svcready.demo import service

    apps = []
    for module in (without_svcready(), service):
        client = _paying_client()
        vars(module)["payments"] = lambda client=client: client
        apps.append(_Running(module.create_app()))
        await apps[-1].start()

    status, answer = await apps[1].ask("POST", "/orders", _BODY)
    assert status == 201, answer
    look = ("GET", f"/orders/{json.loads(answer)['id']}", b"")
    kinds = {"POST /orders": ("POST", "/orders", _BODY), "GET /orders/{order_id}": look}
    for request in kinds.values():
        await _take_turns(apps, request, _WARM_UP)

    gc.freeze()  # what is there by now need not be looked through before each round
    found = [await _take_turns(apps, request, rounds) for request in kinds.values()]
    sampled = {"tracing.sampling": "100%"}
    init(service="orders", version="1.4.2", reconfigure=True, settings=sampled)
    all_sampled = []
    for request in kinds.values():
        await _take_turns(apps, request, _WARM_UP)
        all_sampled.append(await _take_turns(apps, request, rounds))

    for running in apps:
        await running.stop()

    return {
        kind: (bare_us, ready_us - bare_us, all_us - bare_again_us)
        for kind, (bare_us, ready_us), (bare_again_us, all_us) in zip(
            kinds, found, all_sampled, strict=True
        )
    }


async def _take_turns(
    apps: list[_Running], request: tuple[str, str, bytes], rounds: int
) -> tuple[float, float]:
    """Return the medians of both applications, in microseconds for one request."""
    from svcready._runtime import current

    runtime = current()
    assert runtime is not None
    spent_us: tuple[list[float], list[float]] = ([], [])
    for app, spent in islice(cycle(zip(apps, spent_us, strict=True)), 2 * rounds):
        gc.collect()
        begun_us = _cpu_us()
        for _ in range(_REQUESTS_PER_ROUND):
            await app.ask(*request)

        spent.append((_cpu_us() - begun_us) / _REQUESTS_PER_ROUND)

    # What still waits to be sent is work for these requests as well.
    begun_us = _cpu_us()
    runtime.flush(_FLUSH_S)
    sent_us = (_cpu_us() - begun_us) / (_REQUESTS_PER_ROUND * rounds)
    return median(spent_us[0]), median(spent_us[1]) + sent_us


def _cpu_us() -> float:
    return time.process_time_ns() / 1000


def _paying_client() -> httpx.AsyncClient:
    import httpx

    def pay(_: httpx.Request) -> httpx.Response:
        return httpx.Response(201, json={"receipt": "r000001"})

    return httpx.AsyncClient(
        transport=httpx.MockTransport(pay), base_url="http://payments"
    )


def main(arguments: list[str]) -> None:
    """
    Measure, and write the result as JSON.

    Args:
        arguments: How many rounds, and the file to write.
    """
    obey_parent()
    if hasattr(os, "sched_setaffinity"):
        # A hand-over between threads costs half as much again across processors, and
        # where it goes changes from round to round.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

    rounds, result = arguments
    with tempfile.TemporaryDirectory() as directory:
        os.environ["ORDERS_DATABASE"] = str(Path(directory, "orders.db"))
        os.environ["PAYMENTS_URL"] = "http://payments"
        Path(result).write_text(json.dumps(asyncio.run(measure(int(rounds)))))


if __name__ == "__main__":
    main(sys.argv[1:])
