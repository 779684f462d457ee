"""The tracing pillar: what a runtime builds, starts, flushes and closes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from svcready._core.guard import guard, report_fault
from svcready.tracing._attributes import Attributes
from svcready.tracing._contents import note
from svcready.tracing._environment import import_safely
from svcready.tracing.export._exports import Exports
from svcready.tracing.export._plan import plan_exports
from svcready.tracing.instrumentation._switch import Instrumentation
from svcready.tracing.keeping._keeper import Keeper
from svcready.tracing.sampling._build import build_decider
from svcready.tracing.sampling._central._plan import plan_central
from svcready.tracing.sampling._service import service_of
from svcready.tracing.xray._sdk_bridge._joined import SdkBridge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready._core.surroundings import AttributeValue
    from svcready.config._sections.otlp import OtlpSettings
    from svcready.config._sections.tracing import TracingSettings
    from svcready.config._sections.xray import XraySettings
    from svcready.tracing._attributes import Redactor
    from svcready.tracing._sdk import SpanSink
    from svcready.tracing._server import ServerTracer
    from svcready.tracing._starting import Live
    from svcready.tracing.export._queue import Figures
    from svcready.tracing.sampling._service import Service
    from svcready.tracing.view._records import SpanRecord
    from svcready.tracing.view._ring import TraceView

__all__ = ["TracePillar"]

_quiet = guard("tracing")
_REFRESH_S = 0.2
"""How long closing waits for a call to X-Ray; it is cut off, which loses nothing."""
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
        id_headers: What carries the request id and the correlation id.
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
        id_headers: tuple[str, str] = ("X-Request-ID", "X-Correlation-ID"),
    ) -> None:
        self._settings = tracing
        self._otlp = otlp
        self._xray = xray
        self._identity = identity
        self._resource_attributes = dict(resource_attributes)
        self._clock = clock
        self._development = development
        self._id_headers = id_headers
        self._leaving: list[Callable[[], None]] = []
        self._attributes = Attributes(
            redactor, tracing.max_value_chars, tracing.max_span_value_chars
        )
        service = self._service()
        self._central = plan_central(tracing, xray, service, clock, self.quiet)
        central = [] if self._central is None else [self._central]
        self._decider = build_decider(tracing, clock, service, central)
        self._started = False
        self._live: Live | None = None
        self._view: TraceView | None = None
        self._xray_sdk = SdkBridge(xray.sdk, self._attributes, identity.service)
        self._exports = Exports(off="not started")
        self._propagation_state = "off: not started"
        self.clients = Instrumentation(tracing.instrument, tracing.propagators)
        """The client libraries that are traced."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What was judged at start: one sentence each."""
        exports = (f"tracing: {problem}" for problem in self._exports.problems)
        return (*exports, *self.clients.problems)

    @property
    def server(self) -> ServerTracer:
        """
        Begins the traces of requests.

        Raises:
            RuntimeError: The pillar is not started.
        """
        if self._live is None:
            raise RuntimeError("the tracing pillar is not started")

        return self._live.server

    def start(self) -> None:
        """Load OpenTelemetry and make spans real; a second call does nothing."""
        if self._started:
            return

        self._started = True
        import_safely("opentelemetry.propagate")
        from svcready.tracing import _starting

        self._propagation_state = _starting.set_propagator(
            self._settings, self._id_headers
        )
        if self._settings.threads:
            from svcready.tracing import _threads

            self._leaving.append(_threads.follow())

        if not self._settings.enabled:
            self._live = _starting.start_passive(
                self._settings, self._attributes, self._clock
            )
            self._exports = Exports(off="switched off")
            return

        import_safely("opentelemetry.sdk.trace")
        from svcready.tracing import _provider

        foreign = _provider.install()
        sink = self._make_sink()
        if foreign is None:
            live = _starting.start_own(
                self._settings,
                self._attributes,
                self._decider,
                self._resource(),
                sink,
                Keeper.from_settings(self._settings, self._clock),
            )
            self._live = _starting.watch(live, self._central, self._xray, self._clock)
        else:
            self._live = _starting.start_attached(
                self._settings, self._attributes, foreign, sink
            )
            if not self._live.takes_spans:
                off = "the application's provider takes no processors"
                self._exports = Exports(off=off)

        self._leaving.append(self.clients.close)  # first: it may be cut off
        self.clients.start()
        self._leaving.append(self._xray_sdk.close)
        self._xray_sdk.start(self._live.tracer)
        self.clients.tell(self._xray_sdk.traced)

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

    def meet(self, workers: int) -> None:
        """
        Share what is sampled each second with the service's other processes.

        Args:
            workers: How many there are, this one included.
        """
        self._decider.share(workers)

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
                note(span, name, self._attributes.clean(attributes))
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault("tracing.span", error)

    def identify(self, identity: Identity) -> None:
        """
        Put another identity on spans that start from now on.

        For a forked child, whose instance is new, and for what a look-up has found.
        """
        self._identity = identity
        self._decider.serve(self._service())
        if self._live is not None and self._live.provider is not None:
            self._live.provider.describe_service(self._resource())

    def recent(self, trace_id: str | None = None) -> list[SpanRecord]:
        """
        Return the finished spans that the trace view has kept, oldest first.

        Args:
            trace_id: Only this trace's, 32 hex digits.
        """
        return [] if self._view is None else self._view.recent(trace_id)

    def flush(self, timeout_s: float) -> bool:
        """Export what is queued within *timeout_s*; False if spans are left."""
        return self._exports.flush(timeout_s)

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
        while self._leaving:
            with _quiet:
                self._leaving.pop()()

        if self._live is not None:
            self._live = self._live.released()

        if self._central is not None:
            self._central.close(min(timeout_s, _REFRESH_S))

        return self._exports.close(timeout_s)

    @property
    def dropped(self) -> dict[str, int]:
        """How many spans this process dropped for which reason."""
        return self._exports.dropped

    def exports(self) -> dict[str, Figures]:
        """Return what became of this process's spans on each way out, by its name."""
        return self._exports.figures()

    def describe(self) -> dict[str, object]:
        """Return what is on, and what is off and why, for people and start lines."""
        from svcready.tracing.xray._joining import daemon_state

        return {
            "enabled": self._settings.enabled,
            "development": self._development,
            "provider": "off: not started" if self._live is None else self._live.state,
            **self._exports.describe(),
            "xray_daemon": daemon_state(self._xray, self._exports)
            if self._settings.enabled
            else "off: tracing is off",
            "sampling": str(self._decider),
            "kept": _kept_text(self._settings),
            "trust_inbound": self._settings.trust_inbound,
            "propagators": self._propagation_state,
            "xray_sdk": self._xray_sdk.state,
            "threads": "context follows" if self._settings.threads else "off",
            "clients": self.clients.describe(),
            "view": f"the last {self._settings.view_spans} spans"
            if self._view is not None
            else "off",
        }

    def _make_sink(self) -> SpanSink:
        from svcready.tracing._sdk import SpanSink
        from svcready.tracing.xray._joining import join_xray

        takers: list[Callable[[ReadableSpan], None]] = []
        if self._settings.view_spans:
            from svcready.tracing.view._ring import TraceView

            self._view = TraceView(self._settings.view_spans)
            takers.append(self._view.add)

        self._exports = plan_exports(
            self._settings, self._otlp, self._xray, self._clock
        )
        takers += [lane.queue.put for lane in self._exports.lanes]
        sink = SpanSink(self._attributes, takers, self.flush)
        self._leaving.append(
            join_xray(self._exports, self._xray, sink, self._attributes, self._clock)
        )
        return sink

    def _resource(self) -> Resource:
        from svcready.tracing._sdk import resource_of

        return resource_of({**self._resource_attributes, **self._identity.resource()})

    def _service(self) -> Service:
        resource = {**self._resource_attributes, **self._identity.resource()}
        return service_of(self._xray.tracing_name, resource)


def _kept_text(settings: TracingSettings) -> str:
    """Say which requests are kept that are not sampled."""
    kept = ["failed ones"] if settings.keep_errors else []
    if settings.keep_slower_than:
        kept.append("slow ones")

    return f"{' and '.join(kept)}, {settings.keep_max_per_s:g}/s" if kept else "none"
