"""A recorded span's ids in OpenTelemetry's form, made when somebody asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from opentelemetry.trace import SpanContext, TraceFlags

from svcready.tracing._otel import trace_state

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MadeWhenAsked", "Placed", "context_of", "parent_of"]

_FLAGS = tuple(TraceFlags(number) for number in range(4))


class Placed(Protocol):
    """A span's place in its trace, in hex."""

    _svcready_ids: tuple[str, str]
    flags: int
    tracestate: str | None
    parent_id: str | None
    has_remote_parent: bool


class MadeWhenAsked:
    """An attribute that is made when it is first looked at, then kept."""

    def __init__(self, make: Callable[[Placed], object]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, span: Placed, owner: type) -> object:
        made = vars(span)[self._name] = self._make(span)
        return made


def context_of(span: Placed) -> SpanContext:
    """Return the ids of *span*."""
    trace_id, span_id = span._svcready_ids  # noqa: SLF001
    return SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=False,
        trace_flags=_FLAGS[span.flags],
        trace_state=trace_state(span.tracestate),
    )


def parent_of(span: Placed) -> SpanContext | None:
    """Return the ids of the span that *span* is in, if there is one."""
    if span.parent_id is None:
        return None

    return SpanContext(
        int(span._svcready_ids[0], 16),  # noqa: SLF001
        int(span.parent_id, 16),
        is_remote=span.has_remote_parent,
        trace_flags=_FLAGS[span.flags],
        trace_state=trace_state(span.tracestate),
    )
