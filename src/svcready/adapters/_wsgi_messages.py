"""WSGI's environ: the headers that matter in it, and what describes a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.adapters._lifecycle import Headers

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from svcready.adapters._lifecycle import Request
    from svcready.adapters._plan import RequestPlan

__all__ = ["describe", "read_headers", "response_headers"]


def response_headers(
    plan: RequestPlan, request: Request
) -> tuple[tuple[str, str], ...]:
    """Return the headers that tell the caller our ids, as WSGI spells them."""
    trace = request.trace
    ours = ((plan.request_id_header, request.request_id), trace.response_header)
    xray = trace.xray_response_header
    return ours if xray is None else (*ours, xray)


def read_headers(
    plan: RequestPlan, environ: WSGIEnvironment
) -> tuple[Headers, int | None, str | None]:
    headers = Headers()
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
            setattr(headers, slot, text)

    client = plan.client_of(environ.get("REMOTE_ADDR"), forwarded)
    return headers, length, client


def describe(
    plan: RequestPlan, environ: WSGIEnvironment, client: str | None
) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "url.path": environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
        "url.scheme": environ.get("wsgi.url_scheme", "http"),
    }
    query = environ.get("QUERY_STRING")
    if query:
        attributes["url.query"] = plan.redact_query(query)

    if environ.get("SERVER_NAME"):
        attributes["server.address"] = environ["SERVER_NAME"]

    port = environ.get("SERVER_PORT", "")
    if port.isdecimal():
        attributes["server.port"] = int(port)

    if client:
        attributes["client.address"] = client

    protocol = environ.get("SERVER_PROTOCOL", "HTTP/1.1")
    attributes["network.protocol.version"] = protocol.rpartition("/")[2]
    agent = environ.get("HTTP_USER_AGENT")
    if agent:
        attributes["user_agent.original"] = agent

    return attributes
