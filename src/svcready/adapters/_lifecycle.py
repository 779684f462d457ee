"""The request lifecycle: what happens to every request, whatever the framework."""

from __future__ import annotations

import re
from random import getrandbits
from typing import TYPE_CHECKING

from svcready._core.context import (
    NO_FIELDS,
    activate,
    bind,
    deactivate,
    new_record,
)
from svcready._core.guard import report_fault
from svcready._core.http import METHODS, OTHER_VALUE, UNMATCHED
from svcready._core.type_names import type_name
from svcready.adapters._marks import bind_marks
from svcready.errors import DeclarationError
from svcready.resilience._limiting._inbound import INBOUND, leave_all, stream_all
from svcready.tracing._otel import attach, detach

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextvars import Token

    from opentelemetry.context import Context

    from svcready._core.context import ContextRecord
    from svcready.adapters._admission import Taken
    from svcready.adapters._inbound import Headers
    from svcready.adapters._plan import Key, RequestPlan
    from svcready.metrics._http import Level
    from svcready.resilience._limiting._inbound import Admitted, Owed
    from svcready.tracing._server import ServerTrace

__all__ = [
    "CLIENT_CLOSED",
    "UNMATCHED",
    "Request",
]

CLIENT_CLOSED = 499
"""The status of a request whose client left before the response began."""

_LONGEST_PATH = 256
_valid_id = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/+=@~-]{0,127}").fullmatch
_usual_id = re.compile(r"[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}").fullmatch


