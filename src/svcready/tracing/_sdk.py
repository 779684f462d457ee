"""The OpenTelemetry SDK as we set it up; loading this file loads the SDK."""

# ruff: noqa: ARG002 - the signatures are the SDK's

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import (
    Event,
    ReadableSpan,
    SpanLimits,
    SpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.sdk.version import __version__ as sdk_version
from opentelemetry.trace import Link, Status, get_current_span

from svcready._core.guard import report_fault
from svcready.tracing import _otel
from svcready.tracing._otel import DECIDED_KEY, UNDECIDED_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext, SpanKind, TraceState
    from opentelemetry.util.types import Attributes as OtelAttributes

    from svcready._core.surroundings import AttributeValue
    from svcready.config._sections.tracing import TracingSettings
    from svcready.tracing._attributes import Attributes
    from svcready.tracing.sampling._decider import Decider

__all__ = [
    "FORCED_TRACE_ID",
    "SCOPE",
    "Provider",
    "Relay",
    "RuleSampler",
    "SpanSink",
    "build_provider",
    "resource_of",
]

SCOPE = "svcready"
"""The scope of our own spans, whose attributes we redact when we set them."""

FORCED_TRACE_ID: ContextVar[int] = ContextVar("svcready-forced-trace-id", default=0)
"""The trace id of a span without a parent, where a caller sent one (X-Ray)."""


class RuleSampler(Sampler):
    """
    Our rule for spans that are started through OpenTelemetry's API.

    Args:
        decider: Decides about traces that begin here or come from a caller.
    """

    def __init__(self, decider: Decider) -> None:
        self._decider = decider

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: OtelAttributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Follow a local parent; decide about a remote one, or none, by the rule."""
        parent = get_current_span(parent_context).get_span_context()
        values = _otel.current() if parent_context is None else parent_context
        if values.get(DECIDED_KEY):
            sampled = True
        elif parent.is_valid and not parent.is_remote:
            sampled = parent.trace_flags.sampled
        else:
            sampled = self._decide(parent, values, attributes) is not None

        decision = Decision.RECORD_AND_SAMPLE if sampled else Decision.DROP
        state = parent.trace_state if parent.is_valid else None
        return SamplingResult(decision, attributes if sampled else None, state)

    def _decide(
        self,
        parent: SpanContext,
        values: Mapping[str, object],
        attributes: OtelAttributes,
    ) -> str | None:
        given = attributes or {}
        method = str(given.get("http.request.method", ""))
        path = str(given.get("url.path", "/"))
        if not parent.is_valid:
            return self._decider.decide(method, path, lambda: given)

        flag = None if values.get(UNDECIDED_KEY) else parent.trace_flags.sampled
        return self._decider.inbound(flag, method, path, lambda: given)

    def get_description(self) -> str:
        """Return what OpenTelemetry's own diagnostics show."""
        return "svcready"


class _Ids(RandomIdGenerator):
    def generate_trace_id(self) -> int:
        return FORCED_TRACE_ID.get() or super().generate_trace_id()

    def is_trace_id_random(self) -> bool:
        return True


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

    def on_end(self, span: ReadableSpan) -> None:
        """Hand *span* over."""
        context = span.context
        if not self._takers or context is None or not context.trace_flags.sampled:
            return

        try:
            scope = span.instrumentation_scope
            ours = scope is not None and scope.name == SCOPE
            if not ours:
                # Here: a service without such spans never needs it.
                from svcready.tracing.instrumentation._translating import translated

                span = translated(span)

            if not ours or not self._is_clean(span):
                span = self._masked(span)

            for take in self._takers:
                take(span)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault("tracing.sink", error)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is queued; False if spans are left."""
        return self._flush(timeout_millis / 1000.0)

    def _is_clean(self, span: ReadableSpan) -> bool:
        # We redact what we set, but anybody can set more by OpenTelemetry's API.
        clean = self._attributes.is_clean
        return clean(
            {
                **(span.attributes or {}),
                "span.name": span.name,
                "span.status": span.status.description,
            }
        ) and all(clean({**(event.attributes or {})}) for event in span.events)

    def _masked(self, span: ReadableSpan) -> ReadableSpan:
        return ReadableSpan(
            name=self._attributes.text(span.name),
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=self._attributes.clean(span.attributes or {}),
            events=[self._masked_event(event) for event in span.events],
            links=self._masked_links(span.links),
            kind=span.kind,
            status=self._masked_status(span.status),
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
        return Event(self._attributes.text(event.name), attributes, event.timestamp)


class Relay(SpanProcessor):
    """Stands in an application's own provider, which cannot let a processor go."""

    def __init__(self) -> None:
        self.sink: SpanSink | None = None

    def on_end(self, span: ReadableSpan) -> None:
        """Pass *span* on to the current runtime, if there is one."""
        sink = self.sink
        if sink is not None:
            sink.on_end(span)


class Provider(TracerProvider):
    """The SDK's provider without what it does to itself at fork."""

    def __init__(
        self, sampler: Sampler, resource: Resource, limits: SpanLimits
    ) -> None:
        super().__init__(
            sampler=sampler,
            resource=resource,
            shutdown_on_exit=False,
            id_generator=_Ids(),
            span_limits=limits,
            meter_provider=NoOpMeterProvider(),
        )
        # OTEL_SDK_DISABLED was judged with our settings, which may have overruled it.
        self._disabled = False

    def describe_service(self, resource: Resource) -> None:
        """Put *resource* on every span that starts from now on."""
        self._update_resource(resource)

    def _handle_fork(self) -> None:
        # The SDK would give the child a random instance id even where one is fixed.
        self._tracers_lock = threading.Lock()


def build_provider(
    settings: TracingSettings,
    decider: Decider,
    resource: Resource,
    sink: SpanSink,
) -> Provider:
    """
    Build the provider; every value is an argument, the environment is not read.

    Args:
        settings: The limits of spans.
        decider: Samples.
        resource: Says what the service is.
        sink: Takes finished spans.
    """
    general = settings.max_attributes
    limits = SpanLimits(
        max_attributes=general,
        max_events=settings.max_events,
        max_links=settings.max_links,
        max_span_attributes=settings.max_span_attributes or general,
        max_event_attributes=settings.max_event_attributes or general,
        max_link_attributes=settings.max_link_attributes or general,
        # The sink cuts, after redaction.
        max_attribute_length=SpanLimits.UNSET,
        max_span_attribute_length=SpanLimits.UNSET,
    )

    provider = Provider(RuleSampler(decider), resource, limits)
    provider.add_span_processor(sink)
    return provider


def resource_of(attributes: Mapping[str, AttributeValue]) -> Resource:
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
