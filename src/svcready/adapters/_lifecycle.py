"""The request lifecycle: what happens to every request, whatever the framework."""

from __future__ import annotations

import re
from random import getrandbits
from typing import TYPE_CHECKING

from svcready._core.context import activate, begun, deactivate
from svcready._core.guard import report_fault
from svcready._core.http import METHODS as _METHODS
from svcready._core.http import OTHER_VALUE as _OTHER_METHOD
from svcready._core.http import UNMATCHED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token

    from svcready._core.context import ContextRecord
    from svcready.adapters._plan import RequestPlan
    from svcready.metrics._http import Level
    from svcready.tracing._server import ServerTrace

__all__ = ["CLIENT_CLOSED", "NO_HEADERS", "UNMATCHED", "Headers", "Request"]

CLIENT_CLOSED = 499
"""The status of a request whose client left before the response began."""

_valid_id = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/+=@~-]{0,127}").fullmatch


class Headers:
    """The inbound headers that matter; an adapter fills them in one pass."""

    __slots__ = (
        "baggage",
        "correlation_id",
        "request_id",
        "traceparent",
        "tracestate",
        "xray",
    )

    def __init__(self) -> None:
        self.request_id: str | None = None
        self.correlation_id: str | None = None
        self.traceparent: str | None = None
        self.tracestate: str | None = None
        self.xray: str | None = None
        self.baggage: str | None = None


NO_HEADERS = Headers()
"""Of a request that brought none of them; never filled."""


class Request:
    """
    One request in flight.

    `complete` is said once the response has left, `close` when the application's
    call has returned, in whatever way; between the two, background tasks still log
    with the request's ids.

    Args:
        plan: What it begins and ends on.
        method: The request's method.
        path: Its raw path.
        headers: What came in; malformed ids are replaced by new ones.
        describe: Makes the start attributes of the span, if it is sampled.
        scheme: `http` or `https`.
        counted: Whether it counts in the HTTP metrics.
    """

    __slots__ = (
        "_level",
        "_plan",
        "_scheme",
        "_started_s",
        "_token",
        "completed",
        "correlation_id",
        "method",
        "request_id",
        "trace",
    )

    def __init__(
        self,
        plan: RequestPlan,
        method: str,
        path: str,
        headers: Headers,
        describe: Callable[[], Mapping[str, str | int]],
        *,
        scheme: str,
        counted: bool,
    ) -> None:
        self._plan = plan
        self._scheme = scheme
        self.method = method = method if method in _METHODS else _OTHER_METHOD
        request_id = headers.request_id
        if request_id is None or not _valid_id(request_id):
            request_id = f"{getrandbits(128):032x}"

        correlation_id = headers.correlation_id
        if correlation_id is None or not _valid_id(correlation_id):
            correlation_id = request_id

        self.request_id = request_id
        self.correlation_id = correlation_id
        self.completed = False
        trace: ServerTrace = plan.tracer.begin(
            method,
            path,
            headers.traceparent,
            headers.tracestate,
            headers.xray,
            headers.baggage,
            describe,
        )
        self.trace = trace
        trace.activate()
        self._token: Token[ContextRecord | None] = activate(
            begun(
                request_id,
                correlation_id,
                trace.trace_id,
                trace.span_id,
                trace.sampled,
            )
        )
        level: Level | None = None
        if counted:
            level = plan.levels.get((method, scheme)) or plan.level(method, scheme)
            if level is not None:
                level.inc()

        self._level = level

        self._started_s = plan.now()

    def complete(
        self,
        route: str | None,
        status: int,
        error: BaseException | None = None,
        *,
        request_bytes: int | None = None,
        response_bytes: int | None = None,
        client: str | None = None,
    ) -> None:
        """
        Record the response: metrics, the access line, the span's end.

        Args:
            route: The route's template; None if no route matched.
            status: The status that the client saw, or 499 if it left before.
            error: What the application raised, if it did.
            request_bytes: The request's declared length.
            response_bytes: What was sent of the body.
            client: The client's address.
        """
        if self.completed:
            return

        self.completed = True
        plan = self._plan
        name = route or UNMATCHED
        try:
            duration_s = plan.now() - self._started_s
            if self._level is not None:
                self._level.dec()
                kind = None if error is None else type(error).__qualname__
                key = (self.method, name, status, self._scheme, kind)
                recorder = plan.recorders.get(key) or plan.recorder(*key)
                if recorder is not None:
                    recorder.observe(duration_s)

            if isinstance(error, Exception):
                plan.log_error(error)

            if plan.access is not None:
                plan.access.write(
                    self.method,
                    name,
                    status,
                    duration_s,
                    request_bytes,
                    response_bytes,
                    client,
                )
        except Exception as fault:  # noqa: BLE001 - the response is on its way
            report_fault("http.complete", fault)

        try:
            self.trace.end(route, status, error)
        except Exception as fault:  # noqa: BLE001
            report_fault("http.complete", fault)

    def close(self) -> None:
        """Put back the context in which the request came."""
        deactivate(self._token)
        try:
            self.trace.deactivate()
        except Exception as fault:  # noqa: BLE001
            report_fault("http.close", fault)

        if self._plan.serving.draining:
            self._plan.serving.ended()
