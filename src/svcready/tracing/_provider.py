"""The process's one OpenTelemetry provider, which follows the current runtime."""

# ruff: noqa: FBT001, FBT002 - the signatures are OpenTelemetry's

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING, cast

from opentelemetry import trace
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanKind,
    TracerProvider,
)

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready.tracing import _otel
from svcready.tracing._current_span import CurrentSpanTracer
from svcready.tracing._otel import SPAN_KEY
from svcready.tracing.instrumentation._doubles import says_again, serves, tell_of_second

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import (
        Link,
        Tracer,
    )
    from opentelemetry.util.types import Attributes

__all__ = [
    "DELEGATE",
    "DelegatingProvider",
    "DelegatingTracer",
    "install",
]

_OUTGOING = (SpanKind.CLIENT, SpanKind.PRODUCER)


class DelegatingTracer(CurrentSpanTracer):
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

    def _tracer(self) -> Tracer | None:
        provider = self._provider.current
        known, tracer = self._resolved
        if known is not provider:
            tracer = None if provider is None else provider.get_tracer(*self._scope)
            self._resolved = (provider, tracer)

        return tracer


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
        if not self._processors:  # as the SDK's does for those that it has
            atexit.unregister(self.shutdown)
            atexit.register(self.shutdown)

        self._processors.append(span_processor)
        if self.current is not None:
            _add(self.current, span_processor)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export what is queued; False if spans are left."""
        flush = getattr(self.current, "force_flush", None)
        return flush is None or bool(flush(timeout_millis))

    def shutdown(self) -> None:
        """
        Shut down the processors that were added to us; they export what they hold.

        What the runtime itself exports goes on until that is shut down.
        """
        processors, self._processors = self._processors, []
        forget = getattr(self.current, "forget_processors", None)
        if forget is not None:
            forget()

        for processor in processors:
            try:
                processor.shutdown()
            except Exception as error:  # noqa: BLE001 - telemetry never raises
                report_fault("tracing.processor", error)

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
