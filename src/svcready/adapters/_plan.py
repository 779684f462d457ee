"""The request plan: everything that requests need, taken once from the runtime."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from svcready._core.guard import guard
from svcready.adapters._clients import client_reader
from svcready.adapters._inbound import B3_SLOTS, B3Headers, Headers
from svcready.admin import build_surface, security_headers
from svcready.errors import ConfigurationError
from svcready.tracing.propagation._b3 import NAMES as B3_NAMES

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Mapping

    from svcready._runtime import PlanCell, Runtime, Serving
    from svcready._runtime._open_requests import OpenRequests
    from svcready.admin import OpsSurface
    from svcready.logging import AccessLog
    from svcready.logging._recorder import Flights
    from svcready.metrics._http import HttpMetrics, Level, Recorder
    from svcready.resilience._limiting._inbound import Admissions
    from svcready.tracing._server import ServerTracer

    Key = tuple[str, str, int, str, str | None]
    """A response's method, route, status, scheme and error."""
    Observe = Callable[[float], None]

__all__ = ["RequestPlan", "build_plan", "take_plan"]

_beginning = guard("runtime.begin")

_B3 = frozenset(("b3", "b3multi"))
_MAX_KEPT = 4096
_LONGEST_LENGTH = 18
_SLOTS = {
    "traceparent": "traceparent",
    "tracestate": "tracestate",
    "x-amzn-trace-id": "xray",
    "baggage": "baggage",
    "content-length": "length",
}
_B3_SLOTS = {name.lower(): slot for name, slot in zip(B3_NAMES, B3_SLOTS, strict=True)}


class RequestPlan:
    """
    Direct references to what a request needs, so that it looks nothing up.

    A wrapper holds one plan in its cell; a change of configuration replaces the plan,
    and a request in flight ends on the plan that it began with.

    Args:
        now: A monotonic clock, in seconds.
        tracer: Begins server spans.
        access: Writes access lines; None if they are switched off.
        flights: Keeps each request's suppressed lines; None if none are kept.
        log_error: Writes the one line of an error that no handler caught.
        metrics: Gives the kept children of the HTTP metrics; None if switched off.
        flush: Writes metrics when a request ends; None where they go by time.
        ops: Answers the operator's paths.
        serving: Who is told when the service serves, is ready, and stops.
        redact: Hides secrets in a text.
        redact_query: Hides secrets in a query string.
        request_id_header: Its name, as a client sends it.
        correlation_id_header: Its name, as a client sends it.
        send_headers: Whether responses carry our ids.
        added_headers: What else every response carries that has none of its own, in
            lower case.
        open_requests: Takes note of what is in flight.
        trusted_hops: How many proxies in front of us tell whom they saw.
        trusted_header: In which header, in lower case.
        reads_b3: Whether B3 headers say where a trace comes from.
        admission: What requests are asked of first; None: nothing is limited.
    """

    __slots__ = (
        "access",
        "added",
        "added_text",
        "adds_headers",
        "admission",
        "client_of",
        "flights",
        "flush",
        "levels",
        "log_error",
        "metrics",
        "new_headers",
        "now",
        "open_requests",
        "ops",
        "our_names",
        "ours",
        "receivers",
        "recorders",
        "redact",
        "redact_query",
        "request_id_header",
        "request_id_name",
        "send_headers",
        "serving",
        "tracer",
        "wanted",
        "wanted_environ",
    )

    def __init__(
        self,
        *,
        now: Callable[[], float],
        tracer: ServerTracer,
        access: AccessLog | None,
        flights: Flights | None,
        log_error: Callable[[BaseException], object],
        metrics: HttpMetrics | None,
        flush: Callable[[Mapping[str, str]], object] | None,
        ops: OpsSurface,
        serving: Serving,
        redact: Callable[[str], str],
        redact_query: Callable[[str], str],
        request_id_header: str,
        correlation_id_header: str,
        send_headers: bool,
        trusted_hops: int,
        open_requests: OpenRequests,
        trusted_header: str = "x-forwarded-for",
        added_headers: tuple[tuple[str, str], ...] = (),
        reads_b3: bool = False,
        admission: Admissions | None = None,
    ) -> None:
        self.now = now
        self.tracer = tracer
        self.access = access
        self.flights = flights
        self.log_error = log_error
        self.metrics = metrics
        self.flush = flush
        self.ops = ops
        self.serving = serving
        self.redact = redact
        self.redact_query = redact_query
        self.open_requests = open_requests
        self.client_of = client_reader(trusted_hops, trusted_header)
        """Tells the client's address from the peer's and the proxies' header."""
        self.admission = admission
        self._take_headers(request_id_header, added_headers, ids=send_headers)
        self.recorders: dict[Key, tuple[Observe, Observe]] = {}
        """What kept children record by, by what a response is; see `recorder`."""
        self.receivers: dict[Key, Recorder] = {}
        """Kept children by what the response to a body is; see `receiver`."""
        self.levels: dict[tuple[str, str], Level] = {}
        """Kept children by method and scheme; see `level`."""
        self.new_headers: type[Headers] = B3Headers if reads_b3 else Headers
        """Makes what takes a request's headers."""
        slots = _slots(
            request_id_header, correlation_id_header, trusted_hops, trusted_header
        )
        if reads_b3:
            slots |= _B3_SLOTS

        self.wanted = {name.encode("latin-1"): slot for name, slot in slots.items()}
        """ASGI header name to the slot that takes its value."""
        self.wanted_environ = tuple(
            (_environ_name(name), slot) for name, slot in slots.items()
        )
        """WSGI environ key and the slot that takes its value."""

    def _take_headers(
        self, request_id: str, added: tuple[tuple[str, str], ...], *, ids: bool
    ) -> None:
        """Settle what responses carry from us."""
        self.request_id_header = request_id
        self.send_headers = ids
        self.adds_headers = ids or bool(added) or self.admission is not None
        """Whether responses carry anything of ours."""
        self.added_text = added
        """What every response carries that has none of its own, as WSGI spells it."""
        self.added = tuple(
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in added
        )
        """The same, as ASGI spells it."""
        self.request_id_name = request_id.lower().encode("latin-1")
        """Its name, as ASGI spells it."""
        self.ours = frozenset(
            (
                *(self.request_id_name, b"traceresponse", b"x-amzn-trace-id"),
                *(name for name, _ in self.added),
            )
        )
        """The names of the headers that we add to responses, as ASGI spells them."""
        self.our_names = frozenset(name.decode("latin-1") for name in self.ours)
        """The same in text, in lower case."""

    def recorder(self, key: Key) -> tuple[Observe, Observe] | None:
        """Find what takes such responses' durations and their sizes, and keep it."""
        if self.metrics is None:
            return None

        method, route, status, scheme, error = key
        metrics = self.metrics
        times = metrics.children(method, route, status, scheme=scheme, error=error)
        sizes = metrics.response_sizes(
            method, route, status, scheme=scheme, error=error
        )
        recorder = (times.observe, sizes.observe)
        if len(self.recorders) < _MAX_KEPT:
            self.recorders[key] = recorder

        return recorder

    def receiver(self, key: Key) -> Recorder | None:
        """Find what takes the sizes of bodies with such responses, and keep it."""
        if self.metrics is None:
            return None

        method, route, status, scheme, error = key
        receiver = self.metrics.request_sizes(
            method, route, status, scheme=scheme, error=error
        )
        if len(self.receivers) < _MAX_KEPT:
            self.receivers[key] = receiver

        return receiver

    def level(self, method: str, scheme: str) -> Level | None:
        """Find the child that counts the active requests of *method*, and keep it."""
        if self.metrics is None:
            return None

        level = self.metrics.active(method, scheme=scheme)
        if len(self.levels) < _MAX_KEPT:
            self.levels[method, scheme] = level

        return level

    def make_ready(self, is_own_path: Callable[[str], bool]) -> None:
        """
        Say that requests can come, once the application's routes are known.

        Raises:
            ConfigurationError: Strict mode is on, and something is wrong.
        """
        routes = self.ops.routes.items()
        self.serving.keep_out(
            path for path, route in routes if not route.alias and is_own_path(path)
        )
        self.serving.ready()

    def length_of(self, text: str) -> int | None:
        """Return the number in a Content-Length; None if it is none."""
        fits = len(text) <= _LONGEST_LENGTH and text.isdecimal() and text.isascii()
        return int(text) if fits else None


