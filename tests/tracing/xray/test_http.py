"""The field `http`, from the old and the stable conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import SpanKind

from tests.tracing.xray.support import LOCAL, REMOTE, document_of, make_span, part

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    Attributes = dict[str, AttributeValue]

SERVER, CLIENT = SpanKind.SERVER, SpanKind.CLIENT


def request_of(kind: SpanKind, attributes: Attributes) -> dict[str, object]:
    """Return the part `request` of a span's document."""
    parent = REMOTE if kind is SERVER else LOCAL
    document = document_of(make_span(kind, attributes, parent=parent))
    return part(document, "http", "request")


@pytest.mark.parametrize("name", ["http.request.method", "http.method"])
def test_the_method(name: str) -> None:
    """By its stable name and by its old one."""
    assert request_of(SERVER, {name: "PUT"})["method"] == "PUT"


@pytest.mark.parametrize("name", ["user_agent.original", "http.user_agent"])
def test_the_user_agent(name: str) -> None:
    """By its stable name and by its old one."""
    assert request_of(SERVER, {name: "curl/8"})["user_agent"] == "curl/8"


STABLE: Attributes = {
    "url.scheme": "https",
    "server.address": "shop.example",
    "server.port": 8443,
    "url.path": "/orders",
}


@pytest.mark.parametrize(
    ("attributes", "url"),
    [
        ({"url.full": "https://a/b?c", "url.path": "/x"}, "https://a/b?c"),
        ({"http.url": "https://a/b?c", "http.target": "/x"}, "https://a/b?c"),
        (STABLE, "https://shop.example:8443/orders"),
        ({**STABLE, "server.port": 443}, "https://shop.example/orders"),
        (
            {**STABLE, "server.port": 80, "url.scheme": "http"},
            "http://shop.example/orders",
        ),
        # The collector loses the path here.
        (
            {**STABLE, "url.query": "page=2"},
            "https://shop.example:8443/orders?page=2",
        ),
        (
            {"server.address": "h", "http.target": "/t?x=1", "url.query": "x=1"},
            "http://h/t?x=1",
        ),
        (
            {"http.host": "h:81", "net.host.port": 81, "http.target": "/t"},
            "http://h:81/t",
        ),
        ({"http.server_name": "h", "http.scheme": "https"}, "https://h/"),
        (
            {"net.host.name": "h", "net.host.port": "81", "http.target": "t"},
            "http://h:81/t",
        ),
        ({"host.name": "h", "http.method": "GET"}, "http://h/"),
        (
            {"server.address": "::1", "server.port": 81, "url.path": "/"},
            "http://[::1]:81/",
        ),
        ({"url.path": "/x", "http.method": "GET"}, None),
    ],
)
def test_the_url_that_a_server_was_asked_for(
    attributes: Attributes, url: str | None
) -> None:
    """Whole if it is told, else put together of its parts, old or stable."""
    assert request_of(SERVER, attributes).get("url") == url


@pytest.mark.parametrize(
    ("attributes", "url"),
    [
        ({"url.full": "https://a/b"}, "https://a/b"),
        (
            {"http.host": "h", "http.scheme": "https", "http.target": "/t"},
            "https://h/t",
        ),
        (
            {"net.peer.name": "h", "net.peer.port": 81, "http.target": "/t"},
            "http://h:81/t",
        ),
        ({"net.peer.ip": "10.0.0.1", "http.method": "GET"}, "http://10.0.0.1/"),
        ({"server.address": "h", "server.port": 80, "url.path": "/t"}, "http://h/t"),
        # As a call of AWS is told: nothing but the port says that it is TLS.
        ({"server.address": "s3", "server.port": 443, "url.path": "/"}, "https://s3/"),
        ({"net.host.name": "me", "http.method": "GET"}, None),
    ],
)
def test_the_url_that_a_client_asked_for(
    attributes: Attributes, url: str | None
) -> None:
    """A client's host is its peer, never itself."""
    assert request_of(CLIENT, attributes).get("url") == url


