"""Where finished spans come together, ours and an application's own provider's."""

# ruff: noqa: ARG002 - the signatures are the SDK's

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.version import __version__ as sdk_version
from opentelemetry.trace import Link, Status

from svcready._core.guard import report_fault
from svcready.tracing._recorded import RecordedSpan
from svcready.tracing.instrumentation._doubles import SCOPES
from svcready.tracing.propagation._w3c import SAMPLED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span
    from opentelemetry.trace import SpanKind
    from opentelemetry.util.types import AttributeValue

    from svcready._core.surroundings import AttributeValue as ResourceValue
    from svcready.tracing._attributes import Attributes

    _Contents = tuple[
        str, SpanKind, dict[str, AttributeValue], list[Event], Sequence[Link], Status
    ]

__all__ = ["Relay", "SpanSink", "resource_of"]


class SpanSink(SpanProcessor):
    """
    Takes finished spans: masks what we did not set, then hands over.

    Args:
        attributes: Redacts and cuts.
        takers: Take each finished, sampled span; they never wait.
        flush: Has the takers send what they hold within so many seconds.
    """

    def __init__(
        self,
        attributes: Attributes,
        takers: Sequence[Callable[[ReadableSpan], None]],
        flush: Callable[[float], bool],
    ) -> None:
        self._attributes = attributes
        self._flush = flush
        self._takers = tuple(takers)
        self.begun: Callable[[Span], None] | None = None
        """Is told about spans that begin, if anybody wants to know."""

    def on_end(self, span: ReadableSpan) -> None:
        """Hand *span* over."""
        if not self._takers or not _is_sampled(span):
            return

        clean = self.cleaned(span)
        if clean is None:
            return

        try:
            for take in self._takers:
                take(clean)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault("tracing.sink", error)

    def cleaned(self, span: ReadableSpan) -> ReadableSpan | None:
        """Return *span* without secrets; None if that fails."""
        if span.__class__ is RecordedSpan and not span.is_raw:
            return span

        try:
            if span.__class__ is RecordedSpan:
                return span.replaced(*self._contents(span))

            return self.masked(span)  # an application's own provider's
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault("tracing.sink", error)
            return None

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is queued; False if spans are left."""
        return self._flush(timeout_millis / 1000.0)

    def _contents(self, span: ReadableSpan) -> _Contents:
        name, kind, attributes = span.name, span.kind, span.attributes or {}
        scope = span.instrumentation_scope
        if scope is not None and scope.name.startswith(SCOPES):
            # Here: a service without such spans never needs it.
            from svcready.tracing.instrumentation._translating import translated

            name, kind, attributes = translated(span, scope.name)

        return (
            self._attributes.name(name),
            kind,
            self._attributes.clean(attributes),
            [self._masked_event(event) for event in span.events],
            self._masked_links(span.links),
            self._masked_status(span.status),
        )

    def masked(self, span: ReadableSpan) -> ReadableSpan:
        """Return a copy of *span* without secrets."""
        name, kind, attributes, events, links, status = self._contents(span)
        return ReadableSpan(
            name=name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=attributes,
            events=events,
            links=links,
            kind=kind,
            status=status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _masked_status(self, status: Status) -> Status:
        if not status.description:
            return status

        return Status(status.status_code, self._attributes.text(status.description))

    def _masked_links(self, links: Sequence[Link]) -> Sequence[Link]:
        if not any(link.attributes for link in links):
            return links

        clean = self._attributes.clean
        return [Link(link.context, clean(link.attributes or {})) for link in links]

    def _masked_event(self, event: Event) -> Event:
        attributes = self._attributes.clean(event.attributes or {})
        return Event(self._attributes.name(event.name), attributes, event.timestamp)


def _is_sampled(span: ReadableSpan) -> bool:
    if span.__class__ is RecordedSpan:
        return span.flags & SAMPLED != 0

    return span.context is not None and span.context.trace_flags.sampled


class Relay(SpanProcessor):
    """Stands in an application's own provider, which cannot let a processor go."""

    def __init__(self) -> None:
        self.sink: SpanSink | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Pass *span* on, if anybody wants to know of it before it ends."""
        begun = None if self.sink is None else self.sink.begun
        if begun is not None:
            begun(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass *span* on to the current runtime, if there is one."""
        sink = self.sink
        if sink is not None:
            sink.on_end(span)


def resource_of(attributes: Mapping[str, ResourceValue]) -> Resource:
    """Return *attributes* and what the SDK says of itself as a resource."""
    return Resource(
        {
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": sdk_version,
            "telemetry.distro.name": "svcready",
            **attributes,
        }
    )
