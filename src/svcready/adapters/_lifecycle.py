"""The request lifecycle: what happens to every request, whatever the framework."""

from __future__ import annotations

import re
from random import getrandbits
from typing import TYPE_CHECKING

from svcready._core.context import ContextRecord, activate, deactivate
from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token

    from svcready._runtime import Serving
    from svcready.admin import OpsSurface
    from svcready.logging._access import AccessLog
    from svcready.metrics._http import Duration, HttpMetrics
    from svcready.tracing._server import ServerTrace, ServerTracer

__all__ = ["CLIENT_CLOSED", "UNMATCHED", "Headers", "Request", "RequestPlan"]

UNMATCHED = "__unmatched__"
"""The route of every request that no route matched: one value, one series."""

CLIENT_CLOSED = 499
"""The status of a request whose client left before the response began."""

_OTHER_METHOD = "_OTHER"
_METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS")
    + ("PATCH", "POST", "PUT", "QUERY", "TRACE")
)
_MAX_KEPT = 4096
_valid_id = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/+=@~-]{0,127}").fullmatch


class Headers:
    """
    The inbound headers that matter, filled by an adapter in one pass.

    A header that came twice counts as absent where a second value makes it invalid
    (`traceparent`); the adapters see to that.
    """

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


class RequestPlan:
    """
    Everything that requests need, taken once: direct references, no look-ups.

    A wrapper holds one plan in its cell; a change of configuration replaces the plan,
    and a request in flight ends on the plan that it began with.

    Args:
        now: A monotonic clock, in seconds.
        tracer: Begins server spans.
        access: Writes access lines; None if they are switched off.
        log_error: Writes the one line of an error that no handler caught.
        metrics: Gives the kept children of the HTTP metrics; None if switched off.
        ops: Answers the operator's paths.
        serving: Who is told when the service serves, is ready, and stops.
        redact_query: Hides secrets in a query string.
        request_id_header: Its name, as a client sends it.
        correlation_id_header: Its name, as a client sends it.
        send_headers: Whether responses carry our ids.
        trusted_hops: How many proxies in front of us write X-Forwarded-For.
    """

    __slots__ = (
        "_children",
        "_hops",
        "_request_id_name",
        "access",
        "log_error",
        "metrics",
        "now",
        "ops",
        "redact_query",
        "request_id_header",
        "send_headers",
        "serving",
        "tracer",
        "wanted",
        "wanted_environ",
    )

    def __init__(  # noqa: PLR0913 - the plan is the list of what a request needs
        self,
        *,
        now: Callable[[], float],
        tracer: ServerTracer,
        access: AccessLog | None,
        log_error: Callable[[BaseException], None],
        metrics: HttpMetrics | None,
        ops: OpsSurface,
        serving: Serving,
        redact_query: Callable[[str], str],
        request_id_header: str,
        correlation_id_header: str,
        send_headers: bool,
        trusted_hops: int,
    ) -> None:
        self.now = now
        self.tracer = tracer
        self.access = access
        self.log_error = log_error
        self.metrics = metrics
        self.ops = ops
        self.serving = serving
        self.redact_query = redact_query
        self.request_id_header = request_id_header
        self.send_headers = send_headers
        self._hops = trusted_hops
        self._request_id_name = request_id_header.lower().encode("latin-1")
        self._children: dict[tuple[str, str, int], Duration] = {}
        slots = {
            "traceparent": "traceparent",
            "tracestate": "tracestate",
            "x-amzn-trace-id": "xray",
            "baggage": "baggage",
            "content-length": "length",
            correlation_id_header.lower(): "correlation_id",
            request_id_header.lower(): "request_id",
        }
        if trusted_hops:
            slots["x-forwarded-for"] = "forwarded"

        self.wanted = {name.encode("latin-1"): slot for name, slot in slots.items()}
        """ASGI header name to the slot that takes its value."""
        self.wanted_environ = tuple(
            (_environ_name(name), slot) for name, slot in slots.items()
        )
        """WSGI environ key and the slot that takes its value."""

    def client_of(self, peer: str | None, forwarded: str | None) -> str | None:
        """
        Return the client's address.

        Args:
            peer: The address at the other end of the connection.
            forwarded: X-Forwarded-For, if proxies are trusted: each of them appended
                the address that it saw, so the client is as many from the right.
        """
        if not self._hops or not forwarded:
            return peer

        seen = [part.strip() for part in forwarded.split(",")]
        return seen[-self._hops] if len(seen) >= self._hops else seen[0]

    def response_headers(self, request: Request) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers that tell the caller our ids, as ASGI spells them."""
        name, value = request.trace.response_header
        return (
            (self._request_id_name, request.request_id.encode("latin-1")),
            (name.encode("latin-1"), value.encode("latin-1")),
        )

    def begin(
        self,
        method: str,
        path: str,
        headers: Headers,
        describe: Callable[[], Mapping[str, str | int]],
        *,
        counted: bool = True,
    ) -> Request | None:
        """
        Give the request its ids, span and context.

        Args:
            method: The request's method.
            path: Its raw path, for the sampling rules.
            headers: What came in.
            describe: Makes the start attributes of the span; called only if the
                request is sampled.
            counted: Whether it counts in the HTTP metrics (a websocket does not).

        Returns:
            The request in flight, to be ended by `Request.close`; None after a fault
            of ours, which is reported while the application goes on without us.
        """
        try:
            return Request(self, method, path, headers, describe, counted=counted)
        except Exception as error:  # noqa: BLE001 - the application goes on
            report_fault("http.begin", error)
            return None

    def duration(self, method: str, route: str, status: int) -> Duration | None:
        """Return the kept child that takes this response's duration."""
        key = (method, route, status)
        child = self._children.get(key)
        if child is None and self.metrics is not None:
            child = self.metrics.children(method, route, status)
            if len(self._children) < _MAX_KEPT:
                self._children[key] = child

        return child


