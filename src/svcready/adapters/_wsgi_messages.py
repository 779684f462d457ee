"""WSGI's environ: the headers that matter in it, and what describes a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.adapters._admission import admitted_headers
from svcready.adapters._hosts import server_of
from svcready.adapters._inbound import NO_HEADERS

if TYPE_CHECKING:
    from collections.abc import Collection
    from wsgiref.types import StartResponse, WSGIEnvironment

    from svcready.adapters._inbound import Headers
    from svcready.adapters._lifecycle import Request
    from svcready.adapters._plan import RequestPlan

__all__ = [
    "add_headers",
    "close_after",
    "describe",
    "read_headers",
    "response_headers",
]


def response_headers(request: Request) -> list[tuple[str, str]]:
    """Return the headers that responses carry from us, as WSGI spells them."""
    plan, trace = request.plan, request.trace
    ours: list[tuple[str, str]] = []
    if plan.send_headers:
        ours = [(plan.request_id_header, request.request_id), trace.response_header]
        xray = None if trace.asked is None else trace.xray_response_header
        if xray is not None:
            ours.append(xray)

    if plan.added_text:
        ours += plan.added_text

    if plan.admission is not None:
        ours += admitted_headers(request)

    return ours


def close_after(start_response: StartResponse) -> None:
    """
    Have the server close the connection after this response.

    A WSGI application says nothing of connections (PEP 3333); gunicorn, which hands a
    response's own method over, can be asked.
    """
    response = getattr(start_response, "__self__", None)
    force = getattr(response, "force_close", None)
    if callable(force):
        force()


def add_headers(
    request: Request, present: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return a response's headers with ours, unless it has some itself."""
    ours = response_headers(request)
    known: Collection[str] = request.plan.our_names
    if request.plan.admission is not None:
        known = {name.lower() for name, _ in ours}

    for name, _ in present:
        lower = name.lower()
        if lower in known:
            ours = [pair for pair in ours if pair[0].lower() != lower]

    return [*present, *ours]


def read_headers(
    plan: RequestPlan, environ: WSGIEnvironment
) -> tuple[Headers, int | None, str | None]:
    """Return the headers that matter, the body's declared length, and the client."""
    headers = NO_HEADERS
    length: int | None = None
    forwarded: str | None = None
    for key, slot in plan.wanted_environ:
        text = environ.get(key)
        if not text:
            continue

        if slot == "length":
            length = plan.length_of(text)
        elif slot == "forwarded":
            forwarded = text
        else:
            if headers is NO_HEADERS:
                headers = plan.new_headers()

            setattr(headers, slot, text)

    client = environ.get("REMOTE_ADDR")
    return headers, length, plan.client_of(client, forwarded) if forwarded else client


def describe(
    plan: RequestPlan, environ: WSGIEnvironment, client: str | None
) -> dict[str, str | int]:
    """Return the start attributes of a server span, by OpenTelemetry's names."""
    attributes: dict[str, str | int] = {
        "url.path": environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
        "url.scheme": environ.get("wsgi.url_scheme", "http"),
    }
    query = environ.get("QUERY_STRING")
    if query:
        attributes["url.query"] = plan.redact_query(query)

    server = server_of(environ.get("HTTP_HOST"))
    attributes.update(_listening(environ) if server is None else server)
    if client:
        attributes["client.address"] = client

    peer = environ.get("REMOTE_ADDR")
    if peer:
        attributes["network.peer.address"] = peer

    protocol = environ.get("SERVER_PROTOCOL", "HTTP/1.1")
    attributes["network.protocol.version"] = protocol.rpartition("/")[2]
    agent = environ.get("HTTP_USER_AGENT")
    if agent:
        attributes["user_agent.original"] = agent

    return attributes


def _listening(environ: WSGIEnvironment) -> dict[str, str | int]:
    """Return where the server listens."""
    server: dict[str, str | int] = {}
    if environ.get("SERVER_NAME"):
        server["server.address"] = environ["SERVER_NAME"]

    port = environ.get("SERVER_PORT", "")
    if port.isdecimal():
        server["server.port"] = int(port)

    return server
