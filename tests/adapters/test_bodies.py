"""Bodies of requests to the operator's paths, as servers hand them over."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.adapters import asgi, wsgi
from svcready.testing import running
from tests.adapters.support import ask_wsgi, http_scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, MutableMapping

    from svcready.testing import Harness

TOKEN = "s3cret"
CHANGE = json.dumps({"logger": "shop.bodies", "level": "ERROR"}).encode()
LIMIT = 64 * 1024


@pytest.fixture
def harness() -> Iterator[Harness]:
    """Run a service whose operators have a token."""
    with running(environ={"SVCREADY_ADMIN_TOKENS": TOKEN}) as harness:
        yield harness


def post_asgi(parts: Iterable[bytes], *, leaves: bool = False) -> int:
    """Post a body in parts; return the status."""
    messages: list[MutableMapping[str, object]] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]
    messages.append({"type": "http.disconnect" if leaves else "http.request"})
    statuses: list[object] = []

    async def app(*_: object) -> None:
        raise AssertionError

    async def receive() -> MutableMapping[str, object]:
        return messages.pop(0)

    async def send(message: MutableMapping[str, object]) -> None:
        statuses.append(message.get("status"))

    headers = [
        (b"authorization", f"Bearer {TOKEN}".encode()),
        (b"content-type", b"application/json"),
    ]
    scope = http_scope("/admin/loggers", method="POST", headers=headers)
    asyncio.run(asgi.wrap(app)(scope, receive, send))
    status = statuses[0]
    assert isinstance(status, int)
    return status


def post_wsgi(body: bytes, **environ: object) -> int:
    """Post a body; return the status."""

    def app(*_: object) -> list[bytes]:
        raise AssertionError

    return ask_wsgi(
        wsgi.wrap(app),
        "/admin/loggers",
        **{
            "REQUEST_METHOD": "POST",
            "HTTP_AUTHORIZATION": f"Bearer {TOKEN}",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            **environ,
        },
    ).status


@pytest.mark.usefixtures("harness")
def test_asgis_bodies_come_in_parts() -> None:
    """They are put together, up to the limit; a client that leaves sent none."""
    log = svcready.get_logger("shop.bodies")

    assert log.isEnabledFor("INFO")
    assert post_asgi([CHANGE[:9], b"", CHANGE[9:]]) == 200
    assert not log.isEnabledFor("INFO")
    assert post_asgi([CHANGE, b" " * (LIMIT - len(CHANGE))]) == 200
    assert post_asgi([CHANGE, b" " * LIMIT]) == 413
    assert post_asgi([CHANGE[:9]], leaves=True) == 400


@pytest.mark.usefixtures("harness")
def test_wsgis_bodies_have_a_length() -> None:
    """As many bytes are read; without a length there is no body."""
    log = svcready.get_logger("shop.bodies")

    assert log.isEnabledFor("INFO")
    assert post_wsgi(CHANGE) == 200
    assert not log.isEnabledFor("INFO")
    assert post_wsgi(CHANGE.ljust(LIMIT)) == 200
    assert post_wsgi(CHANGE.ljust(LIMIT + 1)) == 413
    assert post_wsgi(CHANGE, CONTENT_LENGTH="9" * 30) == 413
    for length in ("", "-1", "x", "٣", str(len(CHANGE) + 1)):
        assert post_wsgi(CHANGE, CONTENT_LENGTH=length) == 400


def test_a_long_body_is_taken_off_the_connection(harness: Harness) -> None:
    """So that the connection can go on, unless it is far too long."""
    del harness
    body = io.BytesIO(b"x" * (3 * 1024**2))
    size = str(len(body.getvalue()))

    assert post_wsgi(b"", CONTENT_LENGTH=size, **{"wsgi.input": body}) == 413
    assert body.tell() == 1024**2


def test_a_body_for_a_path_that_only_reads_is_left_alone(harness: Harness) -> None:
    """The answer is 405, whatever the client sends."""
    del harness
    body = io.BytesIO(CHANGE)
    reply = ask_wsgi(
        wsgi.wrap(lambda *_: [b""]),
        "/admin/health",
        **{
            "REQUEST_METHOD": "POST",
            "CONTENT_LENGTH": str(len(CHANGE)),
            "HTTP_AUTHORIZATION": f"Bearer {TOKEN}",
            "wsgi.input": body,
        },
    )

    assert reply.status == 405
    assert body.tell() == 0
