"""Answers of a hedged client: who wins holds one permit, who loses is nobody's wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import requests
from requests.adapters import BaseAdapter

from svcready.resilience import Bulkhead, bulkhead, hedge, policy
from svcready.resilience.clients import _closing
from svcready.resilience.clients.httpx import AsyncPolicyTransport, PolicyTransport
from svcready.resilience.clients.requests import PolicyAdapter
from tests.conftest import Faults
from tests.resilience.http_peer import Peer, peer

AT_ONCE_S = 5.0
"""What a call that waits for nobody takes, on a machine that is busy."""


class Body(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A body whose close waits till the test says so, and may fail."""

    def __init__(self, server: Server, *, is_slow: bool) -> None:
        self._server = server
        self.is_slow = is_slow

    def __iter__(self) -> Iterator[bytes]:
        yield b"ok"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"ok"

    def close(self) -> None:
        """Close it in a thread."""
        if self.is_slow:
            self._server.closing.set()
            self._server.may_close.wait(30.0)

        self._close()

    async def aclose(self) -> None:
        """Close it in a task."""
        if self.is_slow:
            self._server.closing.set()
            while not self._server.may_close.is_set():  # noqa: ASYNC110 - threads, too
                await asyncio.sleep(0.001)

        self._close()

    def _close(self) -> None:
        self._server.closed += 1
        if self.is_slow and self._server.error is not None:
            raise self._server.error


