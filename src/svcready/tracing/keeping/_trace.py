"""The trace of a request that is not sampled, and may be kept when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context

from svcready._core.guard import report_fault
from svcready.tracing._otel import ROOT_KEY, SPAN_KEY
from svcready.tracing._server_trace import RecordedTrace, ServerTrace
from svcready.tracing.keeping._buffer import Buffer
from svcready.tracing.propagation._w3c import RANDOM

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.util.types import AttributeValue

    from svcready.tracing._attributes import Attributes
    from svcready.tracing._recorded import RecordedSpan
    from svcready.tracing.keeping._keeper import Keeper
    from svcready.tracing.propagation._xray_header import XRayHeader

__all__ = ["KeptTrace"]

_KEPT = "svcready.kept"
"""The attribute that says why a trace was kept: `error` or `slow`."""
_LEFT_OUT = "svcready.kept.spans_left_out"
"""How many inner spans were not recorded for want of room."""


class KeptTrace(ServerTrace):
    """
    The trace of one request whose span is recorded, but sent only for a reason.

    To callers, to other services and to log lines it is not sampled.

    Args:
        span: Its span, begun.
        extra: What goes into its context besides.
        asked: The caller's X-Amzn-Trace-Id.
        method: Its method, or `HTTP`: the span's name before a route is known.
        describe: Gives the span's first attributes, if it is kept.
        keeper: Decides.
        attributes: Redacts what goes into the span.
    """

    __slots__ = (
        "_attributes",
        "_buffer",
        "_describe",
        "_keeper",
        "_method",
        "_span",
        "_started_s",
    )

    ends = True

    def __init__(
        self,
        span: RecordedSpan,
        extra: dict[str, object] | None,
        asked: XRayHeader | None,
        method: str,
        describe: Callable[[], dict[str, AttributeValue]],
        keeper: Keeper,
        attributes: Attributes,
    ) -> None:
        values: dict[str, object] = {SPAN_KEY: span, ROOT_KEY: span}
        context = Context(values if extra is None else {**extra, **values})
        ids, flags = span._svcready_ids, span.flags & RANDOM  # noqa: SLF001
        super().__init__(ids, flags, context, asked)
        self._span: RecordedSpan | None = span
        self._buffer = span.buffer = Buffer(keeper.spans)
        self._method = method
        self._describe = describe
        self._keeper = keeper
        self._attributes = attributes
        self._started_s = keeper.now()

    def end(
        self, route: str | None, status: int | None, error: BaseException | None
    ) -> None:
        """End the request's span, and send it with what is inside for a reason."""
        span, self._span = self._span, None
        if span is None:
            return

        try:
            keeper = self._keeper
            took_s = keeper.now() - self._started_s
            reason = keeper.reason(self._method, route, status, error, took_s)
            if not reason:
                self._buffer.forget()
                span.end()
                return

            said: dict[str, AttributeValue] = {**self._describe(), _KEPT: reason}
            if self._buffer.left_out:
                said[_LEFT_OUT] = self._buffer.left_out

            span.put(said)
            whole = RecordedTrace(
                (self.trace_id, self.span_id),
                self.flags,
                self.context,
                self.asked,
                span,
                self._method,
                self._attributes,
            )
            whole.end(route, status, error)
            self._buffer.keep()
        except Exception as fault:  # noqa: BLE001 - telemetry never raises
            report_fault("tracing.keep", fault)
