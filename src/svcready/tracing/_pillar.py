"""The tracing pillar: what a runtime builds, starts, flushes and closes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready.tracing._attributes import Attributes
from svcready.tracing._backend import bind
from svcready.tracing._environment import import_safely
from svcready.tracing._export import Export, plan_export
from svcready.tracing._sampling import Decider, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import TracerProvider

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready._core.surroundings import AttributeValue
    from svcready.config._sections.otlp import OtlpSettings
    from svcready.config._sections.tracing import TracingSettings
    from svcready.config._sections.xray import XraySettings
    from svcready.tracing._attributes import Redactor
    from svcready.tracing._sdk import Provider, SpanSink
    from svcready.tracing._server import ServerTracer
    from svcready.tracing._view import SpanRecord, TraceView

__all__ = ["TracePillar"]

_SUPPRESSED = "suppress_instrumentation"
"""The key in OpenTelemetry's context that every instrumentation package looks at."""


class TracePillar:
    """
    Spans, their sampling, their propagation and where they go.

    Args:
        tracing: The section TRACING.
        otlp: The section OTLP.
        xray: The section XRAY.
        identity: Goes on every span; `identify` changes it.
        resource_attributes: What else describes the service; the identity wins.
        clock: Drives sampling, export and its deadlines.
        redactor: Masks secrets in whatever goes into spans.
        development: Shown by `describe`; the settings' own defaults differ there.
    """

    def __init__(
        self,
        tracing: TracingSettings,
        otlp: OtlpSettings,
        xray: XraySettings,
        *,
        identity: Identity,
        resource_attributes: Mapping[str, AttributeValue],
        clock: Clock,
        redactor: Redactor,
        development: bool,
    ) -> None:
        self._settings = tracing
        self._otlp = otlp
        self._xray = xray
        self._identity = identity
        self._resource_attributes = dict(resource_attributes)
        self._clock = clock
        self._development = development
        self._attributes = Attributes(
            redactor, tracing.max_value_chars, tracing.max_span_value_chars
        )
        ratio = tracing.sampling.ratio
        self._rule = Rule(
            tracing.sampling.per_second,
            tracing.ratio if ratio is None else ratio,
            clock,
        )
        self._decider = Decider(
            self._rule, tracing.trust_inbound, tracing.inbound_max_per_s, clock
        )
        self._started = False
        self._server: ServerTracer | None = None
        self._provider: Provider | None = None
        self._view: TraceView | None = None
        self._export = Export("off: not started")
        self._provider_state = "off: not started"
        self._propagation_state = "off: not started"
        self._release: Callable[[], None] = lambda: None

    @property
    def problems(self) -> tuple[str, ...]:
        """What was judged at start: one sentence each."""
        problem = self._export.problem
        return (f"tracing: {problem}",) if problem else ()

    @property
    def server(self) -> ServerTracer:
        """
        Begins the traces of requests.

        Raises:
            RuntimeError: The pillar is not started.
        """
        if self._server is None:
            raise RuntimeError("the tracing pillar is not started")

        return self._server

    def start(self) -> None:
        """Load OpenTelemetry and make spans real; a second call does nothing."""
        if self._started:
            return

        self._started = True
        self._set_propagator()
        if not self._settings.enabled:
            self._start_passive()
            return

        import_safely("opentelemetry.sdk.trace")
        from svcready.tracing import _provider

        foreign = _provider.install()
        sink = self._make_sink()
        if foreign is None:
            self._start_own(sink)
        else:
            self._start_attached(foreign, sink)

    @property
    def span_ids(self) -> Callable[[], tuple[str, str] | None]:
        """Reads the current span's trace id and span id; None outside any."""
        import_safely("opentelemetry.trace")
        from svcready.tracing._otel import span_ids

        return span_ids

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Keep instrumented clients from making spans inside, as probes' calls are."""
        from opentelemetry import context

        token = context.attach(context.set_value(_SUPPRESSED, True))
        try:
            yield
        finally:
            context.detach(token)

    def add_event(self, name: str, attributes: Mapping[str, object]) -> None:
        """
        Put an event on the current span, if it is recorded.

        Args:
            name: `retry.scheduled`, ...
            attributes: What goes with it; redacted here.
        """
        from opentelemetry.trace import get_current_span

        try:
            span = get_current_span()
            if span.is_recording():
                span.add_event(name, self._attributes.clean(attributes))
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault("tracing.span", error)

    def identify(self, identity: Identity) -> None:
        """
        Put another identity on spans that start from now on.

        For a forked child, whose instance is new, and for what a look-up has found.
        """
        self._identity = identity
        if self._provider is not None:
            self._provider.describe_service(self._resource())

    def recent(self, trace_id: str | None = None) -> list[SpanRecord]:
        """
        Return the finished spans that the trace view has kept, oldest first.

        Args:
            trace_id: Only this trace's, 32 hex digits.
        """
        return [] if self._view is None else self._view.recent(trace_id)

    def flush(self, timeout_s: float) -> bool:
        """Export what is queued within *timeout_s*; False if spans are left."""
        queue = self._export.queue
        return queue is None or queue.flush(timeout_s)

    def close(self, timeout_s: float) -> int:
        """
        Flush within *timeout_s* and let go of everything.

        Spans that end later, and tracers taken earlier, do nothing until another
        pillar starts.

        Returns:
            How many spans were lost.
        """
        if not self._started:
            return 0

        self._started = False
        self._release()
        self._release = lambda: None
        queue = self._export.queue
        return 0 if queue is None else queue.close(timeout_s)

    @property
    def dropped(self) -> dict[str, int]:
        """How many spans this process dropped for which reason."""
        queue = self._export.queue
        return {} if queue is None else queue.dropped

    def describe(self) -> dict[str, object]:
        """Return what is on, and what is off and why, for people and start lines."""
        daemon = self._xray.daemon_address
        described: dict[str, object] = {
            "enabled": self._settings.enabled,
            "development": self._development,
            "provider": self._provider_state,
            "export": self._export.state,
            "xray_daemon": "off: no address set"
            if daemon is None
            else f"off: {daemon} is set, but this version exports over OTLP only",
            "sampling": _sampling_text(self._rule),
            "trust_inbound": self._settings.trust_inbound,
            "propagators": self._propagation_state,
            "view": f"the last {self._settings.view_spans} spans"
            if self._view is not None
            else "off",
        }
        if self._export.queue is not None:
            described["spans"] = self._export.queue.statistics()

        if self._export.exporter is not None and self._export.exporter.last_error:
            described["last_error"] = self._export.exporter.last_error

        return described

    def _start_passive(self) -> None:
        from svcready.tracing._server import ServerTracer

        nothing = Rule(0.0, 0.0, self._clock)
        self._server = ServerTracer(
            None,
            Decider(nothing, "never", 0.0, self._clock),
            self._attributes,
            self._settings.propagators,
            passive=True,
        )
        self._provider_state = "off: switched off"
        self._export = Export("off: switched off")

    def _start_own(self, sink: SpanSink) -> None:
        from svcready.tracing import _sdk
        from svcready.tracing._provider import DELEGATE

        provider = _sdk.build_provider(
            self._settings, self._decider, self._resource(), sink
        )
        self._provider = provider
        DELEGATE.follow(provider)
        self._provider_state = "ours"

        def release() -> None:
            self._provider = None
            if DELEGATE.current is provider:
                DELEGATE.current = None
                bind(None)

        self._release = release
        self._make_real(provider, self._decider)

    def _start_attached(self, foreign: TracerProvider, sink: SpanSink) -> None:
        from svcready.tracing._attached import attach

        relayed = attach(foreign, sink)
        kind = f"{type(foreign).__module__}.{type(foreign).__qualname__}"
        self._provider_state = f"attached to the application's {kind}"
        if relayed is None:
            self._export = Export("off: the application's provider takes no processors")

        def release() -> None:
            bind(None)
            if relayed is not None and relayed.sink is sink:
                relayed.sink = None

        self._release = release
        self._make_real(foreign, None)

    def _make_real(self, provider: TracerProvider, decider: Decider | None) -> None:
        from svcready.tracing import _sdk
        from svcready.tracing._live import LiveSpans
        from svcready.tracing._server import ServerTracer

        tracer = provider.get_tracer(_sdk.SCOPE)
        self._server = ServerTracer(
            tracer,
            decider,
            self._attributes,
            self._settings.propagators,
            trust=self._settings.trust_inbound != "never",
            forced_trace_id=None if decider is None else _sdk.FORCED_TRACE_ID,
        )
        decide = None if decider is None else decider.decide
        bind(LiveSpans(tracer, decide, self._attributes))

    def _make_sink(self) -> SpanSink:
        from svcready.tracing._sdk import SpanSink

        takers: list[Callable[[ReadableSpan], None]] = []
        if self._settings.view_spans:
            from svcready.tracing._view import TraceView

            self._view = TraceView(self._settings.view_spans)
            takers.append(self._view.add)

        self._export = plan_export(self._settings, self._otlp, self._clock)
        if self._export.queue is not None:
            takers.append(self._export.queue.put)

        return SpanSink(self._attributes, takers, self.flush)

    def _set_propagator(self) -> None:
        propagate = import_safely("opentelemetry.propagate")
        from svcready.tracing._propagation import Propagator, is_default

        there = propagate.get_global_textmap()
        if isinstance(there, Propagator) or is_default(there):
            propagate.set_global_textmap(Propagator(self._settings.propagators))
            self._propagation_state = ",".join(self._settings.propagators) or "none"
        else:
            self._propagation_state = f"the application's {type(there).__qualname__}"

    def _resource(self) -> Resource:
        from svcready.tracing._sdk import resource_of

        return resource_of({**self._resource_attributes, **self._identity.resource()})


def _sampling_text(rule: Rule) -> str:
    """Say what is sampled; no process knows of its siblings' reservoirs."""
    return f"{rule} in each process" if "/s" in str(rule) else str(rule)
