"""Load shedding and handlers that work while something waits for their client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse

from svcready.resilience._shed._shedding import http_shedder
from svcready.testing import Harness, running

SMALL = {
    "http.shedding": "enforce",
    "http.shedding_initial_limit": 5,
    "http.shedding_max_limit": 5,
}


class Work:
    """What handlers do until the test lets them go on."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.busy = self.most = 0

    async def __call__(self) -> str:
        """Be one more who works."""
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            await self.gate.wait()
        finally:
            self.busy -= 1

        return "done"


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[int]:
    """Serve *app* by a real uvicorn in this loop; yields the port."""
    config = uvicorn.Config(
        app, port=0, log_config=None, lifespan="off", http="h11", ws="none"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())  # leaves signals alone
    while not server.started:  # it tells nobody
        await asyncio.wait([serving], timeout=0.001)
        assert not serving.done(), serving.exception()

    yield int(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await serving


async def ask(port: int, *, body: bytes | None) -> int:
    """Send a request of which *body* is all that comes; returns the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    length = "" if body is None else "content-length: 3\r\n"
    head = f"POST / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n{length}\r\n"
    writer.write(head.encode() + (body or b""))
    line = await reader.readline()
    await reader.read()
    writer.close()
    return int(line.split()[1])


async def overload(port: int, work: Work, body: bytes | None) -> list[int]:
    """Ask for twenty one after the other, and let them go on when all have begun."""
    asked = []
    for _ in range(20):
        asked.append(asyncio.create_task(ask(port, body=body)))
        busy = work.busy
        for _ in range(100):
            await asyncio.sleep(0.001)
            if work.busy > busy or asked[-1].done():
                break

    work.gate.set()
    return await asyncio.wait_for(asyncio.gather(*asked), 20)


def run(main: Callable[[Harness], Awaitable[None]]) -> list[dict[str, Any]]:
    """Run a test in a service that sheds load; returns its lines."""

    async def begin(harness: Harness) -> None:
        await main(harness)

    with running(service="orders", settings=SMALL) as harness:
        asyncio.run(begin(harness))
        assert http_shedder().state().in_flight == 0
        return list(harness.lines)


@pytest.mark.parametrize("body", [None, b"abc", b""], ids=["none", "whole", "late"])
def test_a_stream_whose_listener_waits_has_its_place(body: bytes | None) -> None:
    """
    Starlette listens for the client's leaving while it makes the first piece.

    Whether there is no body, all of it is there, or none of it ever comes: nine tenths
    of five work at once, and the others are refused before they do.
    """

    async def main(harness: Harness) -> None:
        work, app = Work(), FastAPI()

        @app.post("/")
        async def report(request: Request) -> Response:
            async def pieces() -> AsyncIterator[str]:
                yield await work()

            return StreamingResponse(pieces())

        harness.runtime.attach(app)
        async with served(app) as port:
            statuses = await overload(port, work, body)

        assert work.most == 4
        assert sorted(statuses) == [200] * 4 + [503] * 16

    lines = run(main)
    assert not [line for line in lines if line["level"] == "ERROR"]
    assert {x["http"]["status"] for x in lines if "http" in x} == {200, 503}


@pytest.mark.parametrize("body", [None, b"abc"], ids=["none", "whole"])
def test_a_watch_for_the_clients_leaving_frees_no_place(body: bytes | None) -> None:
    """A body that is complete has nothing more to be waited for."""

    async def main(harness: Harness) -> None:
        work, app = Work(), FastAPI()

        @app.post("/")
        async def report(request: Request) -> str:
            async def watch() -> None:
                while (await request.receive())["type"] != "http.disconnect":
                    pass

            watching = asyncio.create_task(watch())
            await asyncio.sleep(0)
            try:
                return await work()
            finally:
                watching.cancel()

        harness.runtime.attach(app)
        async with served(app) as port:
            assert sorted(await overload(port, work, body)) == [200] * 4 + [503] * 16

        assert work.most == 4

    run(main)