class Server(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """
    Answers two requests at the same moment; the second's body closes slowly.

    Args:
        first: The status of the first.
    """

    def __init__(self, first: int = 200) -> None:
        self.asked = self.closed = 0
        self.closing = threading.Event()
        self.may_close = threading.Event()
        self.error: Exception | None = None
        self._first = first
        self._both = threading.Barrier(2)
        self._event: asyncio.Event | None = None

    def wait_for_closes(self, number: int) -> None:
        """Wait till so many answers have been closed."""
        until_s = time.monotonic() + 10.0
        while self.closed < number and time.monotonic() < until_s:
            time.sleep(0.001)

        assert self.closed == number

    def _answer(self, number: int) -> httpx.Response:
        is_slow = (number == 1) is (self._first != 200)
        status = self._first if number == 1 else 200
        return httpx.Response(status, stream=Body(self, is_slow=is_slow))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer when both have asked."""
        self.asked += 1
        number = self.asked
        self._both.wait(30.0)
        return self._answer(number)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer in the turn of the loop in which both have asked."""
        self._event = self._event or asyncio.Event()
        self.asked += 1
        number = self.asked
        if number == 2:
            self._event.set()

        await self._event.wait()
        return self._answer(number)


@pytest.fixture
def room() -> Bulkhead:
    """Have room for four."""
    return bulkhead("quotes", max_concurrent=4)


def wait_for(room: Bulkhead, in_use: int) -> None:
    """Wait till so many places are taken."""
    until_s = time.monotonic() + 10.0
    while room.level.in_use != in_use and time.monotonic() < until_s:
        time.sleep(0.001)

    assert room.level.in_use == in_use


@pytest.mark.parametrize("first", [200, 503])
def test_a_task_that_won_holds_one_permit(room: Bulkhead, first: int) -> None:
    """The loser's goes back when that is closed, the winner's when it is; no wait."""
    quotes = policy("quotes", hedge=0.001, bulkhead=room)
    server = Server(first)
    holds = 1 if first == 503 else 2

    async def main() -> None:
        transport = AsyncPolicyTransport(quotes, server)
        async with httpx.AsyncClient(transport=transport) as client:
            request = client.build_request("GET", "http://quotes/")
            answer = await asyncio.wait_for(
                client.send(request, stream=True), AT_ONCE_S
            )
            assert answer.status_code == 200
            assert room.level.in_use == holds
            server.may_close.set()
            while server.closed < 1 or room.level.in_use > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

            assert (server.closed, room.level.in_use) == (1, 1)
            await answer.aclose()
            assert (server.closed, room.level.in_use) == (2, 0)

    asyncio.run(asyncio.wait_for(main(), 20.0))


@pytest.mark.parametrize("first", [200, 503])
def test_the_winner_may_be_closed_before_the_loser(room: Bulkhead, first: int) -> None:
    """Each gives back its own permit, whichever goes first."""
    quotes = policy("quotes", hedge=0.001, bulkhead=room)
    server = Server(first)

    async def main() -> None:
        transport = AsyncPolicyTransport(quotes, server)
        async with httpx.AsyncClient(transport=transport) as client:
            await asyncio.wait_for(client.get("http://quotes/"), AT_ONCE_S)
            assert room.level.in_use == (0 if first == 503 else 1)
            server.may_close.set()  # leaving the client waits for who is being closed

        assert (server.closed, room.level.in_use) == (2, 0)

    asyncio.run(asyncio.wait_for(main(), 20.0))


@pytest.mark.parametrize("first", [200, 503])
def test_a_thread_that_won_holds_one_permit(room: Bulkhead, first: int) -> None:
    """As tasks do; the loser is closed in a thread of the hedge's."""
    quotes = policy("quotes", hedge=hedge(after=0.001, threads=2), bulkhead=room)
    server = Server(first)
    transport = PolicyTransport(quotes, server)
    with httpx.Client(transport=transport) as client:
        began_s = time.monotonic()
        request = client.build_request("GET", "http://quotes/")
        answer = client.send(request, stream=True)
        assert time.monotonic() - began_s < AT_ONCE_S
        assert answer.status_code == 200
        server.may_close.set()
        wait_for(room, 1)
        answer.close()
        wait_for(room, 0)

    server.wait_for_closes(2)


def test_a_client_that_is_closed_waits_for_the_loser() -> None:
    """Nothing is lost at the end, and only so long is waited."""
    quotes = policy("quotes", hedge=hedge(after=0.001, threads=2))
    server = Server(503)
    with httpx.Client(transport=PolicyTransport(quotes, server)) as client:
        assert client.get("http://quotes/").status_code == 200
        assert server.closing.wait(10.0)
        threading.Timer(0.05, server.may_close.set).start()

    assert server.closed == 2


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_close_that_hangs_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
    room: Bulkhead,
    faults: Faults,
    *,
    asynchronous: bool,
) -> None:
    """A client ends all the same, and a task's permit is given back; it is told."""
    monkeypatch.setattr(_closing, "WITHIN_S", 0.02)
    quotes = policy("quotes", hedge=hedge(after=0.001, threads=2), bulkhead=room)
    server = Server(503)

    async def main() -> None:
        transport = AsyncPolicyTransport(quotes, server)
        async with httpx.AsyncClient(transport=transport) as client:
            assert (await client.get("http://quotes/")).status_code == 200

    if asynchronous:
        asyncio.run(asyncio.wait_for(main(), 20.0))
        assert "TimeoutError" in str(faults.claim("resilience.clients"))
    else:
        with httpx.Client(transport=PolicyTransport(quotes, server)) as client:
            assert client.get("http://quotes/").status_code == 200

        server.may_close.set()  # a thread can't be stopped: it has a permit till then

    wait_for(room, 0)
    server.may_close.set()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_close_that_fails_is_told_once(
    room: Bulkhead, faults: Faults, *, asynchronous: bool
) -> None:
    """The answer is there, the permit given back, and the error is a report."""
    quotes = policy("quotes", hedge=hedge(after=0.001, threads=2), bulkhead=room)
    server = Server(503)
    server.error = OSError("reset")
    server.may_close.set()

    async def main() -> None:
        transport = AsyncPolicyTransport(quotes, server)
        async with httpx.AsyncClient(transport=transport) as client:
            assert (await client.get("http://quotes/")).status_code == 200

    if asynchronous:
        asyncio.run(asyncio.wait_for(main(), 20.0))
    else:
        with httpx.Client(transport=PolicyTransport(quotes, server)) as client:
            assert client.get("http://quotes/").status_code == 200

    wait_for(room, 0)
    faults.claim("resilience.clients")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_too_many_closes_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, *, asynchronous: bool
) -> None:
    """Who makes no more of them beside it closes the loser itself."""
    monkeypatch.setattr(_closing, "MOST", 0)
    quotes = policy("quotes", hedge=hedge(after=0.001, threads=2))
    server = Server(503)
    server.may_close.set()

    async def main() -> int:
        transport = AsyncPolicyTransport(quotes, server)
        async with httpx.AsyncClient(transport=transport) as client:
            await client.get("http://quotes/")
            return server.closed

    if asynchronous:
        assert asyncio.run(asyncio.wait_for(main(), 20.0)) == 2
    else:
        with httpx.Client(transport=PolicyTransport(quotes, server)) as client:
            client.get("http://quotes/")
            server.wait_for_closes(2)  # the loser may come late, and closes its own


def test_requests_waits_for_no_loser() -> None:
    """Its losers are closed in a thread of the hedge's too."""
    server = Server(503)

    class Answer(requests.Response):
        def close(self) -> None:
            if self.status_code == 503:
                server.closing.set()
                server.may_close.wait(30.0)

            server.closed += 1

    class Adapter(BaseAdapter):
        def send(self, *args: object, **kwargs: object) -> requests.Response:
            made = Answer()
            server.asked += 1
            made.status_code = 503 if server.asked == 1 else 200
            made._content = b"ok"
            server._both.wait(30.0)
            return made

        def close(self) -> None:
            pass

    quotes = policy("quotes", hedge=hedge(after=0.001, threads=2))
    with requests.Session() as session:
        session.mount("http://", PolicyAdapter(quotes, Adapter()))
        assert session.get("http://quotes/", stream=True).status_code == 200
        assert server.closing.wait(10.0)
        server.may_close.set()

    assert server.closed >= 1


