"""The ASGI wrapper: the request lifecycle around any ASGI 3 application."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready._runtime import PlanCell
from svcready.adapters._lifecycle import CLIENT_CLOSED, Headers
from svcready.adapters._plan import build_plan
from svcready.admin import OpsRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from svcready.adapters._lifecycle import Request, RequestPlan

    Scope = MutableMapping[str, object]
    Message = MutableMapping[str, object]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
    Pairs = list[tuple[bytes, bytes]]

__all__ = ["ASGIWrapper", "wrap"]

_MARK = "svcready"
"""Set in the scope, so that a wrapped application inside another stays quiet."""

_OPEN_STATUS = 101
_REFUSED_STATUS = 403
_FAILED = 500
_LISTS = ("tracestate", "baggage")
_LEFT = "ClientDisconnect"


def _no_route(scope: Scope, base: str) -> str | None:
    """Know no routes: a bare callable declares none."""
    del scope, base
    return None


def _no_own_path(path: str) -> bool:
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
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        route_of: Callable[[Scope, str], str | None] = _no_route,
        is_own_path: Callable[[str], bool] = _no_own_path,
        marks: Mapping[str, object] | None = None,
    ) -> None:
        self._app = app
        self._route_of = route_of
        self._is_own_path = is_own_path
        self._marks = {_MARK: True, **(marks or {})}
        self._cell: PlanCell[RequestPlan] = PlanCell(build_plan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection or the lifespan."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
            return

        plan = self._cell.plan or self._take()
        if plan is None or _MARK in scope or kind not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        path: str = scope["path"]  # type: ignore[assignment]
        base: str = scope.get("root_path") or ""  # type: ignore[assignment]
        if base and path.startswith(base):
            path = path[len(base) :]

        if kind == "websocket":
            scope.update(self._marks)
            await self._websocket(plan, base, scope, receive, send)
        elif path in plan.ops.routes and not self._is_own_path(path):
            await _answer_operator(plan, path, scope, send)
        else:
            scope.update(self._marks)
            await self._http(plan, base, scope, receive, send)

    def _take(self) -> RequestPlan | None:
        """Get the plan for the first request; a lifespan may not have come before."""
        plan = self._cell.take()
        if plan is not None:
            plan.serving.begun(asyncio.get_running_loop())
            plan.serving.ready()

        return plan

    async def _http(
        self,
        plan: RequestPlan,
        base: str,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        headers, length, client = _read_headers(plan, scope)
        request = plan.begin(
            scope["method"],  # type: ignore[arg-type]
            scope["path"],  # type: ignore[arg-type]
            headers,
            lambda: _describe(plan, scope, client),
        )
        if request is None:
            await self._app(scope, receive, send)
            return

        status = 0
        sent = 0
        trailers = False
        left = False

        def complete(error: BaseException | None, ended_s: float | None) -> None:
            request.complete(
                self._route_of(scope, base),
                status or (CLIENT_CLOSED if left else _FAILED),
                error,
                request_bytes=length,
                response_bytes=sent,
                client=client,
                ended_s=ended_s,
            )

        async def receive_through() -> Message:
            nonlocal left
            message = await receive()
            if message["type"] == "http.disconnect":
                left = True

            return message

        async def send_through(message: Message) -> None:
            nonlocal status, sent, trailers
            kind = message["type"]
            final = False
            if kind == "http.response.body":
                body = message.get("body")
                if body:
                    sent += len(body)  # type: ignore[arg-type]

                final = not trailers and not message.get("more_body", False)
            elif kind == "http.response.start":
                status = message["status"]  # type: ignore[assignment]
                trailers = bool(message.get("trailers", False))
                if plan.send_headers:
                    _add_headers(plan, request, message)
            elif kind == "http.response.trailers":
                final = not message.get("more_trailers", False)
            elif kind == "http.response.pathsend":
                final = True

            await send(message)
            # A failed request is completed when its error has reached us.
            if final and status < _FAILED:
                complete(None, None)

        try:
            await self._app(scope, receive_through, send_through)
        except Exception as error:
            if type(error).__name__ == _LEFT:
                left = True
                complete(None, None)
            elif request.completed:
                plan.log_error(error)
            else:
                complete(error, None)

            raise
        except BaseException as error:
            left = True
            complete(error, None)
            raise
        else:
            complete(None, None)
        finally:
            request.close()

    async def _websocket(
        self,
        plan: RequestPlan,
        base: str,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        headers, _, client = _read_headers(plan, scope)
        request = plan.begin(
            "GET",  # RFC 6455: the opening handshake is a GET
            scope["path"],  # type: ignore[arg-type]
            headers,
            lambda: _describe(plan, scope, client),
            counted=False,
        )
        if request is None:
            await self._app(scope, receive, send)
            return

        status = 0

        async def send_through(message: Message) -> None:
            nonlocal status
            kind = message["type"]
            if kind == "websocket.accept":
                status = _OPEN_STATUS
                if plan.send_headers:
                    _add_headers(plan, request, message)
            elif kind == "websocket.http.response.start":
                status = message["status"]  # type: ignore[assignment]
            elif kind == "websocket.close":
                status = status or _REFUSED_STATUS

            await send(message)

        failure: BaseException | None = None
        try:
            await self._app(scope, receive, send_through)
        except BaseException as error:
            failure = error
            raise
        finally:
            if failure is not None and not status:
                status = _FAILED if isinstance(failure, Exception) else CLIENT_CLOSED

            request.complete(
                self._route_of(scope, base),
                status or CLIENT_CLOSED,
                failure,
                client=client,
            )
            request.close()

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        plan = self._cell.plan or self._cell.take()
        if plan is None or _MARK in scope:
            await self._app(scope, receive, send)
            return

        scope[_MARK] = True
        plan.serving.begun(asyncio.get_running_loop())

        async def send_through(message: Message) -> None:
            kind = str(message["type"])
            if kind == "lifespan.startup.complete":
                plan.serving.ready()
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


def _read_headers(
    plan: RequestPlan, scope: Scope
) -> tuple[Headers, int | None, str | None]:
    headers = Headers()
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
            length = int(text) if text.isdecimal() and len(text) < 20 else None  # noqa: PLR2004
        elif slot == "forwarded":
            forwarded = text if forwarded is None else f"{forwarded},{text}"
        else:
            before = getattr(headers, slot)
            if before is not None:  # two lists are one; two of the others are none
                text = f"{before},{text}" if slot in _LISTS else ""

            setattr(headers, slot, text)

    peer: tuple[str, int] | None = scope.get("client")  # type: ignore[assignment]
    client = plan.client_of(peer[0] if peer else None, forwarded)
    return headers, length, client


def _add_headers(plan: RequestPlan, request: Request, message: Message) -> None:
    try:
        present: Pairs = message.get("headers") or []  # type: ignore[assignment]
        ours = plan.response_headers(request)
        names = {name.lower() for name, _ in present} if present else ()
        message["headers"] = [
            *present,
            *(pair for pair in ours if pair[0] not in names),
        ]
    except Exception as error:  # noqa: BLE001 - the response goes out without them
        report_fault("http.headers", error)


def _describe(
    plan: RequestPlan, scope: Scope, client: str | None
) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "url.path": str(scope["path"]),
        "url.scheme": str(scope.get("scheme") or "http"),
    }
    query: bytes = scope.get("query_string") or b""  # type: ignore[assignment]
    if query:
        attributes["url.query"] = plan.redact_query(query.decode("latin-1"))

    server: tuple[str, int | None] | None = scope.get("server")  # type: ignore[assignment]
    if server:
        attributes["server.address"] = server[0]
        if server[1] is not None:
            attributes["server.port"] = server[1]

    if client:
        attributes["client.address"] = client

    attributes["network.protocol.version"] = str(scope.get("http_version") or "1.1")
    pairs: Pairs = scope["headers"]  # type: ignore[assignment]
    for name, value in pairs:
        if name == b"user-agent":
            attributes["user_agent.original"] = value.decode("latin-1")

    return attributes


async def _answer_operator(
    plan: RequestPlan, path: str, scope: Scope, send: Send
) -> None:
    def header(name: str) -> str | None:
        wanted = name.lower().encode("latin-1")
        pairs: Pairs = scope["headers"]  # type: ignore[assignment]
        values = [value.decode("latin-1") for key, value in pairs if key == wanted]
        return ", ".join(values) if values else None

    peer: tuple[str, int] | None = scope.get("client")  # type: ignore[assignment]
    method = str(scope["method"])
    query: bytes = scope.get("query_string") or b""  # type: ignore[assignment]
    request = OpsRequest(
        method, path, query.decode("latin-1"), header, peer[0] if peer else None
    )
    if path in plan.ops.slow:
        response = await asyncio.to_thread(plan.ops.answer, request)
    else:
        response = plan.ops.answer(request)

    headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in response.headers]
    headers.append((b"content-length", b"%d" % len(response.body)))
    await send(
        {"type": "http.response.start", "status": response.status, "headers": headers}
    )
    body = b"" if method == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})
