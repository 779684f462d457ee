"""Limits and load shedding together: who is refused says nothing of latency."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import svcready
from svcready.resilience._shed._shedding import http_shedder
from svcready.testing import FakeClock, running
from tests.adapters.limits import nothing_declared
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    """Every test declares into empty registers."""
    with nothing_declared():
        yield


@pytest.mark.parametrize("kind", ["starlette", "flask"])
@pytest.mark.parametrize("rules", ["* 1/m by route", ""], ids=["rule", "function"])
def test_what_limits_refuse_is_no_sample(
    kind: str, rules: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller who is refused a thousand times has no service look fast, then slow."""
    settings = {"http.shedding": "enforce", "http.rate_limits": rules}
    told: list[float | None] = []
    limited = svcready.limit("1/m", by="all", name="one")
    with running(service="orders", settings=settings, clock=FakeClock()) as harness:
        app: Any
        if kind == "flask":
            app = flask.Flask("orders")

            def show() -> str:
                return "ok"

            app.get("/")(show if rules else limited(show))
            app.get("/other")(lambda: ("busy", 429))
        else:

            async def page(request: Request) -> PlainTextResponse:
                return PlainTextResponse("ok", int(request.path_params.get("to", 200)))

            first = Route("/", page if rules else limited(page))
            app = Starlette(routes=[first, Route("/other/{to}", page)])

        harness.runtime.attach(app)
        shedder = http_shedder()
        leave = shedder.leave

        def noting(_: object, admission: int, elapsed_s: float | None) -> None:
            told.append(elapsed_s)
            leave(admission, elapsed_s)

        monkeypatch.setattr(type(shedder), "leave", noting)

        def ask(path: str) -> int:
            if kind == "flask":
                return ask_wsgi(app.wsgi_app, path.removesuffix("/429")).status

            return asyncio.run(ask_asgi(app, http_scope(path))).status

        assert [ask("/") for _ in range(3)] == [200, 429, 429]
        assert told == [0.0, None, None]
        assert ask("/other/429") == 429  # the application's own is its own work
        assert told[3:] == [0.0]
        assert shedder.state().in_flight == 0
