"""Drives applications by bare ASGI scopes and WSGI environs, as a server would."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, NamedTuple

__all__ = ["Reply", "ask_asgi", "ask_wsgi", "http_scope"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]


class Reply(NamedTuple):
    """What the server was given."""

    status: int
    headers: dict[str, str]
    body: bytes
    messages: list[Message]


def http_scope(
    path: str = "/",
    *,
    method: str = "GET",
    headers: Iterable[tuple[bytes, bytes]] = (),
    **more: object,
) -> Scope:
    """Return the scope of a request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("10.0.0.9", 5000),
        "server": ("127.0.0.1", 80),
        **more,
    }


async def ask_asgi(app: App, scope: Scope, *, leaves: bool = False) -> Reply:
    """Run *app* for one request; *leaves* has the client gone when it is asked."""
    messages: list[Message] = []
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if not asked and not leaves:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        if not leaves:
            await asyncio.Event().wait()

        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)

    try:
        await app(scope, receive, send)
    finally:
        reply = _reply(messages)

    return reply


def _reply(messages: list[Message]) -> Reply:
    starts = [m for m in messages if m["type"].endswith("response.start")]
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in (starts[0]["headers"] if starts else ())
    }
    body = b"".join(m.get("body", b"") for m in messages if "body" in m["type"])
    return Reply(starts[0]["status"] if starts else 0, headers, body, messages)


def ask_wsgi(
    app: Callable[..., Iterable[bytes]], path: str = "/", **environ: object
) -> Reply:
    """Run *app* for one request, and close its body as a server must."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], object]:
        started.append((status, headers))
        return lambda data: None

    chunks = app(
        {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "10.0.0.9",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
            **environ,
        },
        start_response,
    )
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()

    status, headers = started[-1]
    return Reply(int(status[:3]), {k.lower(): v for k, v in headers}, body, [])