@pytest.mark.parametrize(
    ("attributes", "address", "forwarded"),
    [
        ({"client.address": "192.0.2.1"}, "192.0.2.1", True),
        ({"client.address": "2001:db8::1"}, "2001:db8::1", True),
        ({"http.client_ip": "192.0.2.1"}, "192.0.2.1", True),
        ({"network.peer.address": "10.0.0.9"}, "10.0.0.9", None),
        ({"net.sock.peer.addr": "10.0.0.9"}, "10.0.0.9", None),
        ({"net.peer.ip": "10.0.0.9"}, "10.0.0.9", None),
        (
            {"client.address": "192.0.2.1", "network.peer.address": "192.0.2.1"},
            "192.0.2.1",
            None,
        ),
        (
            {"client.address": "192.0.2.1", "network.peer.address": "10.0.0.9"},
            "192.0.2.1",
            True,
        ),
        (
            {"client.address": "gateway", "network.peer.address": "10.0.0.9"},
            "10.0.0.9",
            None,
        ),
        ({"network.peer.address": "/run/socket"}, None, None),
        ({"client.address": "unknown"}, None, None),
        (
            {"network.peer.address": "10.0.0.9", "aws.xray.x_forwarded_for": True},
            "10.0.0.9",
            True,
        ),
        (
            {"client.address": "192.0.2.1", "aws.xray.x_forwarded_for": False},
            "192.0.2.1",
            None,
        ),
    ],
)
def test_the_clients_address(
    attributes: Attributes, address: str | None, forwarded: bool | None
) -> None:
    """An IP address only; marked where only a header can have told it."""
    found = request_of(SERVER, {"http.method": "GET", **attributes})

    assert found.get("client_ip") == address
    assert found.get("x_forwarded_for") is forwarded


def test_whom_a_client_calls_is_no_client() -> None:
    """The address at the other end of a client's connection is the server's."""
    attributes: Attributes = {
        "http.method": "GET",
        "network.peer.address": "10.0.0.9",
        "server.address": "h",
    }
    document = document_of(make_span(CLIENT, attributes))

    assert "client_ip" not in part(document, "http", "request")
    assert part(document, "metadata", "default")["network.peer.address"] == "10.0.0.9"


@pytest.mark.parametrize("traced", [True, False])
def test_whether_a_segment_is_awaited(traced: bool) -> None:
    """`traced` is a subsegment's."""
    attributes: Attributes = {"http.method": "GET", "aws.xray.traced": traced}

    assert request_of(CLIENT, attributes)["traced"] is traced
    assert "traced" not in request_of(SERVER, attributes)


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"http.response.status_code": 204}, 204),
        ({"http.status_code": 204}, 204),
        ({"http.status_code": "204"}, 204),
        ({"http.status_code": "none"}, None),
        ({"http.status_code": True}, None),
    ],
)
def test_the_status(attributes: Attributes, status: int | None) -> None:
    """A whole number, also where it came as a text."""
    document = document_of(make_span(CLIENT, attributes))

    assert part(document, "http", "response").get("status") == status


@pytest.mark.parametrize(
    ("attributes", "events", "length"),
    [
        ({"http.response.body.size": 12}, [], 12),
        ({"http.response_content_length": 12}, [], 12),
        (
            {},
            [
                Event("message", {"message.type": "SENT"}, 1),
                Event(
                    "message",
                    {
                        "message.type": "RECEIVED",
                        "messaging.message.payload_size_bytes": 12,
                    },
                    1,
                ),
            ],
            12,
        ),
        ({}, [Event("other", {}, 1)], None),
    ],
)
def test_the_responses_length(
    attributes: Attributes, events: list[Event], length: int | None
) -> None:
    """From the span, else from the event of the message that came."""
    span = make_span(CLIENT, {"http.method": "GET", **attributes}, events=events)

    assert part(document_of(span), "http", "response").get("content_length") == length


def test_a_database_has_no_http() -> None:
    """Addresses alone make no request, and stay in the metadata."""
    attributes: Attributes = {
        "server.address": "db",
        "network.peer.address": "10.0.0.9",
    }
    document = document_of(make_span(CLIENT, attributes))

    assert "http" not in document
    assert part(document, "metadata", "default") == attributes


def test_what_is_told_is_not_told_twice() -> None:
    """Neither the old nor the stable name of what a field holds is in metadata."""
    attributes: Attributes = {
        "http.request.method": "GET",
        "http.method": "GET",
        "url.scheme": "http",
        "url.path": "/x",
        "url.query": "q",
        "server.address": "h",
        "server.port": 80,
        "http.response.status_code": 200,
        "http.status_code": 200,
        "http.route": "/x",
        "http.response_content_length": 3,
    }
    document = document_of(make_span(CLIENT, attributes))

    assert part(document, "metadata", "default") == {"http.route": "/x"}


def test_a_long_text_is_cut_and_kept_whole_beside() -> None:
    """X-Ray's 250 characters are kept, and nothing of the URL is lost."""
    url = "https://h/" + "a" * 400
    document = document_of(make_span(CLIENT, {"url.full": url, "url.path": "/a"}))
    parts: Attributes = {**STABLE, "url.path": "/" + "a" * 400}
    made = document_of(make_span(CLIENT, parts))

    assert part(document, "http", "request")["url"] == url[:250]
    assert part(document, "metadata", "default")["url.full"] == url
    assert len(str(part(made, "http", "request")["url"])) == 250
    assert part(made, "metadata", "default")["url.path"] == parts["url.path"]
