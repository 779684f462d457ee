"""The metrics pillar: binds what was declared, reads all sources, feeds the sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready.metrics import _first
from svcready.metrics._http import HttpMetrics
from svcready.metrics._instruments import _exemplars
from svcready.metrics._instruments._cardinality import Room
from svcready.metrics._instruments._histograms import BucketInstrument
from svcready.metrics._instruments._names import check_buckets
from svcready.metrics._instruments._register import REGISTER, Declarer, reset_if_forked
from svcready.metrics._instruments._timer import Timer
from svcready.metrics._push import Pusher, RequestSink
from svcready.metrics._reading import Reading
from svcready.metrics._whole import WholeService
from svcready.metrics.clients._polling import POLLER
from svcready.metrics.sinks._prometheus._sink import PrometheusSink

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready._transport.group import Group
    from svcready.config._sections.metrics import MetricsSettings
    from svcready.config._sections.prometheus import PrometheusSettings
    from svcready.metrics._instruments._children import CounterChild
    from svcready.metrics._instruments._instrument import Spec
    from svcready.metrics._instruments._register import Metric
    from svcready.metrics._model import Snapshot
    from svcready.metrics._push import PushSink
    from svcready.metrics._reading import Source
    from svcready.metrics.sources._prometheus_client import Collects

__all__ = ["MetricsPillar"]

# Of a metric of all workers that are gone: more than most services have of all.
_MOST_SERIES = 10_000


class MetricsPillar:
    """
    The metrics of one runtime; totals are the process' and outlive it.

    Args:
        settings: The section METRICS.
        prometheus: The section PROMETHEUS.
        identity: Who this process is.
        clock: Times timers, and tells when a reading is old.
        buckets_for: Returns the configured buckets of a metric, or None.
        config_errors: Returns how many settings are wrong.
        redact: Hides the secrets in label values.
        group: The processes whose metrics the page joins; None if it joins none.
    """

    def __init__(
        self,
        settings: MetricsSettings,
        prometheus: PrometheusSettings,
        *,
        identity: Identity,
        clock: Clock,
        buckets_for: Callable[[str], tuple[float, ...] | None],
        config_errors: Callable[[], int],
        redact: Callable[[str], str] = str,
        group: Group | None = None,
    ) -> None:
        self._settings = settings
        self._prometheus = prometheus
        self._clock = clock
        self._buckets_for = buckets_for
        self._redact = redact
        self._pusher = Pusher((), clock)
        self._started = False
        self._keeps_sketches: Callable[[Spec], bool] = lambda _: False
        self._undo_clients: list[Callable[[], None]] = []
        self.problems: tuple[str, ...] = ()
        """What is wrong with the settings, as far as it shows when it starts."""
        self.declare = Declarer("svcready")
        """Declares our own metrics, for what counts the other pillars' events."""
        self._reading = Reading(
            settings,
            self.declare,
            identity=identity,
            clock=clock,
            config_errors=config_errors,
        )
        self._room = Room(
            settings.max_total_series,
            lambda: (*REGISTER.things(), *self._reading.meters.streams()),
        )
        self._dropped = self.declare.counter(
            "svcready_dropped",
            "Telemetry that was thrown away, by whose it was and why.",
            labels=("component", "reason"),
        )
        self.http = HttpMetrics(self.declare, max_routes=settings.max_routes)
        """The HTTP server's metrics."""
        self._whole = WholeService(
            group if settings.workers and prometheus.enabled else None,
            self._reading,
            clock,
            max(_MOST_SERIES, settings.max_series, self.http.most_series),
        )
        self.prometheus = PrometheusSink(
            self._whole.snapshot, compression=prometheus.compression
        )
        """The Prometheus sink."""

    def keep_sketches(self, wanted: Callable[[Spec], bool]) -> None:
        """Have the histograms that are *wanted* keep exact distributions for a sink."""
        self._keeps_sketches = wanted

    def push_to(self, sinks: Sequence[PushSink]) -> None:
        """Send to *sinks*, once this process is woken."""
        self._pusher = Pusher(sinks, self._clock)

    def wake(self) -> None:
        """Start sending in this process; a forked child starts here."""
        self._pusher.wake()
        self._whole.wake()
        POLLER.wake()

    def wake_when_recording(self, woken: Callable[[], None]) -> None:
        """
        Start sending in this process once it records something; quick.

        For a forked child of which nobody knows whether it works for the service (a
        worker of a task queue) or only helps for a moment.

        Args:
            woken: Called then, on whichever thread records.
        """

        def wake() -> None:
            self._pusher.wake()
            woken()

        _first.tell_of_it(wake)

    def meet(self) -> None:
        """Join the other processes, if there are any by now; cheap."""
        self._whole.wake()

    def request_flush(self) -> Callable[[Mapping[str, str]], object] | None:
        """Return what writes metrics when a request ends; None if they go by time."""
        for sink in self._pusher.sinks:
            if isinstance(sink, RequestSink) and sink.per_request:
                return sink.flush_request

        return None

    def hurry(self) -> None:
        """Begin to send what was recorded, before something else is waited for."""
        self._pusher.hurry()

    def flush(self, timeout_s: float) -> bool:
        """
        Send what was recorded since the last time.

        Returns:
            False if a sink could not send everything within *timeout_s* seconds; it
            keeps what it could not.
        """
        self._whole.flush()
        return self._pusher.flush(timeout_s)

    @property
    def lost(self) -> dict[str, int]:
        """How many items the sinks of this process gave up for which reason."""
        return self._pusher.lost

    def start(self) -> None:
        """Bind everything declared so far and to come; again, it does nothing new."""
        if not self._started:
            self._started = True
            reset_if_forked()
            REGISTER.bind(self._bind)
            if self._settings.otel_meters:
                self._reading.meters.start(
                    self._settings, self._redact, self._room, self._buckets_for
                )

            if self._reading.runtime is not None:
                self._reading.runtime.start()

            if not {"auto", "none"}.issuperset(self._settings.instrument):
                self._measure(self._settings.instrument)

    @property
    def measures_traced(self) -> bool:
        """Whether client libraries are measured because they are traced."""
        return "auto" in self._settings.instrument

    def measure(self, client: str) -> None:
        """Measure the library called *client*, unless the setting names it itself."""
        if self._started and client not in self._settings.instrument:
            self._measure((client,))

    def _measure(self, clients: Iterable[str]) -> None:
        from svcready.metrics.clients._named import instrument_named

        problems, undo = instrument_named(clients)
        self.problems += problems
        self._undo_clients.append(undo)

    def close(self) -> None:
        """End the binding; what was counted stays, and goes on being counted."""
        self._pusher.close()
        self._whole.close()
        if self._started:
            self._started = False
            while self._undo_clients:
                self._undo_clients.pop()()

            POLLER.rest()
            REGISTER.bind(None)
            if self._reading.runtime is not None:
                self._reading.runtime.close()

    def watch_loop(self, loop: AbstractEventLoop) -> None:
        """Observe how late *loop*, which serves requests, calls back."""
        runtime = self._reading.runtime
        if runtime is not None and self._started:
            runtime.watch(loop)

    def identify(self, identity: Identity) -> None:
        """Take a new identity: a forked child's, or what a look-up found."""
        self._reading.own.identity = identity
        for sink in self._pusher.sinks:
            sink.identify(identity)

    def include(self, registry: Collects) -> None:
        """Read a further prometheus_client registry at each snapshot."""
        self._reading.include(registry)

    def add_source(self, source: Source) -> None:
        """Read a further source at each snapshot, after our own."""
        self._reading.add(source)

    def keep_exemplars(
        self, span_ids: Callable[[], tuple[str, str] | None] | None
    ) -> None:
        """Point from recorded values at sampled spans, whose ids *span_ids* reads."""
        reader = span_ids if self._settings.exemplars else None
        _exemplars.look_by(reader, self._clock.time_ns)

    def dropped(self, component: str, reason: str) -> CounterChild:
        """Return the count of items of *component* thrown away for *reason*."""
        return self._dropped.labels(component, reason)

    def snapshot(self) -> Snapshot:
        """Read every source of this process once."""
        return self._reading.snapshot()

    def describe(self) -> dict[str, object]:
        """Return what is on, for the start line and the operator's surface."""
        metrics = REGISTER.things()
        return {
            "enabled": self._settings.enabled,
            "metrics": len(metrics),
            "series": sum(metric.series for metric in metrics),
            "capped": sorted(m.spec.name for m in metrics if m.capped),
            "shadowed": self._reading.shadowed,
            "otel_meters": self._reading.meters.state,
            "sinks": [
                *(("prometheus",) if self._prometheus.enabled else ()),
                *(sink.name for sink in self._pusher.sinks),
            ],
            "pushed": {sink.name: sink.describe() for sink in self._pusher.sinks},
        }

    def _bind(self, metric: Metric) -> None:
        try:
            settings = self._settings
            metric.limit(
                settings.max_series,
                settings.max_label_length,
                self._redact,
                self._room,
            )
            if isinstance(metric, Timer):
                metric.use_clock(self._clock.monotonic)

            if isinstance(metric, BucketInstrument):
                metric.keep_sketches(self._keeps_sketches(metric.spec))
                name = metric.spec.name
                buckets = self._buckets_for(name) or metric.declared_bounds
                metric.rebucket(check_buckets(name, buckets))
        except Exception as error:  # noqa: BLE001 - it records on with its defaults
            report_fault("metrics", error)
