"""One HTTP exchange over ASGI: what passes is counted and the request completed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.adapters._asgi_messages import (
    add_headers,
    describe,
    may_close,
    read_headers,
)
from svcready.adapters._lifecycle import CLIENT_CLOSED, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.adapters._asgi_messages import Message, Receive, Scope, Send
    from svcready.adapters._plan import RequestPlan

__all__ = ["HttpExchange"]

_FAILED = 500
_UNKNOWN = -1
_LEFT = ("starlette.requests", "ClientDisconnect")
"""What Starlette raises when the client has gone."""


class HttpExchange(Request):
    """
    Stands between server and application for one request.

    The request is completed with the last message of the response, so that background
    tasks don't lengthen it; a failed one when its error has come out, which is after
    the error page was sent.

    Args:
        plan: What the request begins with.
        scope: The request's scope.
        base: The root path that it had on arrival.
        receive: The server's.
        send: The server's.
        route_of: Tells the route's template from scope and base once routing is done.
    """

    __slots__ = (
        "_base",
        "_left",
        "_receive",
        "_route_of",
        "_scope",
        "_send",
        "_trailers",
    )

    def __init__(
        self,
        plan: RequestPlan,
        scope: Scope,
        base: str,
        receive: Receive,
        send: Send,
        route_of: Callable[[Scope, str], str | None],
    ) -> None:
        self._scope = scope
        self._base = base
        self._receive = receive
        self._send = send
        self._route_of = route_of
        self._trailers = False
        self._left = False
        method: str = scope["method"]  # type: ignore[assignment]
        path: str = scope["path"]  # type: ignore[assignment]
        scheme: str = scope.get("scheme", "http")  # type: ignore[assignment]
        self.begin(plan, method, path, scheme, read_headers(plan, scope))

    def describe(self) -> Mapping[str, str | int]:
        """Return the start attributes of the span."""
        return describe(self.plan, self._scope, self.client)

    async def receive(self) -> Message:
        """Receive for the application."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._left = True

        return message

    async def send(self, message: Message) -> None:
        """Send for the application."""
        kind = message["type"]
        final = False
        if kind == "http.response.body":
            body = message.get("body")
            if body:
                self.sent += len(body)  # type: ignore[arg-type]

            final = not self._trailers and not message.get("more_body", False)
        elif kind == "http.response.start":
            self.status = message["status"]  # type: ignore[assignment]
            self._trailers = bool(message.get("trailers", False))
            plan = self.plan
            closing = plan.serving.draining and may_close(self._scope)
            if plan.adds_headers or closing:
                add_headers(self, message, closing=closing)
        elif kind == "http.response.trailers":
            final = not message.get("more_trailers", False)
        elif kind == "http.response.pathsend":
            self.sent = _UNKNOWN  # the server reads the file
            final = True

        await self._send(message)
        if final and self.status < _FAILED:
            self.finish(None)

    def fail(self, error: BaseException) -> None:
        """Complete the request that *error* ended."""
        if not isinstance(error, Exception):
            self._left = True
            self.finish(error)
        elif (type(error).__module__, type(error).__name__) == _LEFT:
            self._left = True
            self.finish(None)
        elif self.completed:
            self.plan.log_error(error)
        else:
            self.finish(error)

    def finish(self, error: BaseException | None) -> None:
        """Complete the request, if that has not been done."""
        if not self.completed:
            status = self.status or (CLIENT_CLOSED if self._left else _FAILED)
            route = self._route_of(self._scope, self._base)
            sent = None if self.sent < 0 else self.sent
            self.complete(route, status, error, sent)