class Request:
    """
    One request in flight.

    `complete` is said once the response has left, `close` when the application's
    call has returned, in whatever way; between the two, background tasks still log
    with the request's ids.
    """

    __slots__ = (
        "_counted",
        "_plan",
        "_token",
        "completed",
        "correlation_id",
        "method",
        "request_id",
        "started_s",
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
        counted: bool,
    ) -> None:
        self._plan = plan
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
        self.trace: ServerTrace = plan.tracer.begin(
            method,
            path,
            headers.traceparent,
            headers.tracestate,
            headers.xray,
            headers.baggage,
            describe,
        )
        trace = self.trace
        trace.activate()
        self._token: Token[ContextRecord | None] = activate(
            ContextRecord(
                request_id,
                correlation_id,
                trace.trace_id,
                trace.span_id,
                trace.sampled,
            )
        )
        self._counted = counted and plan.metrics is not None
        if self._counted:
            plan.metrics.active(method).inc()  # type: ignore[union-attr]

        self.started_s = plan.now()

    def complete(
        self,
        route: str | None,
        status: int,
        error: BaseException | None = None,
        *,
        request_bytes: int | None = None,
        response_bytes: int | None = None,
        client: str | None = None,
        ended_s: float | None = None,
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
            ended_s: When the response ended, on the plan's clock; now if None.
        """
        if self.completed:
            return

        self.completed = True
        plan = self._plan
        name = route or UNMATCHED
        try:
            duration_s = (plan.now() if ended_s is None else ended_s) - self.started_s
            if self._counted:
                plan.metrics.active(self.method).dec()  # type: ignore[union-attr]
                child = plan.duration(self.method, name, status)
                child.observe(duration_s)  # type: ignore[union-attr]

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


def _environ_name(header: str) -> str:
    name = header.upper().replace("-", "_")
    return name if name == "CONTENT_LENGTH" else f"HTTP_{name}"