class Slow(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A real body whose close waits till the test says so."""

    def __init__(self, inner: Any, may_close: threading.Event) -> None:
        self._inner = inner
        self._may_close = may_close

    def __iter__(self) -> Iterator[bytes]:
        yield from self._inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield chunk

    def close(self) -> None:
        """Close it in a thread."""
        self._may_close.wait(30.0)
        self._inner.close()

    async def aclose(self) -> None:
        """Close it in a task."""
        while not self._may_close.is_set():  # noqa: ASYNC110 - threads, too
            await asyncio.sleep(0.001)

        await self._inner.aclose()


class Transport(httpx.HTTPTransport):
    """Has answers that failed close slowly."""

    def __init__(self, may_close: threading.Event) -> None:
        super().__init__()
        self._may_close = may_close

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask the server."""
        answer = super().handle_request(request)
        if answer.status_code == 503:
            answer.stream = Slow(answer.stream, self._may_close)

        return answer


class AsyncTransport(httpx.AsyncHTTPTransport):
    """Has answers that failed close slowly."""

    def __init__(self, may_close: threading.Event) -> None:
        super().__init__()
        self._may_close = may_close

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask the server."""
        answer = await super().handle_async_request(request)
        if answer.status_code == 503:
            answer.stream = Slow(answer.stream, self._may_close)

        return answer


@pytest.fixture
def real() -> Iterator[Peer]:
    """A server of which every path is there."""
    with peer() as running:
        yield running


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_real_servers_slow_goodbye_delays_nobody(
    real: Peer, *, asynchronous: bool
) -> None:
    """The loser's connection takes its time to be closed; the answer is there."""
    real.then("/status/503", "/status/200")
    quotes = policy("quotes", hedge=hedge(after=0.2, on=Exception, threads=2))
    may_close = threading.Event()

    async def main() -> None:
        transport = AsyncPolicyTransport(quotes, AsyncTransport(may_close))
        async with httpx.AsyncClient(transport=transport) as client:
            answer = await asyncio.wait_for(client.get(real.url), AT_ONCE_S)
            assert answer.status_code == 200
            may_close.set()

    if asynchronous:
        asyncio.run(main())
    else:
        with httpx.Client(
            transport=PolicyTransport(quotes, Transport(may_close))
        ) as client:
            began_s = time.monotonic()
            assert client.get(real.url).status_code == 200
            assert time.monotonic() - began_s < AT_ONCE_S
            may_close.set()

    assert len(real.requests) == 2


class Inner(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Answers when as many have asked as it was told, and knows what was closed."""

    def __init__(self, number: int = 1) -> None:
        self.number = number
        self.bodies: list[Body] = []
        self.server = Server()
        self.is_closed = False
        self._event: asyncio.Event | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer all in one turn of the loop."""
        self._event = self._event or asyncio.Event()
        self.bodies.append(Body(self.server, is_slow=True))
        body = self.bodies[-1]
        if len(self.bodies) == self.number:
            self._event.set()

        await self._event.wait()
        return httpx.Response(200, stream=body)

    async def aclose(self) -> None:
        """Take note."""
        self.is_closed = True

    def close(self) -> None:
        """Take note."""
        self.is_closed = True


def test_a_cancelled_call_leaves_no_answer_open(
    monkeypatch: pytest.MonkeyPatch, room: Bulkhead
) -> None:
    """Cancelled while it waits for what it closes, it has all of them closed."""
    monkeypatch.setattr(_closing, "MOST", 0)
    racing = hedge(after=0.001, max_hedges=3)
    quotes = policy("quotes", hedge=racing, bulkhead=room)
    inner = Inner(4)

    async def main() -> None:
        transport = AsyncPolicyTransport(quotes, inner)
        async with httpx.AsyncClient(transport=transport) as client:
            call = asyncio.ensure_future(client.get("http://quotes/"))
            while not inner.server.closing.is_set():  # noqa: ASYNC110 - threads, too
                await asyncio.sleep(0.001)

            call.cancel()
            await asyncio.sleep(0)
            inner.server.may_close.set()
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(asyncio.wait_for(main(), 20.0))
    assert (inner.server.closed, room.level.in_use) == (4, 0)


@pytest.mark.parametrize("leaves", [False, True])
def test_a_close_that_is_cancelled_closes_the_transport(*, leaves: bool) -> None:
    """Who waits no longer for what has lost keeps no connections open."""
    inner = Inner()
    transport = AsyncPolicyTransport(policy("quotes", hedge=1.0), inner)

    async def main() -> None:
        exchange: Any = SimpleNamespace(closed=lambda loser: None)
        await transport._closing.in_tasks(exchange, [Body(Server(), is_slow=True)])
        end = transport.__aexit__() if leaves else transport.aclose()
        closing = asyncio.ensure_future(end)
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing

    asyncio.run(main())
    assert inner.is_closed


def test_an_interrupt_closes_the_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a signal that comes while the threads are waited for."""

    def interrupt(closing: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_closing.Closing, "finish", interrupt)
    inner = Inner()
    transport = PolicyTransport(policy("quotes", hedge=1.0), inner)
    with pytest.raises(KeyboardInterrupt):
        transport.close()

    assert inner.is_closed


def test_closing_needs_no_asyncio() -> None:
    """A client that another kind of event loop runs can be closed."""
    inner = Inner()
    end = AsyncPolicyTransport(policy("quotes", hedge=1.0), inner).aclose()
    with pytest.raises(StopIteration):
        end.send(None)

    assert inner.is_closed
