"""The trace of one request: its ids, its context and its span's end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import StatusCode

from svcready._core.guard import report_fault
from svcready._core.type_names import type_name
from svcready.tracing import _otel
from svcready.tracing._contents import put, rename
from svcready.tracing._errors import record
from svcready.tracing.propagation._w3c import HEX
from svcready.tracing.propagation._xray_header import format_xray_id

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from svcready.tracing._attributes import Attributes
    from svcready.tracing.propagation._xray_header import XRayHeader

__all__ = ["RecordedTrace", "ServerTrace"]

_FIRST_FAULT = 500


class ServerTrace:
    """
    The trace of one request in this process, if it is not recorded.

    Args:
        ids: Trace id and span id in hex.
        flags: The trace flags, of which the sampled bit doesn't count.
        context: The OpenTelemetry context in which the request runs.
        asked: The caller's X-Amzn-Trace-Id.
    """

    __slots__ = ("_token", "asked", "context", "flags", "span_id", "trace_id")

    sampled = False
    """Whether the request's span is recorded."""
    ends = False
    """Whether `end` does anything."""

    def __init__(
        self,
        ids: tuple[str, str],
        flags: int,
        context: Context,
        asked: XRayHeader | None = None,
    ) -> None:
        self.trace_id, self.span_id = ids
        self.flags = flags
        self.context = context
        self.asked = asked

    @property
    def response_header(self) -> tuple[str, str]:
        """The header `traceresponse`, name and value."""
        flags = HEX[(self.flags | self.sampled) & 3]
        return "traceresponse", f"00-{self.trace_id}-{self.span_id}-{flags}"

    @property
    def xray_response_header(self) -> tuple[str, str] | None:
        """The header X-Amzn-Trace-Id for a caller that sent one; else None."""
        if self.asked is None:
            return None

        value = f"Root={format_xray_id(self.trace_id)}"
        if self.asked.asked:
            value += f";Sampled={self.sampled:d}"

        return "x-amzn-trace-id", value

    def activate(self) -> None:
        """Make the span current, recording or not; `deactivate` undoes it."""
        self._token: Token[Context] = _otel.attach(self.context)

    def deactivate(self) -> None:
        """
        Put back what was current before `activate`.

        Apart from `end`, because background tasks run on in the request's context
        when its span has ended.
        """
        _otel.detach(self._token, self.context)

    def end(
        self, route: str | None, status: int | None, error: BaseException | None
    ) -> None:
        """
        End the request's span; what runs until `deactivate` still has its ids.

        Args:
            route: The route's template; None if nothing matched.
            status: The response's status; None if none was sent.
            error: What the application raised, handled or not.
        """


class RecordedTrace(ServerTrace):
    """
    The trace of one request in this process, with its recorded span.

    Args:
        ids: Trace id and span id in hex.
        flags: The trace flags.
        context: The OpenTelemetry context in which the request runs.
        asked: The caller's X-Amzn-Trace-Id.
        span: The request's span.
        name: Its name before a route is known.
        attributes: Redacts what goes into it.
    """

    __slots__ = ("_attributes", "_name", "_span")

    sampled = True
    ends = True

    def __init__(
        self,
        ids: tuple[str, str],
        flags: int,
        context: Context,
        asked: XRayHeader | None,
        span: Span,
        name: str,
        attributes: Attributes,
    ) -> None:
        super().__init__(ids, flags, context, asked)
        self._span: Span | None = span
        self._name = name
        self._attributes = attributes

    def end(
        self, route: str | None, status: int | None, error: BaseException | None
    ) -> None:
        """End the request's span."""
        span = self._span
        if span is not None:
            self._span = None
            try:
                self._finish(span, route, status, error)
            except Exception as fault:  # noqa: BLE001 - telemetry never raises
                report_fault("tracing.server", fault)

    def _finish(
        self,
        span: Span,
        route: str | None,
        status: int | None,
        error: BaseException | None,
    ) -> None:
        attributes: dict[str, str | int] = {}
        if route is not None:
            attributes["http.route"] = route
            rename(span, f"{self._name} {route}")

        if status is not None:
            attributes["http.response.status_code"] = status

        failed = isinstance(error, Exception) or (status or 0) >= _FIRST_FAULT
        if error is not None:
            attributes["error.type"] = type_name(error)
        elif failed:
            attributes["error.type"] = str(status)

        if attributes:
            put(span, attributes)

        if failed:
            span.set_status(StatusCode.ERROR)

        if isinstance(error, Exception):
            record(span, error, self._attributes)

        span.end()
