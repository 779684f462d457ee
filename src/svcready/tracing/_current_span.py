"""`start_as_current_span` of OpenTelemetry's API, and what it returns."""

# ruff: noqa: FBT001, FBT002 - the signature is OpenTelemetry's

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, TypeVar, cast

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from svcready._core.guard import report_fault
from svcready.tracing import _otel
from svcready.tracing._decorate import is_coroutine_function
from svcready.tracing._errors import message_of
from svcready.tracing._otel import SPAN_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.trace import Link, Span
    from opentelemetry.util.types import Attributes

__all__ = ["CurrentSpan", "CurrentSpanTracer"]

F = TypeVar("F", bound="Callable[..., object]")


class CurrentSpan:
    """
    A span that is current inside a `with` block, or in each call of a function.

    Args:
        start: Starts the span.
        record_exception: An `Exception` that leaves the block is noted on the span.
        set_status: It makes the span failed.
        end: The span ends with the block.
    """

    __slots__ = (
        "_context",
        "_end",
        "_record",
        "_set_status",
        "_span",
        "_start",
        "_token",
    )

    def __init__(
        self,
        start: Callable[[], Span],
        *,
        record_exception: bool,
        set_status: bool,
        end: bool,
    ) -> None:
        self._start = start
        self._record = record_exception
        self._set_status = set_status
        self._end = end
        self._span: Span | None = None
        self._context: Context | None = None
        self._token: Token[Context] | None = None

    def __enter__(self) -> Span:
        span = self._span = self._start()
        context = self._context = Context({**_otel.current(), SPAN_KEY: span})
        self._token = _otel.attach(context)
        return span

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        span = self._span
        if span is None or self._token is None or self._context is None:
            return

        _otel.detach(self._token, self._context)
        try:
            try:
                if isinstance(error, Exception) and span.is_recording():
                    self._note(span, error)
            finally:
                if self._end:
                    span.end()
        except Exception as fault:  # noqa: BLE001 - telemetry never raises
            report_fault("tracing.span", fault)

    def _note(self, span: Span, error: Exception) -> None:
        if self._record:
            span.record_exception(error)

        if self._set_status:
            text = f"{type(error).__name__}: {message_of(error)}"
            span.set_status(StatusCode.ERROR, text)

    def __call__(self, function: F) -> F:
        """Return *function* with a span of its own in each call."""
        if is_coroutine_function(function):

            @wraps(function)
            async def call_async(*args: object, **kwargs: object) -> object:
                with self._again():
                    return await function(*args, **kwargs)  # type: ignore[misc]

            return cast("F", call_async)

        @wraps(function)
        def call(*args: object, **kwargs: object) -> object:
            with self._again():
                return function(*args, **kwargs)

        return cast("F", call)

    def _again(self) -> CurrentSpan:
        return CurrentSpan(
            self._start,
            record_exception=self._record,
            set_status=self._set_status,
            end=self._end,
        )


class CurrentSpanTracer(Tracer):
    """A tracer whose current spans are those that its `start_span` gives."""

    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> CurrentSpan:
        """Return a context manager, or decorator, that makes a new span current."""

        def start() -> Span:
            return self.start_span(
                name,
                context,
                kind,
                attributes,
                links,
                start_time,
                record_exception,
                set_status_on_exception,
            )

        return CurrentSpan(
            start,
            record_exception=record_exception,
            set_status=set_status_on_exception,
            end=end_on_exit,
        )
