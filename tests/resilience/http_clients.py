"""The four clients with a policy in them, asked in one way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

import aiohttp
import httpx
import pytest
import requests

from svcready.resilience.clients.aiohttp import PolicyMiddleware
from svcready.resilience.clients.httpx import AsyncPolicyTransport, PolicyTransport
from svcready.resilience.clients.requests import PolicyAdapter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from svcready.resilience import Policy


class Answer(NamedTuple):
    """What the application gets."""

    status: int
    text: str
    method: str


class Ask(Protocol):
    """Makes requests of one client after the other, in one session."""

    def __call__(
        self,
        policy: Policy | str,
        *requests: tuple[str, str],
        headers: dict[str, str] | None = None,
        body: bytes | list[bytes] | None = None,
        per_host: bool = False,
        send_deadline: bool = True,
        wait_s: float = 5.0,
    ) -> list[Answer]:
        """Return the answers to *requests*, each a method and a URL."""
        ...


def by_httpx(
    policy: Policy | str,
    *asked: tuple[str, str],
    headers: dict[str, str] | None = None,
    body: bytes | list[bytes] | None = None,
    per_host: bool = False,
    send_deadline: bool = True,
    wait_s: float = 5.0,
) -> list[Answer]:
    """Ask by httpx."""
    transport = PolicyTransport(policy, per_host=per_host, send_deadline=send_deadline)
    answers = []
    with httpx.Client(transport=transport, timeout=wait_s) as client:
        for method, url in asked:
            content = iter(body) if isinstance(body, list) else body
            response = client.request(method, url, headers=headers, content=content)
            asked_by = response.request.method
            answers.append(Answer(response.status_code, response.text, asked_by))

    return answers


def by_httpx_async(
    policy: Policy | str,
    *asked: tuple[str, str],
    headers: dict[str, str] | None = None,
    body: bytes | list[bytes] | None = None,
    per_host: bool = False,
    send_deadline: bool = True,
    wait_s: float = 5.0,
) -> list[Answer]:
    """Ask by httpx as a task."""
    transport = AsyncPolicyTransport(
        policy, per_host=per_host, send_deadline=send_deadline
    )

    async def ask() -> list[Answer]:
        answers = []
        async with httpx.AsyncClient(transport=transport, timeout=wait_s) as client:
            for method, url in asked:
                content = _chunks(body) if isinstance(body, list) else body
                response = await client.request(
                    method, url, headers=headers, content=content
                )
                asked_by = response.request.method
                answers.append(Answer(response.status_code, response.text, asked_by))

        return answers

    return asyncio.run(ask())


def by_requests(
    policy: Policy | str,
    *asked: tuple[str, str],
    headers: dict[str, str] | None = None,
    body: bytes | list[bytes] | None = None,
    per_host: bool = False,
    send_deadline: bool = True,
    wait_s: float = 5.0,
) -> list[Answer]:
    """Ask by requests."""
    adapter = PolicyAdapter(policy, per_host=per_host, send_deadline=send_deadline)
    answers = []
    with requests.Session() as session:
        session.mount("http://", adapter)
        for method, url in asked:
            data = iter(body) if isinstance(body, list) else body
            response = session.request(
                method, url, headers=headers, data=data, timeout=wait_s
            )
            asked_by = str(response.request.method)
            answers.append(Answer(response.status_code, response.text, asked_by))

    return answers


def by_aiohttp(
    policy: Policy | str,
    *asked: tuple[str, str],
    headers: dict[str, str] | None = None,
    body: bytes | list[bytes] | None = None,
    per_host: bool = False,
    send_deadline: bool = True,
    wait_s: float = 5.0,
) -> list[Answer]:
    """Ask by aiohttp."""
    middleware = PolicyMiddleware(
        policy, per_host=per_host, send_deadline=send_deadline
    )

    async def ask() -> list[Answer]:
        answers = []
        timeout = aiohttp.ClientTimeout(sock_read=wait_s)
        async with aiohttp.ClientSession(
            middlewares=[middleware], timeout=timeout
        ) as session:
            for method, url in asked:
                data = _chunks(body) if isinstance(body, list) else body
                async with session.request(
                    method, url, headers=headers, data=data
                ) as response:
                    text = await response.text()
                    answers.append(Answer(response.status, text, response.method))

        return answers

    return asyncio.run(ask())


async def _chunks(body: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in body:
        yield chunk


def sync_chunks(body: list[bytes]) -> Iterator[bytes]:
    """Give a body piece by piece, once."""
    yield from body


ASKS: list[Ask] = [by_httpx, by_httpx_async, by_requests, by_aiohttp]
every_client = pytest.mark.parametrize("ask", ASKS, ids=lambda ask: ask.__name__[3:])
