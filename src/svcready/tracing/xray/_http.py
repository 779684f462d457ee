"""The field `http` of a document, from the old and the stable conventions."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind

from svcready.tracing.xray._reading import TEXT_CHARS, attributes_of, events_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from svcready.tracing.xray._reading import Given

__all__ = ["HTTP_NAMES", "STATUS_NAMES", "http_of"]

STATUS_NAMES = ("http.response.status_code", "http.status_code")

HTTP_NAMES = frozenset(
    {
        "client.address",
        "http.client_ip",
        "http.host",
        "http.method",
        "http.request.method",
        "http.scheme",
        "http.server_name",
        "http.target",
        "http.url",
        "http.user_agent",
        "url.full",
        "url.path",
        "url.scheme",
        "user_agent.original",
        *STATUS_NAMES,
    }
)
"""A span without any of these is no HTTP span; a database's has addresses too."""

_PEERS = ("network.peer.address", "net.sock.peer.addr", "net.peer.ip")
_SERVED = frozenset({SpanKind.SERVER, SpanKind.CONSUMER})
_DEFAULT_PORTS = frozenset({("http", "80"), ("https", "443")})


def http_of(
    span: ReadableSpan, given: Given, *, segment: bool
) -> dict[str, object] | None:
    """
    Return the field `http`; None if the span tells of no HTTP.

    Args:
        span: The span.
        given: Its attributes.
        segment: The document is a segment; some fields are only a segment's, others
            only a subsegment's.
    """
    if given.values.keys().isdisjoint(HTTP_NAMES):
        return None

    request: dict[str, object] = {}
    method = given.text("http.request.method", "http.method")
    if method:
        request["method"] = method

    url = _url(span.kind, given)
    if url:
        request["url"] = url

    agent = given.text("user_agent.original", "http.user_agent")
    if agent:
        request["user_agent"] = agent

    _add_client(span.kind, given, request, segment=segment)
    if not segment:
        traced = given.flag("aws.xray.traced")
        if traced is not None:
            request["traced"] = traced

    response: dict[str, object] = {}
    status = given.number(*STATUS_NAMES)
    if status is not None:
        response["status"] = status

    size = _content_length(span, given)
    if size is not None:
        response["content_length"] = size

    parts = {"request": request, "response": response}
    return {name: part for name, part in parts.items() if part} or None


def _add_client(
    kind: SpanKind, given: Given, request: dict[str, object], *, segment: bool
) -> None:
    peer = ""
    if kind in _SERVED:  # a client's peer is whom it calls, not who calls
        peer = next((str(given.values[n]) for n in _PEERS if n in given.values), "")

    client = ""
    for name in ("client.address", "http.client_ip"):
        if not client and _is_ip(str(given.values.get(name) or "")):
            client = given.text(name)

    address = client or (peer if _is_ip(peer) else "")
    if address:
        request["client_ip"] = address
        if address == peer:
            given.take(*_PEERS)

    if not segment:
        return

    # Read from a header, if it is not what is at the other end of the connection.
    forwarded = given.flag("aws.xray.x_forwarded_for")
    if forwarded is None:
        forwarded = bool(client) and client != peer

    if forwarded:
        request["x_forwarded_for"] = True


@lru_cache(maxsize=1024)
def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False

    return True


def _url(kind: SpanKind, given: Given) -> str:
    whole = given.text("url.full", "http.url")
    if whole:
        # The parts of a whole URL say nothing new, unless it was cut.
        if "url.full" in given.taken or "http.url" in given.taken:
            given.take("url.scheme", "url.path", "url.query")
            given.take("http.scheme", "http.target")

        return whole

    host, port = _host(kind, given)
    if not host:
        return ""

    scheme = _peek(given, "url.scheme", "http.scheme") or "http"
    if port and (scheme, port) not in _DEFAULT_PORTS:
        host = f"{host}:{port}"

    url = f"{scheme}://{host}{_target(given)}"
    if len(url) <= TEXT_CHARS:
        given.take("url.scheme", "url.path", "url.query")
        given.take("http.scheme", "http.target")

    return url[:TEXT_CHARS]


def _host(kind: SpanKind, given: Given) -> tuple[str, str]:
    host = _peek(given, "http.host")
    if host:  # as the header says it, with its port
        given.take("http.host")
        return host, ""

    if kind is SpanKind.SERVER:
        hosts: tuple[str, ...] = (
            "server.address",
            "http.server_name",
            "net.host.name",
            "host.name",
        )
        ports = ("server.port", "net.host.port")
    else:
        hosts = ("server.address", "net.peer.name", *_PEERS)
        ports = ("server.port", "net.peer.port")

    host = _peek(given, *hosts)
    port = _peek(given, *ports)
    if host:
        given.take(*(name for name in hosts if str(given.values.get(name)) == host))
        given.take(*ports)

    return f"[{host}]" if ":" in host and host[0] != "[" else host, port


def _target(given: Given) -> str:
    # The collector keeps `url.query` in the place of the path and loses the path.
    path = _peek(given, "url.path")
    if not path:
        path = _peek(given, "http.target") or "/"

    query = _peek(given, "url.query")
    if query and "?" not in path:
        path = f"{path}?{query}"

    return path if path[0] == "/" else f"/{path}"


def _peek(given: Given, *names: str) -> str:
    for name in names:
        value = given.values.get(name)
        if value is not None and value != "":
            return str(value)

    return ""


def _content_length(span: ReadableSpan, given: Given) -> int | None:
    size = given.number("http.response.body.size", "http.response_content_length")
    if size is not None:
        return size

    for event in events_of(span):
        values = attributes_of(event)
        told = values.get("messaging.message.payload_size_bytes")
        if values.get("message.type") == "RECEIVED" and isinstance(told, int) and told:
            return told

    return None
