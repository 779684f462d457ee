"""Writes under a hedge: made once, whatever the second attempt had to wait for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from svcready.errors import Rejected
from svcready.resilience import bulkhead, hedge, http, policy
from svcready.resilience._http._exchange import Exchange
from svcready.resilience._http._hosts import plan_of
from svcready.resilience.clients.httpx import AsyncPolicyTransport

if TYPE_CHECKING:
    from svcready.resilience import Policy


class Server(httpx.AsyncBaseTransport):
    """
    Answers after a while, as it is told.

    Args:
        answers: For each request its status, or what it raises.
    """

    def __init__(self, *answers: int | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Take note, and answer."""
        self.asked.append(request.method)
        answer = self._answers.pop(0)
        await asyncio.sleep(0.05)
        if isinstance(answer, Exception):
            raise answer

        return httpx.Response(answer)


@pytest.fixture
def queued() -> Policy:
    """Have a second attempt wait until the first has ended."""
    return policy(
        "orders",
        hedge=hedge(after="10ms", on=http.transient, budget=False),
        bulkhead=bulkhead(max_concurrent=1, max_queue=1, max_wait="2s"),
    )


def ask(policy: Policy, server: Server, method: str) -> object:
    """Return the status of the answer, or the class of the error."""

    async def main() -> object:
        transport = AsyncPolicyTransport(policy, server)
        async with httpx.AsyncClient(transport=transport) as client:
            try:
                return (await client.request(method, "http://peer/")).status_code
            except httpx.HTTPError as error:
                return type(error)

    return asyncio.run(main())


@pytest.mark.parametrize("answer", [503, 500, 201, httpx.ReadError("broken")])
def test_a_write_that_was_sent_is_not_sent_by_an_attempt_that_waited(
    queued: Policy, answer: int | Exception
) -> None:
    """The hedge of a POST that gets its permit when the first has failed is refused."""
    server = Server(answer, 201)

    got = ask(queued, server, "POST")

    assert server.asked == ["POST"]
    assert got == (answer if isinstance(answer, int) else type(answer))


def test_a_read_is_made_by_an_attempt_that_waited(queued: Policy) -> None:
    """The same of a GET takes its turn, and answers."""
    server = Server(500, 200)

    assert ask(queued, server, "GET") == 200
    assert server.asked == ["GET", "GET"]


def test_a_write_that_never_left_is_sent_by_the_next_attempt(queued: Policy) -> None:
    """A connection that did not come about leaves the POST to the hedge."""
    server = Server(httpx.ConnectError("refused"), 201)

    assert ask(queued, server, "POST") == 201
    assert len(server.asked) == 2


def test_a_write_is_repeated_where_the_hedge_names_its_error() -> None:
    """Who says that it is to be repeated after an error gets that."""
    hasty = policy("orders", hedge=hedge(after="5s", on=httpx.ReadError, budget=False))
    server = Server(httpx.ReadError("broken"), 201)

    assert ask(hasty, server, "POST") == 201
    assert len(server.asked) == 2


def test_nothing_is_asked_after_the_answer() -> None:
    """An attempt whose thread comes by once the other has answered sends nothing."""
    policy("orders", hedge=hedge(after="5s", budget=False, threads=2))
    exchange: Exchange[object] = Exchange(
        plan_of("orders"), "GET", None, repeatable=True
    )
    exchange.begin()
    exchange.end()
    exchange.settle(None)

    with pytest.raises(Rejected, match="over"):
        exchange.begin()
