"""One websocket connection over ASGI: ids, span and one access line at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.adapters._asgi_messages import add_headers
from svcready.adapters._lifecycle import CLIENT_CLOSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.adapters._asgi_messages import ASGIApp, Message, Receive, Scope, Send
    from svcready.adapters._lifecycle import Request
    from svcready.adapters._plan import RequestPlan

__all__ = ["WebsocketExchange"]

_OPENED = 101
_REFUSED = 403
_FAILED = 500


class WebsocketExchange:
    """
    Stands between server and application for one websocket connection.

    The connection counts as a request that lasts as long as it is open, with the
    status of its handshake: 101 accepted, 403 closed before it was accepted. It is
    left out of the HTTP duration metric, whose buckets mean requests.

    Args:
        plan: What the connection began with.
        request: The handshake's request, in flight.
        route_of: Tells the route's template once routing is done.
        client: The client's address.
    """

    __slots__ = ("_client", "_plan", "_request", "_route_of", "_send", "_status")

    def __init__(
        self,
        plan: RequestPlan,
        request: Request,
        route_of: Callable[[], str | None],
        client: str | None,
    ) -> None:
        self._plan = plan
        self._request = request
        self._route_of = route_of
        self._client = client
        self._status = 0

    async def serve(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run the application; whatever it raises goes on to the server."""
        self._send = send
        failure: BaseException | None = None
        try:
            await app(scope, receive, self._send_through)
        except BaseException as error:
            failure = error
            if not self._status and isinstance(error, Exception):
                self._status = _FAILED

            raise
        finally:
            self._request.complete(
                self._route_of(),
                self._status or CLIENT_CLOSED,
                failure,
                client=self._client,
            )
            self._request.close()

    async def _send_through(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            self._status = _OPENED
            if self._plan.send_headers:
                add_headers(self._plan, self._request, message)
        elif kind == "websocket.http.response.start":
            self._status = message["status"]  # type: ignore[assignment]
        elif kind == "websocket.close":
            self._status = self._status or _REFUSED

        await self._send(message)
