"""The ASGI wrapper: the request lifecycle around any ASGI 3 application."""

from __future__ import annotations

import asyncio
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready._runtime import PlanCell, note_bare
from svcready.adapters._admission import BARE
from svcready.adapters._asgi_http import HttpExchange
from svcready.adapters._asgi_messages import CLOSE, below, header_reader, may_close
from svcready.adapters._asgi_websocket import WebsocketExchange
from svcready.adapters._own_thread import answer_off_loop
from svcready.adapters._plan import build_plan, take_plan
from svcready.admin import MOST_BODY_BYTES, READING, OpsRequest
from svcready.resilience._answered import ANSWERED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.adapters._admission import Ahead
    from svcready.adapters._asgi_messages import (
        ASGIApp,
        Message,
        Pairs,
        Receive,
        Scope,
        Send,
    )
    from svcready.adapters._plan import RequestPlan
    from svcready.admin import OpsResponse

__all__ = ["ASGIWrapper", "wrap"]

_MAX_KEPT = 64
_MARK = "svcready"
"""Set in the scope, so that a wrapped application inside another stays quiet."""


def _no_route(scope: Scope, base: str) -> str | None:
    """Know no routes: a bare callable declares none."""
    del scope, base
    return None


def _no_own_path(path: str) -> bool:
    """Own no path: a bare callable declares none."""
    del path
    return False


