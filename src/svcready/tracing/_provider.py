"""The process's one OpenTelemetry provider, which follows the current runtime."""

# ruff: noqa: FBT001, FBT002 - the signatures are OpenTelemetry's

from __future__ import annotations

import threading
from functools import wraps
from typing import TYPE_CHECKING, TypeVar, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    TracerProvider,
)

from svcready._core import fork
from svcready.tracing import _otel
from svcready.tracing._decorate import is_coroutine_function
from svcready.tracing._otel import SPAN_KEY
from svcready.tracing.instrumentation._doubles import says_again, serves, tell_of_second

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Link
    from opentelemetry.util.types import Attributes

__all__ = [
    "DELEGATE",
    "CurrentSpan",
    "DelegatingProvider",
    "DelegatingTracer",
    "install",
]

F = TypeVar("F", bound="Callable[..., object]")

_OUTGOING = (SpanKind.CLIENT, SpanKind.PRODUCER)


class DelegatingTracer(Tracer):
    """
    A tracer that starts spans by whatever runtime is there at the time.

    Args:
        provider: Knows the current runtime's provider.
        scope: What the tracer was asked for with: name, version, schema, attributes.
    """

    def __init__(
        self,
        provider: DelegatingProvider,
        scope: tuple[str, str | None, str | None, Attributes],
    ) -> None:
        self._provider = provider
        self._scope = scope
        self._serves = serves(scope[0])
        self._resolved: tuple[TracerProvider | None, Tracer | None] = (None, None)

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        """Start a span; in a trace that is not sampled it is the parent itself."""
        parent = (_otel.current() if context is None else context).get(SPAN_KEY)
        if isinstance(parent, NonRecordingSpan) and _otel.is_left_out(parent):
            return parent

        if kind in _OUTGOING and says_again(self._scope[0], kind, parent):
            return NonRecordingSpan(cast("Span", parent).get_span_context())

        if self._serves:
            tell_of_second(self._scope[0], parent)

        tracer = self._tracer()
        if tracer is None:
            return parent if isinstance(parent, Span) else trace.INVALID_SPAN

        return tracer.start_span(
            name,
            context,
            kind,
            attributes,
            links,
            start_time,
            record_exception,
            set_status_on_exception,
        )

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

    def _tracer(self) -> Tracer | None:
        provider = self._provider.current
        known, tracer = self._resolved
        if known is not provider:
            tracer = None if provider is None else provider.get_tracer(*self._scope)
            self._resolved = (provider, tracer)

        return tracer


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
        if isinstance(error, Exception) and span.is_recording():
            if self._record:
                span.record_exception(error)

            if self._set_status:
                text = f"{type(error).__name__}: {error}"
                span.set_status(StatusCode.ERROR, text)

        if self._end:
            span.end()

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


class DelegatingProvider(TracerProvider):
    """Gives tracers that follow `current`: the runtime's own provider, or None."""

    def __init__(self) -> None:
        self.current: TracerProvider | None = None
        self._processors: list[SpanProcessor] = []

    def follow(self, provider: TracerProvider) -> None:
        """Make *provider* current, with the processors that were added to us."""
        for processor in self._processors:
            _add(provider, processor)

        self.current = provider

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Have *span_processor* told about spans, in this runtime and later ones."""
        self._processors.append(span_processor)
        if self.current is not None:
            _add(self.current, span_processor)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export what is queued; False if spans are left."""
        flush = getattr(self.current, "force_flush", None)
        return flush is None or bool(flush(timeout_millis))

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        """Return a tracer that stays right across restarts."""
        return DelegatingTracer(
            self,
            (
                instrumenting_module_name,
                instrumenting_library_version,
                schema_url,
                attributes,
            ),
        )


def _add(provider: TracerProvider, processor: SpanProcessor) -> None:
    add = getattr(provider, "add_span_processor", None)
    if add is not None:
        add(processor)


DELEGATE = DelegatingProvider()
"""The provider that is set as OpenTelemetry's, once per process."""

_lock = threading.Lock()


def _reset_lock() -> None:
    global _lock  # noqa: PLW0603 - a thread that the child lacks may hold the old one
    _lock = threading.Lock()


fork.reset_in_child(_reset_lock)


def install() -> TracerProvider | None:
    """
    Make `DELEGATE` OpenTelemetry's provider, unless the application has set one.

    Returns:
        The application's provider, which stays; None if ours is in force.
    """
    with _lock:
        there = _provider_in_force()
        if there is None:
            trace.set_tracer_provider(DELEGATE)
            there = _provider_in_force()

    return None if there is DELEGATE else there


def _provider_in_force() -> TracerProvider | None:
    # The public getter would load what OTEL_PYTHON_TRACER_PROVIDER names, and raises
    # if that is nothing.
    there: TracerProvider | None = getattr(trace, "_TRACER_PROVIDER", None)
    return there
