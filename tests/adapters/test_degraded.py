"""Requests that a fallback answered say so: to their handler, and on their line."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask

import svcready
from svcready.errors import CircuitOpen
from svcready.testing import Harness
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope


@svcready.fallback("degraded-prices", 1.0)
def price() -> float:
    """Be refused."""
    raise CircuitOpen("degraded-prices", "open")


async def handle() -> dict[str, object]:
    """Answer by a fallback, from a task that the handler awaits."""
    await asyncio.gather(asyncio.to_thread(price))
    return {"degraded": svcready.degraded()}


async def handle_well() -> dict[str, object]:
    """Answer without."""
    return {"degraded": svcready.degraded()}


def handle_plainly() -> dict[str, object]:
    """Answer in the framework's own thread."""
    price()
    return {"degraded": svcready.degraded()}


def contexts(harness: Harness) -> list[Any]:
    """Return the contexts of the access lines."""
    return [line.get("context", {}) for line in harness.access_lines]


@pytest.mark.parametrize("handler", [handle, handle_plainly])
def test_an_asgi_request_is_marked(harness: Harness, handler: Any) -> None:
    """The handler sees it after the call, the access line names the policies."""
    app = FastAPI()
    app.get("/prices")(handler)
    app.get("/well")(handle_well)
    svcready.wrap(app)
    reply = asyncio.run(ask_asgi(app, http_scope("/prices")))
    well = asyncio.run(ask_asgi(app, http_scope("/well")))

    assert reply.body == b'{"degraded":["degraded-prices"]}'
    assert well.body == b'{"degraded":[]}'
    assert contexts(harness) == [{"degraded": ["degraded-prices"]}, {}]


def test_a_wsgi_request_is_marked(harness: Harness) -> None:
    """The same in Flask."""
    app = Flask("prices")
    app.get("/prices")(handle_plainly)
    svcready.wrap(app)
    ask_wsgi(app, "/prices")
    assert contexts(harness) == [{"degraded": ["degraded-prices"]}]
