"""One HTTP exchange over ASGI: what passes is counted and the request completed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.adapters._asgi_messages import add_headers
from svcready.adapters._lifecycle import CLIENT_CLOSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.adapters._asgi_messages import ASGIApp, Message, Receive, Scope, Send
    from svcready.adapters._lifecycle import Request
    from svcready.adapters._plan import RequestPlan

__all__ = ["HttpExchange"]

_FAILED = 500
_LEFT = "ClientDisconnect"


class HttpExchange:
    """
    Stands between server and application for one request.

    The request is completed with the last message of the response, so that background
    tasks don't lengthen it; a failed one when its error has come out, which is after
    the error page was sent.

    Args:
        plan: What the request began with.
        request: The request in flight.
        route_of: Tells the route's template from scope and base once routing is done.
        scope: The request's scope.
        base: The root path that it had on arrival.
        length: The request's declared length.
        client: The client's address.
    """

    __slots__ = (
        "_base",
        "_client",
        "_left",
        "_length",
        "_plan",
        "_receive",
        "_request",
        "_route_of",
        "_scope",
        "_send",
        "_sent",
        "_status",
        "_trailers",
    )

    def __init__(
        self,
        plan: RequestPlan,
        request: Request,
        route_of: Callable[[Scope, str], str | None],
        scope: Scope,
        base: str,
        length: int | None,
        client: str | None,
    ) -> None:
        self._plan = plan
        self._request = request
        self._route_of = route_of
        self._scope = scope
        self._base = base
        self._length = length
        self._client = client
        self._status = 0
        self._sent = 0
        self._trailers = False
        self._left = False

    async def serve(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run the application; whatever it raises goes on to the server."""
        self._receive = receive
        self._send = send
        try:
            await app(scope, self._receive_through, self._send_through)
        except Exception as error:
            if type(error).__name__ == _LEFT:  # Starlette's word for a client gone
                self._left = True
                self._complete(None)
            elif self._request.completed:
                self._plan.log_error(error)
            else:
                self._complete(error)

            raise
        except BaseException as error:
            self._left = True
            self._complete(error)
            raise
        else:
            self._complete(None)
        finally:
            self._request.close()

    async def _receive_through(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._left = True

        return message

    async def _send_through(self, message: Message) -> None:
        kind = message["type"]
        final = False
        if kind == "http.response.body":
            body = message.get("body")
            if body:
                self._sent += len(body)  # type: ignore[arg-type]

            final = not self._trailers and not message.get("more_body", False)
        elif kind == "http.response.start":
            self._status = message["status"]  # type: ignore[assignment]
            self._trailers = bool(message.get("trailers", False))
            if self._plan.send_headers:
                add_headers(self._plan, self._request, message)
        elif kind == "http.response.trailers":
            final = not message.get("more_trailers", False)
        elif kind == "http.response.pathsend":
            final = True

        await self._send(message)
        if final and self._status < _FAILED:
            self._complete(None)

    def _complete(self, error: BaseException | None) -> None:
        if not self._request.completed:
            self._request.complete(
                self._route_of(self._scope, self._base),
                self._status or (CLIENT_CLOSED if self._left else _FAILED),
                error,
                request_bytes=self._length,
                response_bytes=self._sent,
                client=self._client,
            )
