"""Exceptions that arrive as OpenTelemetry log records, put on the span they are of."""

# Semantic conventions move exceptions from span events to log records
# (OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN). X-Ray has no log records: what is not on the
# span does not reach it.

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from opentelemetry import _logs
from opentelemetry.trace import get_current_span

from svcready._core.guard import report_fault
from svcready.tracing._contents import note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import ReadWriteLogRecord

    from svcready.tracing._attributes import Attributes

__all__ = ["LogExceptions"]

_TYPE, _MESSAGE, _STACK = (
    "exception.type",
    "exception.message",
    "exception.stacktrace",
)
_ACTIVE: WeakSet[LogExceptions] = WeakSet()
_joined: WeakSet[object] = WeakSet()


class LogExceptions:
    """
    Notes exceptions that are logged inside a span on that span.

    Only an application that has set a logger provider of OpenTelemetry's SDK has such
    records; its provider gets one processor of ours, for ever, because it lets none
    go, which does nothing while no one of us is active.

    Args:
        attributes: Redacts what goes onto spans.
    """

    def __init__(self, attributes: Attributes) -> None:
        self._attributes = attributes
        _ACTIVE.add(self)

    def join(self) -> None:
        """Join the application's logger provider, once it has one; cheap if not."""
        provider = getattr(_logs._internal, "_LOGGER_PROVIDER", None)  # noqa: SLF001
        if provider is None or provider in _joined:
            return

        _joined.add(provider)
        add = getattr(provider, "add_log_record_processor", None)
        if add is not None:
            add(_processor())

    def close(self) -> None:
        """Note no more."""
        _ACTIVE.discard(self)

    def take(self, values: Mapping[str, object], context: Context | None) -> None:
        """Put the exception that *values* describe on the span of *context*."""
        span = get_current_span(context)
        if not span.is_recording():
            return

        made = {_TYPE: str(values[_TYPE])}
        message, stack = values.get(_MESSAGE), values.get(_STACK)
        if message is not None:
            made[_MESSAGE] = self._attributes.text(str(message))

        if stack is not None:
            made[_STACK] = self._attributes.stack(str(stack))

        note(span, "exception", made)


def _processor() -> object:
    from opentelemetry.sdk._logs import LogRecordProcessor

    class Processor(LogRecordProcessor):
        """Hands exceptions to whoever is active."""

        def on_emit(self, log_record: ReadWriteLogRecord) -> None:
            record = log_record.log_record
            values = record.attributes
            if not values or not values.get(_TYPE):
                return

            for taker in tuple(_ACTIVE):
                try:
                    taker.take(values, record.context)
                except Exception as error:  # noqa: BLE001 - telemetry never raises
                    report_fault("tracing.xray", error)

        def shutdown(self) -> None:
            """Nothing of ours ends with the application's provider."""

        def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002
            """Tell that nothing waits."""
            return True

    return Processor()