def take_plan(
    cell: PlanCell[RequestPlan],
    loop: AbstractEventLoop | None,
    is_own_path: Callable[[str], bool],
) -> RequestPlan | None:
    """
    Return the plan for a process's first request, which shows that serving began.

    Args:
        cell: The wrapper's.
        loop: The application's event loop, if the request came on one.
        is_own_path: Tells whether the application itself defines a path.
    """
    plan = cell.take()
    if plan is not None:
        with _beginning, suppress(ConfigurationError):  # readiness fails and says why
            plan.serving.begun(loop)
            plan.make_ready(is_own_path)

    return plan


def build_plan(runtime: Runtime) -> RequestPlan | None:
    """
    Return the plan that *runtime*'s requests follow.

    Returns:
        None if the library or its request lifecycle is switched off.
    """
    http = runtime.settings.http
    if not http.enabled or not runtime.settings.core.enabled:
        return None

    logs = runtime.logging
    ops = build_surface(runtime)
    runtime.public = ops.public
    return RequestPlan(
        now=runtime.clock.monotonic,
        tracer=runtime.tracing.server,
        access=logs.access_log() if logs is not None and http.access_log else None,
        flights=None if logs is None else logs.handler.flights,
        log_error=_log_nothing if logs is None else logs.log_exception,
        metrics=None if runtime.metrics is None else runtime.metrics.http,
        flush=None if runtime.metrics is None else runtime.metrics.request_flush(),
        ops=ops,
        serving=runtime,
        redact=runtime.redactor.text,
        redact_query=runtime.redact_query,
        request_id_header=http.request_id_header,
        correlation_id_header=http.correlation_id_header,
        send_headers=http.response_headers,
        added_headers=security_headers(http),
        open_requests=runtime.open_requests,
        trusted_hops=http.trusted_hops,
        trusted_header=http.trusted_header,
        reads_b3=not _B3.isdisjoint(runtime.settings.tracing.propagators),
        admission=None if runtime.resilience is None else runtime.resilience.inbound(),
    )


def _slots(
    request_id: str, correlation_id: str, trusted_hops: int, trusted_header: str
) -> dict[str, str]:
    slots = {
        **_SLOTS,
        correlation_id.lower(): "correlation_id",
        request_id.lower(): "request_id",
    }
    if trusted_hops:
        slots[trusted_header] = "forwarded"

    return slots


def _log_nothing(error: BaseException) -> None:
    del error


def _environ_name(header: str) -> str:
    name = header.upper().replace("-", "_")
    return name if name == "CONTENT_LENGTH" else f"HTTP_{name}"
