from __future__ import annotations

import asyncio
from typing import Any

import pytest

import svcready
from svcready._core.context import current
from svcready.testing import Harness, running
from tests.adapters.support import Message, Scope, ask_asgi, http_scope

START = {"type": "http.response.start", "status": 200, "headers": []}


def http_of(harness: Harness) -> dict[str, Any]:
    """Return what the one access line says of the request."""
    (line,) = harness.access_lines
    http = line["http"]
    assert isinstance(http, dict)
    return http


async def hello(scope: Scope, receive: Any, send: Any) -> None:
    """Answer with two pieces."""
    await send(dict(START))
    await send({"type": "http.response.body", "body": b"he", "more_body": True})
    await send({"type": "http.response.body", "body": b"llo"})


def test_before_init_it_passes_everything_through() -> None:
    """Without a runtime a wrapped application answers as if it were bare."""
    reply = asyncio.run(ask_asgi(svcready.wrap(hello), http_scope()))

    assert (reply.status, reply.body, reply.headers) == (200, b"hello", {})


def test_a_bare_application_is_unmatched_but_whole(harness: Harness) -> None:
    """A callable declares no routes; the rest of the line, metric and span is there."""
    reply = asyncio.run(ask_asgi(svcready.wrap(hello), http_scope("/any/path")))

    assert reply.body == b"hello"
    assert len(reply.headers["x-request-id"]) == 32
    http = http_of(harness)
    assert http["route"] == "__unmatched__"
    assert http["response_bytes"] == 5
    assert http["client"] == "10.0.0.9"
    (span,) = harness.spans
    assert span.name == "GET"


def test_it_wraps_once_however_often_it_is_wrapped(harness: Harness) -> None:
    """A wrapped application inside another gives one line and one set of headers."""
    app = svcready.wrap(svcready.wrap(svcready.wrap(hello)))

    reply = asyncio.run(ask_asgi(app, http_scope()))

    assert [name for name, _ in reply.messages[0]["headers"]].count(
        b"x-request-id"
    ) == 1
    assert len(harness.access_lines) == len(harness.spans) == 1


def test_an_error_before_the_response_goes_on_to_the_server(harness: Harness) -> None:
    """It is logged, counted as 500, marked on the span, and raised as it was."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        asyncio.run(ask_asgi(svcready.wrap(app), http_scope()))

    assert http_of(harness)["status"] == 500
    (line,) = (line for line in harness.lines if "error" in line)
    assert line["level"] == "ERROR"
    name = "http_server_request_duration_seconds_count"
    labels = {"http_response_status_code": "500", "error_type": "LookupError"}
    assert harness.sample(name, **labels) == 1


def test_a_cancelled_request_is_499_and_no_error(harness: Harness) -> None:
    """Cancellation before the response passes, is logged as 499, and is no error."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def cancel() -> None:
        task = asyncio.ensure_future(ask_asgi(svcready.wrap(app), http_scope()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())

    assert http_of(harness)["status"] == 499
    assert not [line for line in harness.lines if "error" in line]


def test_a_client_that_left_is_499(harness: Harness) -> None:
    """An application that gives up because the client is gone has the status 499."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.disconnect"

    asyncio.run(ask_asgi(svcready.wrap(app), http_scope(), leaves=True))

    assert http_of(harness)["status"] == 499


def test_trailers_end_the_response(harness: Harness) -> None:
    """With trailers announced, the request lasts until the last of them is sent."""
    open_at_body: list[int] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({**START, "trailers": True})
        await send({"type": "http.response.body", "body": b"x"})
        open_at_body.append(len(harness.access_lines))
        await send({"type": "http.response.trailers", "headers": []})
        open_at_body.append(len(harness.access_lines))

    asyncio.run(ask_asgi(svcready.wrap(app), http_scope()))

    assert open_at_body == [0, 1]


def test_work_after_the_response_keeps_the_ids(harness: Harness) -> None:
    """What runs after the last message has the request's ids; afterwards none has."""
    seen = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        seen.append(current())

    async def serve() -> object:
        await ask_asgi(svcready.wrap(app), http_scope())
        return current()

    after = asyncio.run(serve())

    (record,) = seen
    assert record is not None
    assert record.request_id == harness.access_lines[0]["request_id"]
    assert after is None


def test_headers_of_the_application_win(harness: Harness) -> None:
    """Ids that the application sends itself are not doubled."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({**START, "headers": [(b"x-request-id", b"its-own")]})
        await send({"type": "http.response.body"})

    reply = asyncio.run(ask_asgi(svcready.wrap(app), http_scope()))

    names = [name.lower() for name, _ in reply.messages[0]["headers"]]
    assert names.count(b"x-request-id") == 1
    assert reply.headers["x-request-id"] == "its-own"


def test_strange_methods_share_one_name(harness: Harness) -> None:
    """A method that nobody knows is `_OTHER`, so that it makes no series of its own."""
    for method in ("BREW", "WHEN", "get"):
        asyncio.run(ask_asgi(svcready.wrap(hello), http_scope(method=method)))

    methods = {line["http"]["method"] for line in harness.access_lines}  # type: ignore[index]
    assert methods == {"_OTHER"}


def test_the_clients_address_comes_from_trusted_proxies_only() -> None:
    """X-Forwarded-For counts from the right, by as many proxies as are ours."""
    headers = [(b"x-forwarded-for", b"6.6.6.6, 192.0.2.7, 10.1.1.1")]
    for hops, address in (("0", "10.0.0.9"), ("1", "10.1.1.1"), ("2", "192.0.2.7")):
        with running(environ={"SVCREADY_HTTP_TRUSTED_HOPS": hops}) as harness:
            asyncio.run(ask_asgi(svcready.wrap(hello), http_scope(headers=headers)))

            assert http_of(harness)["client"] == address


def test_lifespans_can_come_again(harness: Harness) -> None:
    """
    An application whose lifespan ends and begins again, as test clients do, is ready
    again, and its probes say so.
    """

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await hello(scope, receive, send)
            return

        for part in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{part}"
            await send({"type": f"lifespan.{part}.complete"})

    async def live() -> list[int]:
        statuses = []
        events: list[Message] = [
            {"type": "lifespan.startup"},
            {"type": "lifespan.shutdown"},
        ]

        async def receive() -> Message:
            return events.pop(0)

        async def send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                scope = http_scope("/health/readiness")
                statuses.append((await ask_asgi(wrapped, scope)).status)

        await wrapped({"type": "lifespan"}, receive, send)
        return statuses

    wrapped = svcready.wrap(app)
    assert [asyncio.run(live()) for _ in range(3)] == [[200]] * 3


def test_the_applications_own_path_stays_its_own(harness: Harness) -> None:
    """A route that equals an operator's path stays; a catch-all's is ours."""
    from fastapi import FastAPI

    from svcready.adapters.fastapi import attach

    own, catching = FastAPI(), FastAPI()

    @own.get("/metrics")
    async def metrics() -> str:
        return "mine"

    @catching.get("/{path:path}")
    async def anything(path: str) -> str:
        return "mine"

    for app in (own, catching):
        attach(app)

    theirs = asyncio.run(ask_asgi(own, http_scope("/metrics")))
    ours = asyncio.run(ask_asgi(catching, http_scope("/metrics")))

    assert theirs.body == b'"mine"'
    assert b"svcready_config_errors" in ours.body
