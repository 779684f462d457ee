"""The metrics pillar: binds what was declared, reads all sources, feeds the sinks."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from svcready._core.events import publish
from svcready._core.guard import report_fault
from svcready.metrics import _exemplars
from svcready.metrics._cardinality import Room
from svcready.metrics._events import FamilyShadowed
from svcready.metrics._histograms import BucketInstrument
from svcready.metrics._http import HttpMetrics
from svcready.metrics._model import Snapshot
from svcready.metrics._names import check_buckets, sample_names
from svcready.metrics._push import Pusher
from svcready.metrics._register import REGISTER, Declarer, reset_if_forked
from svcready.metrics._timer import Timer
from svcready.metrics._whole import WholeService
from svcready.metrics.sinks._prometheus import PrometheusSink
from svcready.metrics.sources._declared import declared_families
from svcready.metrics.sources._host import HostSource
from svcready.metrics.sources._own import OwnSource
from svcready.metrics.sources._process import ProcessSource
from svcready.metrics.sources._prometheus_client import (
    default_registry,
    registry_families,
)
from svcready.metrics.sources._runtime import RuntimeSource

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready._transport.group import Group
    from svcready.config._sections.metrics import MetricsSettings
    from svcready.config._sections.prometheus import PrometheusSettings
    from svcready.metrics._children import CounterChild
    from svcready.metrics._instruments import Spec
    from svcready.metrics._model import Family
    from svcready.metrics._push import PushSink
    from svcready.metrics._register import Metric
    from svcready.metrics.sources._prometheus_client import Collects

    Source = Callable[[], Iterable[Family]]
    """What is asked for its families at each snapshot; may fail, must not wait."""

__all__ = ["MetricsPillar"]


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
        self._room = Room(settings.max_total_series, REGISTER.things)
        self._pusher = Pusher((), clock)
        self._registries: tuple[Collects, ...] = ()
        self._told: set[str] = set()
        self._started = False
        self._keeps_sketches: Callable[[Spec], bool] = lambda _: False
        self._undo_clients: Callable[[], None] = lambda: None
        self.problems: tuple[str, ...] = ()
        """What is wrong with the settings, as far as it shows when it starts."""
        self._own = OwnSource(identity, config_errors)
        self._sources: tuple[Source, ...] = (declared_families, self._own)
        if settings.process:
            self._sources += (ProcessSource(clock),)

        self.declare = Declarer("svcready")
        """Declares our own metrics, for what counts the other pillars' events."""
        self._runtime = RuntimeSource(clock, self.declare) if settings.runtime else None
        if self._runtime is not None:
            self._sources += (self._runtime,)

        if settings.host:
            self._sources += (HostSource(clock),)

        self._dropped = self.declare.counter(
            "svcready_dropped",
            "Telemetry that was thrown away, by whose it was and why.",
            labels=("component", "reason"),
        )
        self.http = HttpMetrics(self.declare, max_routes=settings.max_routes)
        """The HTTP server's metrics."""
        self._whole = WholeService(
            group if settings.workers and prometheus.enabled else None,
            self._all_registries,
            self._ours,
            self.snapshot,
            clock,
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

    def meet(self) -> None:
        """Join the other processes, if there are any by now; cheap."""
        self._whole.wake()

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
            if self._runtime is not None:
                self._runtime.start()
            if self._settings.instrument:
                from svcready.metrics.clients._named import instrument_named

                named = instrument_named(self._settings.instrument)
                self.problems, self._undo_clients = named

    def close(self) -> None:
        """End the binding; what was counted stays, and goes on being counted."""
        self._pusher.close()
        self._whole.close()
        if self._started:
            self._started = False
            self._undo_clients()
            REGISTER.bind(None)
            if self._runtime is not None:
                self._runtime.close()

    def watch_loop(self, loop: AbstractEventLoop) -> None:
        """Observe how late *loop*, which serves requests, calls back."""
        if self._runtime is not None and self._started:
            self._runtime.watch(loop)

    def identify(self, identity: Identity) -> None:
        """Take a new identity: a forked child's, or what a look-up found."""
        self._own.identity = identity
        for sink in self._pusher.sinks:
            sink.identify(identity)

    def include(self, registry: Collects) -> None:
        """Read a further prometheus_client registry at each snapshot."""
        if all(known is not registry for known in self._registries):
            self._registries = (*self._registries, registry)

    def add_source(self, source: Source) -> None:
        """Read a further source at each snapshot, after our own."""
        self._sources += (source,)

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
        """
        Read every source once.

        A family that the application exposes through prometheus_client wins over one
        of ours that would have a name in common with it.
        """
        families: list[Family] = []
        occupied: set[str] = set()
        for family in chain(self._theirs(), self._ours()):
            names = sample_names(family.kind, family.exposition)
            if not occupied.isdisjoint(names):
                self._tell_shadowed(family)
                continue

            occupied.update(names)
            families.append(family)

        return Snapshot(self._clock.time_ns(), tuple(families))

    def describe(self) -> dict[str, object]:
        """Return what is on, for the start line and the operator's surface."""
        metrics = REGISTER.things()
        return {
            "enabled": self._settings.enabled,
            "metrics": len(metrics),
            "series": sum(metric.series for metric in metrics),
            "capped": sorted(m.spec.name for m in metrics if m.capped),
            "shadowed": sorted(self._told),
            "sinks": [
                *(("prometheus",) if self._prometheus.enabled else ()),
                *(sink.name for sink in self._pusher.sinks),
            ],
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
                buckets = self._buckets_for(metric.spec.name)
                if buckets is not None:
                    metric.rebucket(check_buckets(metric.spec.name, buckets))
        except Exception as error:  # noqa: BLE001 - it records on with its defaults
            report_fault("metrics", error)

    def _theirs(self) -> Iterator[Family]:
        for registry in self._all_registries():
            yield from map(self._whole.own, registry_families(registry))

    def _all_registries(self) -> tuple[Collects, ...]:
        registries = self._registries
        default = default_registry() if self._settings.application_registry else None
        if default is not None and all(known is not default for known in registries):
            registries = (default, *registries)

        return registries

    def _ours(self) -> Iterator[Family]:
        for source in self._sources:
            try:
                yield from source()
            except Exception as error:  # noqa: BLE001 - the other sources are read on
                report_fault("metrics", error)

    def _tell_shadowed(self, family: Family) -> None:
        # prometheus_client registers process metrics of its own just by being loaded:
        # that those win is no news.
        if family.origin != "process" and family.name not in self._told:
            self._told.add(family.name)
            publish(FamilyShadowed(family.name, family.exposition))
