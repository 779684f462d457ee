"""Permits of clients whose answers are cancelled, dropped, or slow to be closed."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator

import aiohttp
import httpx
import pytest

from svcready.resilience import Bulkhead, bulkhead, policy, retry
from svcready.resilience.clients import _closing
from svcready.resilience.clients.aiohttp import PolicyMiddleware
from svcready.resilience.clients.httpx import AsyncPolicyTransport, PolicyTransport
from tests.resilience.http_peer import peer


class Body(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A body that takes its time to be closed, and none when that is tried again."""

    def __init__(self, closing_s: float = 0.0) -> None:
        self._closing_s = closing_s

    def __iter__(self) -> Iterator[bytes]:
        yield b"ok"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"ok"

    async def aclose(self) -> None:
        """Close it, slowly."""
        closing_s, self._closing_s = self._closing_s, 0.0
        await asyncio.sleep(closing_s)


class Server(httpx.AsyncBaseTransport):
    """
    Answers as it is told.

    Args:
        answers: For each request its status, and how long its body takes to be closed.
    """

    def __init__(self, *answers: tuple[int, float]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Take a turn of the loop, and answer."""
        self.asked += 1
        status, closing_s = self._answers.pop(0)
        await asyncio.sleep(0.02)
        return httpx.Response(status, stream=Body(closing_s))


@pytest.fixture
def room() -> Bulkhead:
    """Have room for four."""
    return bulkhead("quotes", max_concurrent=4)


def test_cancelled_while_a_loser_is_closed_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch, room: Bulkhead
) -> None:
    """The winner's permit comes back although nobody gets its answer."""
    monkeypatch.setattr(_closing, "MOST", 0)  # too many are closed: it is waited for
    monkeypatch.setattr(_closing, "WITHIN_S", 30.0)
    quotes = policy("quotes", hedge=0.005, bulkhead=room)
    server = Server((503, 1.0), (200, 0.0))

    async def main() -> None:
        transport = AsyncPolicyTransport(quotes, server)
        async with httpx.AsyncClient(transport=transport) as client:
            asked = asyncio.ensure_future(client.get("http://quotes/"))
            await asyncio.wait([asked], timeout=0.1)
            assert not asked.done()
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked

    asyncio.run(main())
    assert room.level.in_use == 0


def test_an_answer_that_is_dropped_gives_its_permit_back(room: Bulkhead) -> None:
    """Whoever forgets to close a stream loses that, and nobody else a place."""
    quotes = policy("quotes", bulkhead=room)
    inner = httpx.MockTransport(lambda _: httpx.Response(200, stream=Body()))
    client = httpx.Client(transport=PolicyTransport(quotes, inner))
    request = client.build_request("GET", "http://quotes/")
    answer: httpx.Response | None = client.send(request, stream=True)
    assert answer is not None
    assert room.level.in_use == 1
    del answer
    gc.collect()
    assert room.level.in_use == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_slow_close_between_attempts_stops_no_retry(method: str) -> None:
    """The attempt that ran out of time in it is over, and another one follows."""
    on = (httpx.HTTPStatusError, TimeoutError)
    again = retry(on=on, wait_base=0.001, wait_max=0.001, attempts=4)
    quotes = policy("quotes", retry=again, timeout=0.1)
    server = Server((503, 30.0), (200, 0.0))

    async def main() -> None:
        transport = AsyncPolicyTransport(quotes, server)
        async with httpx.AsyncClient(transport=transport) as client:
            answer = await client.request(method, "http://quotes/", content=b"a")
            assert answer.status_code == 200

    asyncio.run(main())
    assert server.asked == 2


@pytest.mark.parametrize("status", [200, 503])
def test_a_kept_connection_keeps_no_answer(room: Bulkhead, status: int) -> None:
    """What the loop calls for a connection has the context that it was opened in."""
    answers: list[weakref.ref[aiohttp.ClientResponse]] = []

    async def main(url: str) -> None:
        middleware = PolicyMiddleware(policy("quotes", bulkhead=room))
        async with aiohttp.ClientSession(middlewares=(middleware,)) as session:

            async def ask() -> None:
                async with session.get(url) as answer:
                    await answer.read()
                    answers.append(weakref.ref(answer))

            await asyncio.create_task(ask())
            gc.collect()
            assert answers[0]() is None

    with peer() as server:
        asyncio.run(main(f"{server.url}/status/{status}"))