class ASGIWrapper:
    """
    Puts the request lifecycle around an ASGI application, as the outermost layer.

    Nothing of a request is kept on the wrapper. Before `init()` it passes everything
    through.

    Args:
        app: The application.
        route_of: Tells the template of the route that was taken, from the scope as
            routing left it and the root path it had on arrival.
        is_own_path: Tells whether the application itself defines a path, which then
            stays its own.
        marks: What else to set in the scope, for the framework to see.
        ahead: What limits ask of the framework before it has routed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        route_of: Callable[[Scope, str], str | None] = _no_route,
        is_own_path: Callable[[str], bool] = _no_own_path,
        marks: Mapping[str, object] | None = None,
        ahead: Ahead[Scope] = BARE,
    ) -> None:
        self._app = app
        self._route_of = route_of
        self._is_own_path = is_own_path
        self._ahead = ahead
        self._marks = {_MARK: True, **(marks or {})}
        self._cell: PlanCell[RequestPlan] = PlanCell(build_plan)
        if ahead.route is None:
            note_bare(self._cell)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the lifespan."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
            return

        plan = self._cell.plan
        if plan is None:  # the first request; a lifespan may not have come before
            plan = take_plan(self._cell, asyncio.get_running_loop(), self._is_own_path)

        if plan is None or _MARK in scope or kind not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        base: str = scope.get("root_path") or ""  # type: ignore[assignment]
        inner = below(scope)
        is_http = kind == "http"
        if is_http and inner in plan.ops.routes and not self._is_own_path(inner):
            await _answer_operator(plan, inner, scope, receive, send)
            return

        scope.update(self._marks)
        if not is_http:
            await self._websocket(plan, base, scope, receive, send)
            return

        try:
            exchange = HttpExchange(
                plan, scope, base, receive, send, self._route_of, self._ahead
            )
        except Exception as error:  # noqa: BLE001 - the application goes on
            report_fault("http.begin", error)
            await self._app(scope, receive, send)
            return

        try:
            try:
                await (
                    self._app(scope, exchange.receive, exchange.send)
                    if plan.admission is None
                    else exchange.admit(plan.admission, self._app)
                )
            except ANSWERED as error:
                await exchange.answer(error)
        except BaseException as error:
            exchange.fail(error)
            raise
        else:
            if not exchange.completed:
                exchange.finish(None)
        finally:
            exchange.close()

    async def _websocket(
        self, plan: RequestPlan, base: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            exchange = WebsocketExchange(plan, scope, base, send, self._route_of)
        except Exception as error:  # noqa: BLE001 - the application goes on
            report_fault("http.begin", error)
            await self._app(scope, receive, send)
        else:
            await exchange.serve(self._app, receive)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        plan = self._cell.plan or self._cell.take()
        if plan is None or _MARK in scope:
            await self._app(scope, receive, send)
            return

        scope[_MARK] = True
        plan.serving.starting()
        plan.serving.begun(asyncio.get_running_loop())

        async def send_through(message: Message) -> None:
            kind = str(message["type"])
            if kind == "lifespan.startup.complete":
                plan.make_ready(self._is_own_path)
            elif kind.startswith("lifespan.shutdown."):
                # No request is left, and the server may end the process by a signal
                # that skips atexit: this is the last sure moment to flush.
                plan.serving.stopping()

            await send(message)

        await self._app(scope, receive, send_through)


def wrap(
    app: ASGIApp, *, route_of: Callable[[Scope, str], str | None] = _no_route
) -> ASGIWrapper:
    """
    Put the request lifecycle around a bare ASGI application.

    Args:
        app: The application.
        route_of: Tells the template of the route that was taken, from the scope and
            the root path it had on arrival; without it every route is unmatched.

    Returns:
        The application to give to the server.
    """
    return ASGIWrapper(app, route_of=route_of)


async def _answer_operator(
    plan: RequestPlan, path: str, scope: Scope, receive: Receive, send: Send
) -> None:
    method: str = scope["method"]  # type: ignore[assignment]
    bare = plan.ops.bare.get(path)
    shows = path in plan.ops.gated and _shows_credentials(scope)
    if bare is None or shows or method not in READING:
        response = await _ask_operator(plan, path, scope, receive, shows=shows)
    else:
        response = bare()

    status, pairs, body = response
    headers = [*_encoded(pairs, len(body))]
    if plan.serving.draining and may_close(scope):
        headers.append(CLOSE)

    await send({"type": "http.response.start", "status": status, "headers": headers})
    sent = b"" if method == "HEAD" else body
    await send({"type": "http.response.body", "body": sent})


async def _ask_operator(
    plan: RequestPlan, path: str, scope: Scope, receive: Receive, *, shows: bool
) -> OpsResponse:
    method: str = scope["method"]  # type: ignore[assignment]
    query: bytes = scope.get("query_string") or b""  # type: ignore[assignment]
    client: tuple[str, int] | None = scope.get("client")  # type: ignore[assignment]
    request = OpsRequest(
        method,
        path,
        query.decode("latin-1") if query else "",
        header_reader(scope),
        client[0] if client else None,
        await _read_body(receive) if plan.ops.takes_body(method, path) else b"",
    )
    if path in plan.ops.slow or path in plan.ops.slow_if_shown:
        answer = partial(plan.ops.answer, request)
        return await answer_off_loop(plan.ops, method, path, answer, shows=shows)

    return plan.ops.answer(request)


def _shows_credentials(scope: Scope) -> bool:
    pairs: Pairs = scope["headers"]  # type: ignore[assignment]
    for pair in pairs:  # noqa: SIM110 - a generator would cost a third of a probe
        if pair[0] == b"authorization":
            return True

    return False


async def _read_body(receive: Receive) -> bytes | None:
    """Return a request's body; None if it is too long, empty if the client left."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""

        body += message.get("body") or b""  # type: ignore[operator]
        if len(body) > MOST_BODY_BYTES:
            return None

        if not message.get("more_body", False):
            return body


@lru_cache(_MAX_KEPT)
def _encoded(
    headers: tuple[tuple[str, str], ...], length: int
) -> tuple[tuple[bytes, bytes], ...]:
    """Return an answer's headers as ASGI spells them; probes have few kinds."""
    pairs = (*headers, ("content-length", str(length)))
    return tuple((k.encode("latin-1"), v.encode("latin-1")) for k, v in pairs)
