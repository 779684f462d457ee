"""The peer stack's access line for ASGI: a pure middleware, and the usual function."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from asgi_correlation_id import correlation_id

from benchmarks.subjects.peer_stack import trace_fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import Request, Response

    from benchmarks.drivers import AsgiApp, Message, Receive, Send


class AccessLine:
    """Pure ASGI middleware that writes one JSON line per request."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app
        self._log = logging.getLogger("access")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Time one request and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        status: object = 500
        started = time.perf_counter()

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

            await send(message)

        try:
            await self._app(scope, receive, observe)
        finally:
            route = scope.get("route")
            self._log.info(
                "request",
                extra={
                    "method": scope["method"],
                    "route": getattr(route, "path", ""),
                    "status": status,
                    "duration_ms": (time.perf_counter() - started) * 1e3,
                    "request_id": correlation_id.get(),
                    **trace_fields(),
                },
            )


def usual_access_line() -> Callable[
    [Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]
]:
    """Return the function that tutorials register with `@app.middleware`."""
    log = logging.getLogger("access")

    async def log_request(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        started = time.perf_counter()
        response = await call_next(request)
        log.info(
            "request",
            extra={
                "method": request.method,
                "path": request.url.path,
                "status": response.status_code,
                "duration_ms": (time.perf_counter() - started) * 1e3,
                "request_id": correlation_id.get(),
                **trace_fields(),
            },
        )
        return response

    return log_request
