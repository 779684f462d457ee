"""One websocket connection over ASGI: ids, span and one access line at its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from svcready.adapters._asgi_messages import add_headers, describe, read_headers
from svcready.adapters._lifecycle import CLIENT_CLOSED, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.adapters._asgi_messages import ASGIApp, Message, Receive, Scope, Send
    from svcready.adapters._plan import RequestPlan

__all__ = ["WebsocketExchange"]

_OPENED = 101
_REFUSED = 403
_FAILED = 500
_RESTART = 1012
"""The close code for a service that restarts (IANA): clients may come back."""


class WebsocketExchange(Request):
    """
    Stands between server and application for one websocket connection.

    The connection counts as a request that lasts as long as it is open, with the
    status of its handshake: 101 accepted, 403 closed before it was accepted. It is
    left out of the HTTP duration metric, whose buckets mean requests.

    Args:
        plan: What the connection begins with.
        scope: The connection's scope.
        base: The root path that it had on arrival.
        send: The server's.
        route_of: Tells the route's template from scope and base once routing is done.
    """

    __slots__ = ("_base", "_leaves", "_loop", "_route_of", "_scope", "_send", "_task")

    def __init__(
        self,
        plan: RequestPlan,
        scope: Scope,
        base: str,
        send: Send,
        route_of: Callable[[Scope, str], str | None],
    ) -> None:
        self._scope = scope
        self._base = base
        self._send = send
        self._route_of = route_of
        self._loop = asyncio.get_running_loop()
        self._leaves = False
        self._task: asyncio.Task[None] | None = None
        path: str = scope["path"]  # type: ignore[assignment]
        scheme: str = scope.get("scheme", "http")  # type: ignore[assignment]
        headers, _, client = read_headers(plan, scope)
        inbound = headers, None, client
        self.begin(plan, "GET", path, scheme, inbound, counted=False)
        self.admitted, self.streamed = [], True  # no admission is asked of it
        self.rejected = 0

    def describe(self) -> Mapping[str, str | int]:
        """Return the start attributes of the span."""
        return describe(self.plan, self._scope, self.client)

    async def serve(self, app: ASGIApp, receive: Receive) -> None:
        """Run the application; whatever it raises goes on to the server."""
        failure: BaseException | None = None
        try:
            await app(self._scope, receive, self._send_through)
        except BaseException as error:
            failure = error
            if not self.status and isinstance(error, Exception):
                self.status = _FAILED

            raise
        finally:
            status = self.status or CLIENT_CLOSED
            route = self._route_of(self._scope, self._base)
            self.complete(route, status, failure, None)
            self.close()

    @property
    def go_away(self) -> Callable[[], None]:
        """Closes the connection, so that the client comes back to another instance."""
        return self._go_away

    def _go_away(self) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        if not self._leaves and not self.completed:
            self._leaves = True
            if self.status == _OPENED:  # else it leaves once it is accepted
                self._task = self._loop.create_task(self._close())

    async def _close(self) -> None:
        closing = {"type": "websocket.close", "code": _RESTART, "reason": "restart"}
        with suppress(Exception):  # the client was faster
            await self._send(closing)

    async def _send_through(self, message: Message) -> None:
        kind = message["type"]
        if self._task is not None:
            if kind == "websocket.close":
                return  # it is closed

            msg = "the websocket was closed, because the service restarts"
            raise ConnectionAbortedError(msg)  # as ASGI has it for one that is closed

        if kind == "websocket.accept":
            self.status = _OPENED
            if self.plan.adds_headers:
                add_headers(self, message)
        elif kind == "websocket.http.response.start":
            self.status = message["status"]  # type: ignore[assignment]
        elif kind == "websocket.close":
            self._leaves = True
            self.status = self.status or _REFUSED

        await self._send(message)
        if kind == "websocket.accept" and self._leaves:
            self._task = self._loop.create_task(self._close())
