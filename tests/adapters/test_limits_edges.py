"""Limits at their edges: odd addresses and values, root paths, requests cut short."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse

import svcready
from svcready.resilience._limiting._limit_keys import address_key
from svcready.resilience._shed._shedding import http_shedder
from svcready.testing import FakeClock, Harness, running
from tests.adapters.limits import nothing_declared
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope

Running = Callable[..., AbstractContextManager[Harness]]


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    """Every test declares into empty registers."""
    with nothing_declared():
        yield


@pytest.fixture
def run() -> Running:
    """Start a runtime with these rules and further settings."""

    def begin(rules: str, **more: object) -> AbstractContextManager[Harness]:
        settings = {"http.rate_limits": rules, **more}
        return running(service="orders", settings=settings, clock=FakeClock())

    return begin


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answer anything, without a framework."""
    await PlainTextResponse("ok")(scope, receive, send)


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    """Do so on WSGI."""
    start_response("200 OK", [])
    return [b"ok"]


@pytest.mark.parametrize(
    ("client", "key"),
    [
        ("64:ff9b::192.0.2.1", "192.0.2.1"),
        ("64:ff9b::c000:202", "192.0.2.2"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("64:ff9b:1::c000:202", "64ff9b00010000::/64"),
        ("2001:db8::1%eth0", "20010db800000000::/64"),
        ("192.0.2.1:8080", "192.0.2.1"),
        ("192.0.2.01", "-"),
        ("unix:", "-"),
    ],
)
def test_ipv4_is_told_apart_behind_a_translator(client: str, key: str) -> None:
    """Callers of IPv4 have limits of their own, however their address is spelt."""
    assert address_key(client) == key


def test_no_values_pass_for_others(run: Running) -> None:
    """Who puts control characters into one value has not the share of other two."""
    with run("* 1/m by header:x-a+header:x-b"):
        app = svcready.wrap(asgi)

        def ask(first: bytes, second: bytes) -> int:
            headers = [(b"x-a", first), (b"x-b", second)]
            return asyncio.run(ask_asgi(app, http_scope(headers=headers))).status

        assert ask(b"a\x1fheader=b", b"c") == 200
        assert ask(b"a", b"b\x1fheader=c") == 200
        assert ask(b"a", b"b\x1fheader=c") == 429


def test_rules_are_for_paths_below_the_root(run: Running) -> None:
    """As a proxy's prefix is none of a route's, it is none of a bare path's."""
    with run("/orders 1/m by address as a; / 1/m by address as b"):
        app, plain = svcready.wrap(asgi), svcready.wrap(wsgi)

        def ask(path: str, root: str = "") -> int:
            scope = http_scope(path, root_path=root)
            return asyncio.run(ask_asgi(app, scope)).status

        assert [ask("/api/orders", "/api") for _ in range(2)] == [200, 429]
        assert ask("/orders") == 429
        assert [ask("/api", "/api") for _ in range(2)] == [200, 429]

        def ask_plain(path: str, root: str = "") -> int:
            environ = {"SCRIPT_NAME": root, "REMOTE_ADDR": "192.0.2.1"}
            return ask_wsgi(plain, path, **environ).status

        assert [ask_plain("/orders", "/api") for _ in range(2)] == [200, 429]
        assert [ask_plain("", "/api") for _ in range(2)] == [200, 429]


class CutShortError(BaseException):
    """What gevent's time-outs are like: no `Exception`, and no end of the process."""


def test_who_is_cut_short_while_limits_are_asked_leaves_its_place(run: Running) -> None:
    """A place, a bound context and a count of requests in flight outlive no request."""

    @svcready.resilience.resolver("tenant")
    def tenant(environ: Any) -> str:
        raise CutShortError

    with run("* 1/m by tenant", **{"http.shedding": "enforce"}) as harness:
        app = svcready.wrap(wsgi)
        for _ in range(3):
            with pytest.raises(CutShortError):
                ask_wsgi(app, "/orders")

        assert http_shedder().state().in_flight == 0
        statuses = [line["http"]["status"] for line in harness.access_lines]  # type: ignore[index]
        assert statuses == [499] * 3


def test_cors_around_the_application_is_on_what_is_refused_before_it(
    run: Running,
) -> None:
    """Middleware within the application is not reached by such a request."""
    headers = [(b"origin", b"https://shop.example")]
    allowed = "access-control-allow-origin"
    for around in (False, True):
        with run("/orders 1/h by address as early; /late 1/h by route as late") as it:
            app = FastAPI()
            for path in ("/orders", "/late"):
                app.get(path)(lambda: "ok")

            if not around:
                app.add_middleware(CORSMiddleware, allow_origins=["*"])

            it.runtime.attach(app)
            served: Any = CORSMiddleware(app, allow_origins=["*"]) if around else app
            for path, told in (("/orders", around), ("/late", True)):
                answers = [
                    asyncio.run(ask_asgi(served, http_scope(path, headers=headers)))
                    for _ in range(2)
                ]
                assert [answer.status for answer in answers] == [200, 429]
                assert allowed in answers[0].headers
                assert (allowed in answers[1].headers) == told