class Request:
    """
    One request in flight; each kind of adapter has its own kind of it.

    `complete` is said once the response has left, `close` when the application's
    call has returned, in whatever way; between the two, background tasks still log
    with the request's ids.
    """

    __slots__ = (
        "_attached",
        "_length",
        "_level",
        "_path",
        "_scheme",
        "_token",
        "admitted",
        "client",
        "completed",
        "correlation_id",
        "method",
        "owing",
        "plan",
        "refused",
        "rejected",
        "request_id",
        "sent",
        "started_s",
        "status",
        "streamed",
        "taken",
        "trace",
    )

    started_s: float
    """When it began, on the monotonic clock."""
    status: int
    """The response's status; 0 until there is one."""
    sent: int
    """How much of the response's body was sent, in bytes; -1 if that is not known."""
    admitted: list[Admitted]
    """What admitted it; as those below, there where the plan has admissions."""
    refused: bool
    """Whether one of them refused it."""
    rejected: int
    """With which status a policy refused it, wherever it had got to; 0: none did."""
    owing: Owed | None
    """What its answer costs, if nothing asks at its route."""
    taken: tuple[object, Taken] | None
    """The route that it takes, as far as that was looked for, and what that is by."""
    streamed: bool
    """Whether the response's body came in pieces."""

    @property
    def go_away(self) -> Callable[[], None] | None:
        """Tells the client of a websocket to come back elsewhere; None of a request."""
        return None

    def begin(
        self,
        plan: RequestPlan,
        method: str,
        path: str,
        scheme: str,
        inbound: tuple[Headers, int | None, str | None],
        *,
        counted: bool = True,
    ) -> None:
        """
        Give the request its ids, span and context; what a constructor would do.

        Args:
            plan: What it begins and ends on.
            method: The request's method.
            path: Its raw path, for the sampling rules.
            scheme: `http` or `https`, as the server knows it.
            inbound: The headers that matter, of which malformed ids are replaced by
                new ones, the declared length, and the client's address.
            counted: Whether it counts in the HTTP metrics (a websocket does not).
        """
        self.plan = plan
        headers, self._length, self.client = inbound
        self.status, self.completed, self.sent = 0, False, 0
        self._path, self._scheme = path, scheme
        self.method = method = method if method in METHODS else OTHER_VALUE
        request_id = headers.request_id
        if request_id is None or not _is_acceptable(request_id, plan):
            request_id = getrandbits(128).to_bytes(16, "big").hex()

        correlation_id = headers.correlation_id
        if correlation_id is None or not _is_acceptable(correlation_id, plan):
            correlation_id = request_id

        self.request_id, self.correlation_id = request_id, correlation_id
        trace: ServerTrace
        self.trace = trace = plan.tracer.begin(
            method,
            path,
            headers.traceparent,
            headers.tracestate,
            headers.xray,
            headers.baggage,
            self.describe,
            headers.b3,
        )
        self._level: Level | None = None
        if counted:
            level = plan.levels.get((method, scheme)) or plan.level(method, scheme)
            self._level = level
            if level is not None:
                level.inc()

        self._attached: Token[Context] = attach(trace.context)
        values: tuple[object, ...] = (
            request_id,
            correlation_id,
            trace.trace_id,
            trace.span_id,
            trace.sampled,
            NO_FIELDS,
            [],
        )
        self._token: Token[ContextRecord | None] = activate(new_record(values))
        if plan.flights is not None:
            plan.flights.begin(trace.span_id)

        self.started_s = plan.now()
        plan.open_requests.add(self)

    def describe(self) -> Mapping[str, str | int]:
        """Return the start attributes of the span; asked only if it is sampled."""
        return {}

    def complete(
        self,
        route: str | None,
        status: int,
        error: BaseException | None,
        sent: int | None,
    ) -> None:
        """
        Record the response, once: metrics, the access line, the span's end.

        Args:
            route: The route's template; None if no route matched.
            status: The status that the client saw, or 499 if it left before.
            error: What the application raised, if it did.
            sent: How much of the response's body was sent, in bytes; None if that is
                not known.
        """
        if self.completed:
            return

        self.completed = True
        plan = self.plan
        name = route or UNMATCHED
        try:
            duration_s = plan.now() - self.started_s
            if plan.admission is not None:
                leave_all(self, status, error, duration_s)

            if self._level is not None:
                self._level.dec()
                kind = None if error is None else type_name(error)
                key = (self.method, name, status, self._scheme, kind)
                self._measure(key, duration_s, sent)

            if error is not None and isinstance(error, Exception):
                plan.log_error(error)

            if plan.flights is not None:
                trace = self.trace
                plan.flights.end(
                    trace.span_id, status, duration_s, sampled=trace.sampled
                )

            if plan.access is not None:
                if route is None:  # what was asked for is in no template
                    bind(path=plan.redact(self._path)[:_LONGEST_PATH])

                bind_marks(status)
                plan.access.write(
                    self.method,
                    name,
                    status,
                    duration_s,
                    self._length,
                    sent,
                    self.client,
                    refused=self._is_refusal(status),
                )

            if plan.flush is not None:
                plan.flush(self.ids())
        except Exception as fault:  # noqa: BLE001 - the response is on its way
            report_fault("http.complete", fault)

        if self.trace.ends:
            self.trace.end(route, status, error)

    def _is_refusal(self, status: int) -> bool:
        """Tell whether *status* is a policy's answer, not what was made of it."""
        return self.plan.admission is not None and status == self.rejected

    def header(self, name: str) -> str | None:
        """Return a header's value by its name in any case; None without it."""
        raise NotImplementedError

    def template(self) -> str | None:
        """Return the template of the route that it will take; None: of none known."""
        raise NotImplementedError

    def bare_path(self) -> str | None:
        """Return its raw path where nothing declares routes; it may pick a rule."""
        raise NotImplementedError

    def native(self) -> object:
        """Return the framework's own object for it: what resolvers are called with."""
        raise NotImplementedError

    def endpoint(self) -> object:
        """Return the function or class that will serve it; None: not known."""
        raise NotImplementedError

    def wait_for(self, told: Awaitable[object]) -> object:
        """Return the outcome of an awaitable; here is nobody to run it meanwhile."""
        del told
        raise DeclarationError("it is async, and no event loop is free to run it here")

    def refusing(self) -> None:
        """Hear that a limit on a function will refuse it by raising."""

    def stream(self) -> None:
        """Take note that the response comes in pieces; there are admissions."""
        if not self.streamed:
            self.streamed = True
            stream_all(self)

    def ids(self) -> dict[str, str]:
        """Return what finds everything that belongs to the request."""
        return {
            "request_id": self.request_id,
            "correlation_id": self.correlation_id,
            "trace_id": self.trace.trace_id,
        }

    def _measure(self, key: Key, duration_s: float, sent: int | None) -> None:
        plan = self.plan
        recorder = plan.recorders.get(key) or plan.recorder(key)
        if recorder is not None:
            observe_time, observe_size = recorder
            observe_time(duration_s)
            if sent is not None and self.status:  # without one the page is the server's
                observe_size(float(sent))

        received = self._length
        if received is not None:
            receiver = plan.receivers.get(key) or plan.receiver(key)
            if receiver is not None:
                receiver.observe(float(received))

    def close(self) -> None:
        """Put back the context in which the request came."""
        requests = self.plan.open_requests
        requests.discard(self)
        requests.ended = True
        if self.plan.flights is not None:
            self.plan.flights.close(self.trace.span_id)

        if self.plan.admission is not None:
            INBOUND.set(None)

        deactivate(self._token)
        detach(self._attached, self.trace.context)
        if self.plan.serving.draining:
            self.plan.serving.ended()


def _is_acceptable(given: str, plan: RequestPlan) -> bool:
    """Tell whether an inbound id is well formed, and no secret that would be logged."""
    if _usual_id(given):
        return True

    return _valid_id(given) is not None and plan.redact(given) is given
