"""A retry around a client that retries: what the client gave up on stays given up."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Iterator

import aiohttp
import httpx
import pytest
import requests

import svcready
from svcready.resilience import RetryExhausted, RetryNested, http
from svcready.resilience._retrying import _nested
from svcready.resilience.clients.aiohttp import PolicyMiddleware
from svcready.resilience.clients.httpx import AsyncPolicyTransport, PolicyTransport
from svcready.resilience.clients.requests import PolicyAdapter
from tests.resilience.http_peer import Peer, peer

FAILED = (httpx.HTTPStatusError, requests.HTTPError, aiohttp.ClientResponseError)


@pytest.fixture
def server() -> Iterator[Peer]:
    """A server of which every path is there."""
    with peer() as running:
        yield running


@pytest.fixture(autouse=True)
def _told() -> Iterator[None]:
    """Tell of retries inside retries at once."""
    _nested.begin_telling()
    yield
    _nested.begin_telling(on=False)


def by_httpx(url: str) -> None:
    """Ask by httpx."""
    with httpx.Client(transport=PolicyTransport("shop")) as client:
        client.get(url).raise_for_status()


def by_httpx_async(url: str) -> None:
    """Ask by httpx as a task."""

    async def ask() -> None:
        transport = AsyncPolicyTransport("shop")
        async with httpx.AsyncClient(transport=transport) as client:
            (await client.get(url)).raise_for_status()

    asyncio.run(ask())


def by_requests(url: str) -> None:
    """Ask by requests."""
    with requests.Session() as session:
        session.mount("http://", PolicyAdapter("shop"))
        session.get(url).raise_for_status()


def by_aiohttp(url: str) -> None:
    """Ask by aiohttp."""

    async def ask() -> None:
        middlewares = (PolicyMiddleware("shop"),)
        async with (
            aiohttp.ClientSession(middlewares=middlewares) as session,
            session.get(url) as response,
        ):
            response.raise_for_status()

    asyncio.run(ask())


every_client = pytest.mark.parametrize(
    "ask", [by_httpx, by_httpx_async, by_requests, by_aiohttp]
)


def declare() -> None:
    """Declare the client's policy, of the usual attempts, and quick."""
    quick = svcready.retry(
        on=http.transient, retry_after=http.retry_after, wait_base=0.001
    )
    svcready.policy("shop", preset="http", retry=quick)


@every_client
@pytest.mark.parametrize("name", ["orders", "shop"])
def test_an_outer_retry_repeats_no_exhausted_answer(
    ask: Callable[[str], None], name: str, server: Peer, told: list[object]
) -> None:
    """Three requests and not nine, whatever the outer is called; told once."""
    declare()
    outer = svcready.policy("shop", preset=None) if name == "shop" else None
    retried = outer or svcready.retry(name, on=Exception, wait_base=0.001)
    for _ in range(2):
        with pytest.raises(FAILED) as caught:
            retried(ask)(f"{server.url}/status/503")

    assert len(server.requests) == 6
    nested = [event for event in told if isinstance(event, RetryNested)]
    assert nested == [RetryNested(name, "shop")]
    reasons = [event.reason for event in told if isinstance(event, RetryExhausted)]
    assert reasons == ["attempts", "nested"] * 2
    notes = "".join(caught.value.__notes__)
    assert f"retry {name!r} gave up after 1 attempt: nested" in notes


@every_client
def test_what_the_client_did_not_retry_may_be_retried(
    ask: Callable[[str], None], server: Peer
) -> None:
    """500 is no status that the client asks again for: the outer one has its say."""
    declare()
    with pytest.raises(FAILED):
        svcready.retry("orders", on=Exception, wait_base=0.001)(ask)(
            f"{server.url}/status/500"
        )

    assert len(server.requests) == 3


@every_client
def test_a_retry_may_say_that_it_means_it(
    ask: Callable[[str], None], server: Peer
) -> None:
    """With `nested=True` attempts multiply."""
    declare()
    retried = svcready.retry("orders", on=Exception, wait_base=0.001, nested=True)
    with pytest.raises(FAILED):
        retried(ask)(f"{server.url}/status/503")

    assert len(server.requests) == 9


@every_client
def test_a_fallback_answers_for_it(ask: Callable[[str], None], server: Peer) -> None:
    """An answer that all attempts were used up for is what a fallback is for."""
    declare()
    guarded = svcready.fallback("orders", "later")
    assert guarded.call(ask, f"{server.url}/status/503") == "later"
    with pytest.raises(FAILED):
        guarded.call(ask, f"{server.url}/status/500")


def test_a_response_that_is_used_again_is_a_new_answer(told: list[object]) -> None:
    """A test's transport gives the same object for every request: all are retried."""
    declare()
    answer = httpx.Response(503)
    asked = []

    def answered(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer

    transport = PolicyTransport("shop", httpx.MockTransport(answered))
    with httpx.Client(transport=transport) as client:
        for _ in range(2):
            kept = client.get("http://shop")

    assert len(asked) == 6
    assert pickle.loads(pickle.dumps(kept)).status_code == 503
    assert not any(isinstance(event, RetryNested) for event in told)


def test_a_transport_in_a_transport_is_one_retry(server: Peer) -> None:
    """The outer policy leaves what the inner one gave up on."""
    declare()
    svcready.policy("orders", retry=svcready.retry(on=http.transient, wait_base=0.001))
    transport = PolicyTransport("orders", PolicyTransport("shop"))
    with httpx.Client(transport=transport) as client:
        assert client.get(f"{server.url}/status/503").status_code == 503

    assert len(server.requests) == 3
