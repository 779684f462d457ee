"""One HTTP exchange over ASGI: what passes is counted and the request completed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import report_foreign
from svcready.adapters._admission import spelt
from svcready.adapters._asgi_messages import (
    add_headers,
    describe,
    header_reader,
    may_close,
    read_headers,
)
from svcready.adapters._lifecycle import CLIENT_CLOSED, Request
from svcready.resilience._answered import is_answered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from svcready.adapters._asgi_messages import (
        ASGIApp,
        Message,
        Receive,
        Scope,
        Send,
    )
    from svcready.adapters._plan import RequestPlan
    from svcready.resilience._answered import Answered
    from svcready.resilience._limiting._inbound import Refusal

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
        self._trailers = self._left = False
        method: str = scope["method"]  # type: ignore[assignment]
        path: str = scope["path"]  # type: ignore[assignment]
        scheme: str = scope.get("scheme", "http")  # type: ignore[assignment]
        self.begin(plan, method, path, scheme, read_headers(plan, scope))

    def describe(self) -> Mapping[str, str | int]:
        """Return the start attributes of the span."""
        return describe(self.plan, self._scope, self.client)

    def header(self, name: str) -> str | None:
        """Return a header's value by its name in any case; None without it."""
        return header_reader(self._scope)(name)

    def serve(self, app: ASGIApp) -> Awaitable[None]:
        """Have *app* serve the request."""
        return app(self._scope, self.receive, self.send)

    async def answer(self, error: Answered) -> None:
        """Answer what refuses the request, or raise it if that can't be."""
        if self.status or not is_answered(error):  # the application has begun to
            raise error

        from svcready.resilience._shed._by_hand import answer_to

        await self.refuse(answer_to(error), self.send)

    async def refuse(self, refusal: Refusal, send: Send) -> None:
        """Answer in the application's place."""
        self.refused = True
        await send(
            {
                "type": "http.response.start",
                "status": refusal.status,
                "headers": spelt(refusal),
            }
        )
        body = b"" if self.method == "HEAD" else refusal.body
        await send({"type": "http.response.body", "body": body})

    async def receive(self) -> Message:
        """Receive for the application."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._left = True

        return message

    async def send(self, message: Message) -> None:
        """Send for the application."""
        final = self.pass_on(message)
        await self._send(message)
        if final:
            self._end_well()

    def pass_on(self, message: Message) -> bool:
        """Take note of a message that leaves; return whether it is the last."""
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

        return final

    def _end_well(self) -> None:
        """Complete the request; of a failed one the error may still come out."""
        if self.status < _FAILED:
            self.finish(None)

    def _route(self) -> str | None:
        try:
            return self._route_of(self._scope, self._base)
        except Exception as error:  # noqa: BLE001 - the response is on its way
            report_foreign("http.route", error)
            return None

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
            route = self._route()
            sent = None if self.sent < 0 else self.sent
            self.complete(route, status, error, sent)
