"""ASGI's scopes and messages: their types, and the headers that matter in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready.adapters._admission import admitted_headers
from svcready.adapters._hosts import server_of
from svcready.adapters._inbound import NO_HEADERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from svcready.adapters._inbound import Headers
    from svcready.adapters._lifecycle import Request
    from svcready.adapters._plan import RequestPlan

    Scope = MutableMapping[str, object]
    Message = MutableMapping[str, object]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
    Pairs = list[tuple[bytes, bytes]]

__all__ = [
    "CLOSE",
    "add_headers",
    "below",
    "describe",
    "header_reader",
    "may_close",
    "read_headers",
    "routed_as",
    "routed_by",
    "tells_events",
]

_EVENTS = b"text/event-stream"
_ROUTED_BY = ("path", "root_path", "method")
_LISTS = ("tracestate", "baggage")
CLOSE = (b"connection", b"close")
"""What has a client of HTTP/1 ask over another connection next time."""


def read_headers(
    plan: RequestPlan, scope: Scope
) -> tuple[Headers, int | None, str | None]:
    """Return the headers that matter, the body's declared length, and the client."""
    headers = NO_HEADERS
    length: int | None = None
    forwarded: str | None = None
    wanted = plan.wanted
    pairs: Pairs = scope["headers"]  # type: ignore[assignment]
    for name, value in pairs:
        if name not in wanted:
            continue

        slot = wanted[name]
        text = value.decode("latin-1")
        if slot == "length":
            length = plan.length_of(text)
        elif slot == "forwarded":
            forwarded = text if forwarded is None else f"{forwarded},{text}"
        else:
            if headers is NO_HEADERS:
                headers = plan.new_headers()

            before = getattr(headers, slot)
            if before is not None:  # two lists are one; two of the others are none
                text = f"{before},{text}" if slot in _LISTS else ""

            setattr(headers, slot, text)

    client: tuple[str, int] | None = scope.get("client")  # type: ignore[assignment]
    peer = client[0] if client else None
    return headers, length, plan.client_of(peer, forwarded) if forwarded else peer


def header_reader(scope: Scope) -> Callable[[str], str | None]:
    """Return a function that reads a header by its name in any case."""

    def read(name: str) -> str | None:
        wanted = name.lower().encode("latin-1")
        pairs: Pairs = scope["headers"]  # type: ignore[assignment]
        values = [value.decode("latin-1") for key, value in pairs if key == wanted]
        return ", ".join(values) if values else None

    return read


def add_headers(request: Request, message: Message, *, closing: bool = False) -> None:
    """
    Put our headers into a response, unless the application put some there.

    Args:
        request: What is answered.
        message: The response's start.
        closing: Whether the client is asked to close the connection after it.
    """
    try:
        plan, trace = request.plan, request.trace
        present: Pairs = message.get("headers") or []  # type: ignore[assignment]
        ours: Pairs = []
        if plan.send_headers:
            ours = [
                (plan.request_id_name, request.request_id.encode("latin-1")),
                (b"traceresponse", trace.response_header[1].encode("latin-1")),
            ]
            if trace.asked is not None:
                ours += _encoded(trace.xray_response_header)

        if plan.added:
            # Applications write such names by hand, and not always in lower case.
            own = {name.lower() for name, _ in present}
            ours += [pair for pair in plan.added if pair[0] not in own]

        if plan.admission is not None:
            told = admitted_headers(request)
            if told:
                own = {name.lower() for name, _ in present}
                pairs = ((k.encode("latin-1"), v.encode("latin-1")) for k, v in told)
                ours += [pair for pair in pairs if pair[0] not in own]

        if closing and not any(name == CLOSE[0] for name, _ in present):
            ours.append(CLOSE)

        for name, _ in present:
            if name in plan.ours:
                ours = [pair for pair in ours if pair[0] != name]

        message["headers"] = [*present, *ours]
    except Exception as error:  # noqa: BLE001 - the response goes out without them
        report_fault("http.headers", error)


def tells_events(message: Message) -> bool:
    """Tell whether a response's start begins a stream of server-sent events."""
    pairs: Pairs = message.get("headers") or []  # type: ignore[assignment]
    for name, value in pairs:
        if name == b"content-type" and value.startswith(_EVENTS):
            return True

    return False


def below(scope: Scope) -> str:
    """Return a request's path below where the application is mounted."""
    path: str = scope["path"]  # type: ignore[assignment]
    base: str = scope.get("root_path") or ""  # type: ignore[assignment]
    if not base or not path.startswith(base):
        return path

    rest = path[len(base) :]
    return path if rest and rest[0] != "/" else rest


def routed_by(scope: Scope) -> tuple[object, ...]:
    """Return what of a scope tells its route."""
    return scope["path"], scope.get("root_path") or "", scope["method"]


def routed_as(scope: Scope, by: tuple[object, ...]) -> Scope:
    """Return a scope as it was before mounts changed its root path."""
    return {**scope, **dict(zip(_ROUTED_BY, by, strict=True))}


def may_close(scope: Scope) -> bool:
    """
    Tell whether a response may say that its connection ends.

    Later versions of HTTP have no such header (RFC 9113, section 8.2.2), and servers
    end their connections by other means.
    """
    version: str = scope.get("http_version") or "1.1"  # type: ignore[assignment]
    return version.startswith("1")


def _encoded(pair: tuple[str, str] | None) -> Pairs:
    if pair is None:
        return []

    return [(pair[0].encode("latin-1"), pair[1].encode("latin-1"))]


def describe(
    plan: RequestPlan, scope: Scope, client: str | None
) -> dict[str, str | int]:
    """Return the start attributes of a server span, by OpenTelemetry's names."""
    attributes: dict[str, str | int] = {
        "url.path": scope["path"],  # type: ignore[dict-item]
        "url.scheme": scope.get("scheme") or "http",  # type: ignore[dict-item]
        "network.protocol.version": scope.get("http_version") or "1.1",  # type: ignore[dict-item]
    }
    query: bytes = scope.get("query_string") or b""  # type: ignore[assignment]
    if query:
        attributes["url.query"] = plan.redact_query(query.decode("latin-1"))

    if client:
        attributes["client.address"] = client

    peer: tuple[str, int] | None = scope.get("client")  # type: ignore[assignment]
    if peer and peer[0]:
        attributes["network.peer.address"] = peer[0]

    host: str | None = None
    pairs: Pairs = scope["headers"]  # type: ignore[assignment]
    for name, value in pairs:
        if name == b"user-agent":
            attributes["user_agent.original"] = value.decode("latin-1")
        elif name == b"host":
            host = value.decode("latin-1")

    server = server_of(host)
    attributes.update(_listening(scope) if server is None else server)
    return attributes


def _listening(scope: Scope) -> dict[str, str | int]:
    """Return where the server listens."""
    server: tuple[str, int | None] | None = scope.get("server")  # type: ignore[assignment]
    if not server:
        return {}

    address: dict[str, str | int] = {"server.address": server[0]}
    return address if server[1] is None else {**address, "server.port": server[1]}
