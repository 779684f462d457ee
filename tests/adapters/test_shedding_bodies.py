"""Load shedding and bodies that come late: who waits for one has no place meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI, Request

import svcready
from svcready.resilience._shed._shedding import http_shedder
from svcready.testing import FakeClock, running
from tests.adapters.support import http_scope

SMALL = {
    "http.shedding": "enforce",
    "http.shedding_initial_limit": 5,
    "http.shedding_max_limit": 5,
}


class Reader:
    """An application that reads a body, then works till the test lets it go on."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.busy = self.most = 0

    async def work(self) -> None:
        """Be one more who works."""
        self.busy += 1
        self.most = max(self.most, self.busy)
        await self.gate.wait()
        self.busy -= 1

    async def bare(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve without a framework."""
        while (await receive()).get("more_body"):
            pass

        await self.work()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    def fastapi(self) -> FastAPI:
        """Serve on FastAPI, which answers 400 where a body can't be read."""
        app = FastAPI()

        @app.post("/")
        async def create(body: dict[str, int]) -> str:
            await self.work()
            return "ok"

        return app

    def careless(self) -> FastAPI:
        """Serve on FastAPI, with an application that answers all errors itself."""
        app = FastAPI()

        @app.post("/")
        async def create(request: Request) -> str:
            try:
                await request.body()
            except Exception:  # noqa: BLE001 - which is what this is about
                return "never mind"

            await self.work()
            return "ok"

        return app


async def ask(app: Any, bodies: asyncio.Event, *, chunks: int = 1) -> int:
    """Send a request whose body comes late, maybe in pieces; returns the status."""
    sent = []
    left = [b"{}"] + [b" "] * (chunks - 1)

    async def receive() -> dict[str, Any]:
        await bodies.wait()
        if not left:
            await asyncio.get_running_loop().create_future()

        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    await app(http_scope("/", method="POST", headers=headers), receive, send)
    starts = [one["status"] for one in sent if one["type"] == "http.response.start"]
    assert len(starts) == 1
    assert not sent[-1].get("more_body")
    return int(starts[0])


@pytest.mark.parametrize("kind", ["bare", "fastapi", "careless"])
@pytest.mark.parametrize("chunks", [1, 3])
def test_bodies_that_come_together_are_no_way_around(kind: str, chunks: int) -> None:
    """Whoever has none gets a place again or 503, whatever the application does."""

    async def main() -> None:
        reader = Reader()
        app: Any = getattr(reader, kind) if kind == "bare" else getattr(reader, kind)()
        if kind == "bare":
            app = svcready.wrap(app)
        else:
            harness.runtime.attach(app)

        bodies = asyncio.Event()
        asked = []
        for _ in range(50):  # each waits for its body before the next one comes
            asked.append(asyncio.create_task(ask(app, bodies, chunks=chunks)))
            for _ in range(5):
                await asyncio.sleep(0)

        bodies.set()
        for _ in range(50):
            await asyncio.sleep(0)

        reader.gate.set()
        statuses = await asyncio.gather(*asked)
        assert reader.most == 4  # nine tenths of five
        assert sorted(set(statuses)) == [200, 503]
        assert statuses.count(200) == 4

    with running(service="orders", settings=SMALL, clock=FakeClock()) as harness:
        asyncio.run(main())
        shed = http_shedder().state()
        assert shed.in_flight == 0


def test_observing_lets_all_of_them_go_on() -> None:
    """They are counted as what would be refused."""

    async def main() -> None:
        reader = Reader()
        reader.gate.set()
        app, bodies = svcready.wrap(reader.bare), asyncio.Event()
        asked = [asyncio.create_task(ask(app, bodies)) for _ in range(20)]
        for _ in range(5):
            await asyncio.sleep(0)

        bodies.set()
        assert set(await asyncio.gather(*asked)) == {200}

    settings = {**SMALL, "http.shedding": "observe"}
    with running(service="orders", settings=settings, clock=FakeClock()):
        asyncio.run(main())
        assert http_shedder().state().in_flight == 0


def test_who_gives_up_waiting_is_answered_what_it_says() -> None:
    """What was done is not called too much, because its body was looked for in vain."""
    done: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        done.append("charged")
        looking = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        held.extend(http_shedder().enter("critical") for _ in range(5))
        looking.cancel()
        await asyncio.wait([looking])
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    held: list[int] = []
    with running(service="orders", settings=SMALL, clock=FakeClock()):
        wrapped = svcready.wrap(app)
        assert asyncio.run(ask(wrapped, asyncio.Event())) == 201
        assert done == ["charged"]
        for admission in held:
            http_shedder().leave(admission, None)

        assert http_shedder().state().in_flight == 0


def test_who_has_left_is_told_nothing() -> None:
    """A client that goes while its body is waited for is a client that left."""
    heard: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heard.append((await receive())["type"])

    async def main() -> None:
        wrapped, gone = svcready.wrap(app), asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            raise AssertionError(message)

        scopes = [http_scope("/", method="POST") for _ in range(9)]
        asked = []
        for scope in scopes:
            asked.append(asyncio.create_task(wrapped(scope, receive, send)))
            for _ in range(5):
                await asyncio.sleep(0)

        held = [http_shedder().enter("critical") for _ in range(5)]
        gone.set()
        await asyncio.gather(*asked)
        for admission in held:
            http_shedder().leave(admission, None)

    with running(service="orders", settings=SMALL, clock=FakeClock()) as harness:
        asyncio.run(main())
        assert heard == ["http.disconnect"] * 9
        statuses = {line["http"]["status"] for line in harness.access_lines}  # type: ignore[index]
        assert statuses == {499}
        assert http_shedder().state().in_flight == 0
