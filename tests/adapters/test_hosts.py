"""The host of a request: what its Host header says, if that is one."""

from __future__ import annotations

from asyncio import run
from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.adapters._hosts import server_of
from svcready.testing import running
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from svcready.adapters._asgi_messages import Receive, Scope, Send


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("shop.example", {"server.address": "shop.example"}),
        ("shop.example:8000", {"server.address": "shop.example", "server.port": 8000}),
        ("[::1]:8000", {"server.address": "::1", "server.port": 8000}),
        ("[::1]", {"server.address": "::1"}),
        ("127.0.0.1:80", {"server.address": "127.0.0.1", "server.port": 80}),
    ],
)
def test_a_host_header_names_the_server(
    header: str, expected: dict[str, str | int]
) -> None:
    """With its port, if it has one."""
    assert server_of(header) == expected


@pytest.mark.parametrize(
    "header",
    [None, "", "a b", "user@shop", "shop/x", "a:b:c", "shop:http", "[::1", "x" * 256],
)
def test_what_is_no_host_names_nothing(header: str | None) -> None:
    """Where the server listens is said instead."""
    assert server_of(header) is None


async def hello_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def hello_wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer."""
    start_response("200 OK", [])
    return [b"hello"]


def test_a_sampling_rule_knows_a_request_s_host() -> None:
    """Of ASGI and WSGI alike; the server listens on 127.0.0.1."""
    rules = "GET //shop.example 100%; * * 0"
    with running(service="orders", settings={"tracing.rules": rules}) as harness:
        app, wsgi = svcready.wrap(hello_asgi), svcready.wrap(hello_wsgi)
        for host in (b"Shop.Example:8000", b"else.example", b"not a host"):
            run(ask_asgi(app, http_scope("/a", headers=[(b"host", host)])))
            ask_wsgi(wsgi, "/w", HTTP_HOST=host.decode())

        run(ask_asgi(app, http_scope("/a")))
        ask_wsgi(wsgi, "/w")
        spans = harness.spans

    assert [span.attributes["url.path"] for span in spans] == ["/a", "/w"]
    for span in spans:
        assert span.attributes["server.address"] == "Shop.Example"
        assert span.attributes["server.port"] == 8000


def test_without_a_host_header_it_is_where_the_server_listens() -> None:
    """An HTTP/1.0 client need not send one."""
    with running(service="orders") as harness:
        run(ask_asgi(svcready.wrap(hello_asgi), http_scope("/a")))
        ask_wsgi(svcready.wrap(hello_wsgi), "/w")
        servers = [
            (span.attributes["server.address"], span.attributes["server.port"])
            for span in harness.spans
        ]

    assert servers == [("127.0.0.1", 80), ("127.0.0.1", 80)]


def test_who_is_at_the_other_end_is_told_from_who_asks() -> None:
    """Behind a trusted proxy the client is another; else it is the peer itself."""
    forwarded = "203.0.113.7"
    ends = []
    for hops in (0, 1):
        with running(settings={"http.trusted_hops": hops}) as harness:
            headers = [(b"x-forwarded-for", forwarded.encode())]
            run(ask_asgi(svcready.wrap(hello_asgi), http_scope("/a", headers=headers)))
            more = {"HTTP_X_FORWARDED_FOR": forwarded, "REMOTE_ADDR": "10.0.0.9"}
            ask_wsgi(svcready.wrap(hello_wsgi), "/w", **more)
            ends += [
                (it.attributes["client.address"], it.attributes["network.peer.address"])
                for it in harness.spans
            ]

    alone, behind = ("10.0.0.9", "10.0.0.9"), (forwarded, "10.0.0.9")
    assert ends == [alone, alone, behind, behind]
