"""Security headers: which, on what, and never against the application's own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI, Response
from flask import Flask
from flask import Response as FlaskResponse

import svcready
from svcready.config import load
from svcready.testing import running
from tests.adapters.support import Reply, ask_asgi, ask_wsgi, http_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.adapters.support import Message, Scope

# https://cheatsheetseries.owasp.org: REST Security, HTTP Headers.
API = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
WEB = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "strict-origin-when-cross-origin",
    "cross-origin-opener-policy": "same-origin-allow-popups",
}
NAMES = {*API, *WEB, "strict-transport-security"}


def fastapi() -> Callable[[str], Reply]:
    """Return what asks a FastAPI application."""
    app = FastAPI()

    @app.get("/own")
    def own() -> Response:
        return Response(headers={"X-Frame-Options": "SAMEORIGIN"})

    @app.get("/boom")
    def boom() -> None:
        raise RuntimeError("boom")

    svcready.wrap(app)

    def ask(path: str) -> Reply:
        failures: list[Message] = []

        async def run() -> Reply:
            async def quiet(scope: Scope, receive: object, send: object) -> None:
                try:
                    await app(scope, receive, send)  # type: ignore[arg-type]
                except RuntimeError as error:
                    failures.append({"error": error})

            return await ask_asgi(quiet, http_scope(path))

        return asyncio.run(run())

    return ask


def flask() -> Callable[[str], Reply]:
    """Return what asks a Flask application."""
    app = Flask(__name__)

    @app.get("/own")
    def own() -> FlaskResponse:
        return FlaskResponse(headers={"x-FRAME-options": "SAMEORIGIN"})

    @app.get("/boom")
    def boom() -> str:
        raise RuntimeError("boom")

    svcready.wrap(app)
    return lambda path: ask_wsgi(app, path)


def carried(reply: Reply) -> dict[str, str]:
    """Return the security headers of a reply, whatever the case of their names."""
    lower = {name.lower(): value for name, value in reply.headers.items()}
    return {name: lower[name] for name in lower if name in NAMES}


EVERY = pytest.mark.parametrize("make", [fastapi, flask])
PATHS = ("/nothing", "/boom", "/livez", "/metrics", "/admin/health")


@EVERY
@pytest.mark.parametrize(("chosen", "expected"), [("api", API), ("web", WEB)])
@pytest.mark.parametrize("path", PATHS)
def test_every_response_carries_them(
    make: Callable[[], Callable[[str], Reply]],
    chosen: str,
    expected: dict[str, str],
    path: str,
) -> None:
    """The application's, its error pages, and what operators and probes are told."""
    with running(environ={"SVCREADY_HTTP_SECURITY_HEADERS": chosen}):
        assert carried(make()(path)) == expected


@EVERY
def test_none_unless_asked_for(make: Callable[[], Callable[[str], Reply]]) -> None:
    """They are off at first: a header that nobody knows of can break a page."""
    with running():
        ask = make()

        assert [carried(ask(path)) for path in PATHS] == [{}] * len(PATHS)


@EVERY
def test_the_applications_own_stay(make: Callable[[], Callable[[str], Reply]]) -> None:
    """A header that the application sets, in any case, is there once and is its own."""
    with running(environ={"SVCREADY_HTTP_SECURITY_HEADERS": "api"}):
        reply = make()("/own")

    assert carried(reply) == {**API, "x-frame-options": "SAMEORIGIN"}
    assert [name.lower() for name in reply.headers].count("x-frame-options") == 1


def test_names_in_capitals_on_asgi() -> None:
    """An application that spells names as no ASGI server wants them is heeded too."""

    async def app(scope: Scope, receive: object, send: Callable[..., object]) -> None:
        del scope, receive
        headers = [(b"Referrer-Policy", b"origin")]
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        await send(start)  # type: ignore[misc]
        await send({"type": "http.response.body", "body": b""})  # type: ignore[misc]

    with running(environ={"SVCREADY_HTTP_SECURITY_HEADERS": "api"}):
        wrapped = svcready.wrap(app)
        reply = asyncio.run(ask_asgi(wrapped, http_scope("/")))

    assert carried(reply) == {**API, "referrer-policy": "origin"}
    assert len(carried(reply)) == len([n for n in reply.headers if n.lower() in NAMES])


def test_two_of_one_name_on_wsgi() -> None:
    """Two policies of the application's stay two, and get no third."""

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        policies = [("Content-Security-Policy", f"img-src {n}") for n in ("a", "b")]
        start_response("200 OK", policies)
        return [b""]

    seen: list[tuple[str, str]] = []

    def keep(_: str, headers: list[tuple[str, str]], __: object = None) -> None:
        seen.extend(headers)

    with running(environ={"SVCREADY_HTTP_SECURITY_HEADERS": "api"}):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
        list(svcready.wrap(app)(environ, keep))  # type: ignore[arg-type]

    policies = [value for name, value in seen if "security-policy" in name.lower()]
    assert policies == ["img-src a", "img-src b"]


@pytest.mark.parametrize("chosen", ["off", "api", "web"])
def test_https_from_now_on(chosen: str) -> None:
    """SVCREADY_HTTP_HSTS_S goes out with every response, with other headers or not."""
    environ = {"SVCREADY_HTTP_HSTS_S": "365d", "SVCREADY_HTTP_SECURITY_HEADERS": chosen}
    with running(environ=environ):
        ask = flask()
        values = {carried(ask(path))["strict-transport-security"] for path in PATHS}

    assert values == {"max-age=31536000"}


def test_a_word_that_is_none() -> None:
    """Something else than off, api and web is reported, and nothing is sent."""
    settings = load(environ={"SVCREADY_HTTP_SECURITY_HEADERS": "strict"})

    assert settings.http.security_headers == "off"
    assert [problem.kind for problem in settings.problems] == ["malformed"]
