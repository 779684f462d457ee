"""Answers as Django's responses: to operators, and to requests that are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse

from svcready.admin import MOST_BODY_BYTES, MOST_TAKEN_BYTES, OpsRequest
from svcready.resilience._limiting._inbound import (
    INBOUND,
    ask_at_route,
    ask_at_route_async,
)

if TYPE_CHECKING:
    from django.http import HttpRequest

    from svcready.adapters._plan import RequestPlan
    from svcready.admin import OpsResponse
    from svcready.resilience._limiting._inbound import Refusal

__all__ = [
    "answer_operator",
    "ask_at_view",
    "ask_at_view_async",
    "ask_operator",
    "method_of",
    "respond",
]


def answer_operator(plan: RequestPlan, request: HttpRequest) -> HttpResponse:
    return respond(ask_operator(plan, request), method_of(request))


def method_of(request: HttpRequest) -> str:
    return request.method or "GET"


def ask_operator(plan: RequestPlan, request: HttpRequest) -> OpsResponse:
    method = method_of(request)
    body: bytes | None = b""
    if plan.ops.takes_body(method, request.path_info):
        read: bytes = request.read(MOST_TAKEN_BYTES)  # as far as it is long
        body = read if len(read) <= MOST_BODY_BYTES else None

    return plan.ops.answer(
        OpsRequest(
            method,
            request.path_info,
            request.META.get("QUERY_STRING", ""),
            request.headers.get,
            request.META.get("REMOTE_ADDR"),
            body,
        )
    )


def respond(answer: OpsResponse | Refusal, method: str) -> HttpResponse:
    sent = b"" if method == "HEAD" else answer.body
    response = HttpResponse(sent, status=answer.status)
    for name, value in answer.headers:
        response[name] = value

    # Django would write a line of each of these, at ERROR if its status is a 5xx.
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001
    # What Django's own middleware would add, which runs inside ours.
    response["content-length"] = str(len(answer.body))
    return response


def ask_at_view(
    request: HttpRequest, view: object, args: object, kwargs: object
) -> HttpResponse | None:
    """Return the answer if limits refuse a request whose view is known by now."""
    del view, args, kwargs
    inbound = INBOUND.get()
    refusal = None if inbound is None else ask_at_route(inbound)
    return None if refusal is None else respond(refusal, method_of(request))


async def ask_at_view_async(
    request: HttpRequest, view: object, args: object, kwargs: object
) -> HttpResponse | None:
    """Do as `ask_at_view`, on an event loop."""
    del view, args, kwargs
    inbound = INBOUND.get()
    refusal = None if inbound is None else await ask_at_route_async(inbound)
    return None if refusal is None else respond(refusal, method_of(request))
