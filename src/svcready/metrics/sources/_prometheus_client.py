"""The source of what an application records with prometheus_client."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from svcready._core.guard import report_fault
from svcready.metrics._model import Exemplar, Family, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import prometheus_client.metrics_core
    import prometheus_client.samples

__all__ = ["Collects", "Inherited", "default_registry", "registry_families"]

_RISING = frozenset(("counter", "histogram", "summary"))
_MODES = {"mostrecent": "latest", "min": "min", "max": "max", "sum": "sum"}


class Collects(Protocol):
    """A registry or collector of prometheus_client."""

    def collect(self) -> Iterable[prometheus_client.metrics_core.Metric]:
        """Return the families as they are now."""
        ...


class Inherited:
    """
    What totals of prometheus_client a process had at its birth.

    Its metrics keep their values over a fork, so a child would tell again what its
    parent has counted.
    """

    def __init__(self) -> None:
        self._at_fork: dict[object, float] = {}
        self._totals: dict[object, float] = {}

    def note(self, registries: Iterable[Collects]) -> None:
        """Remember the totals of this process, which is about to fork."""
        found: dict[object, float] = {}
        for registry in registries:
            for family in registry_families(registry, custom=False):
                if family.kind in _RISING and family.workers == "sum":
                    for sample in family.points:
                        assert isinstance(sample, Sample)
                        if not sample.name.endswith("_created"):
                            found[sample.name, sample.labels] = sample.value

        self._at_fork = found

    def take(self) -> None:
        """Take what was remembered for one's own; in the child."""
        self._totals = self._at_fork

    def without(self, family: Family) -> Family:
        """Return *family* without what was inherited."""
        totals = self._totals
        if not totals or family.kind not in _RISING or family.workers != "sum":
            return family

        points = []
        for sample in family.points:
            assert isinstance(sample, Sample)
            before = totals.get((sample.name, sample.labels), 0.0)
            if 0 < before <= sample.value:  # less only if somebody has cleared it
                sample = sample._replace(value=sample.value - before)  # noqa: PLW2901

            points.append(sample)

        return family._replace(points=tuple(points))


def default_registry() -> Collects | None:
    """Return prometheus_client's own registry, if that library is loaded at all."""
    module = sys.modules.get("prometheus_client.registry")
    found: Collects | None = getattr(module, "REGISTRY", None)
    return found


def registry_families(
    registry: Collects,
    *,
    standard: bool = True,
    custom: bool = True,
    defaults: bool = True,
) -> Iterator[Family]:
    """
    Read all families of *registry*, sample by sample as it gives them.

    A collector that fails ends its own families, not those of the collectors after it.

    Args:
        registry: The registry.
        standard: Whether to read prometheus_client's own metrics and collectors,
            which know how their values of several processes are one.
        custom: Whether to read all other collectors, which don't.
        defaults: Whether to read those that the library registers by being loaded, of
            the process and its interpreter.
    """
    left_out = () if defaults else _defaults()
    for collector in _collectors(registry):
        mode = _mode_of(collector)
        if not (custom if mode == "own" else standard):
            continue

        if any(collector is default for default in left_out):
            continue

        try:
            for metric in collector.collect():
                yield Family(
                    metric.name,
                    metric.name,
                    metric.type,
                    metric.documentation,
                    metric.unit,
                    (),
                    tuple([_sample(sample) for sample in metric.samples]),
                    "prometheus_client",
                    # What differs by process no more than this one is no process' own.
                    "max" if metric.name == "python_info" else mode,
                )
        except Exception as error:  # noqa: BLE001 - an application's collector
            report_fault("metrics.application", error)


def _defaults() -> tuple[object, ...]:
    loaded = sys.modules.get("prometheus_client")
    return tuple([getattr(loaded, name, None) for name in _DEFAULTS])


def _mode_of(collector: Collects) -> str:
    """Return how several processes' values of *collector* are one; `own` if not."""
    kind = type(collector)
    if kind.__module__ == "prometheus_client.metrics":
        if kind.__name__ != "Gauge":
            return "sum" if kind.__name__ in _STANDARD else "max"

        mode: str = getattr(collector, "_multiprocess_mode", "all")
        return _MODES.get(mode.removeprefix("live"), "pid")

    return "pid" if kind.__module__ in _OF_PROCESS else "own"


_STANDARD = ("Counter", "Histogram", "Summary")
_DEFAULTS = ("GC_COLLECTOR", "PLATFORM_COLLECTOR", "PROCESS_COLLECTOR")
_OF_PROCESS = (
    "prometheus_client.gc_collector",
    "prometheus_client.platform_collector",
    "prometheus_client.process_collector",
)


def _collectors(registry: Collects) -> Sequence[Collects]:
    """Return what *registry* reads, in its order; itself if it won't say."""
    from prometheus_client.registry import CollectorRegistry

    # Its own `collect` ends with the first collector that fails, and no public method
    # names them. One that collects in a way of its own is asked as a whole.
    if getattr(type(registry), "collect", None) is not CollectorRegistry.collect:
        return (registry,)

    kept: Iterable[Collects] | None = getattr(registry, "_collector_to_names", None)
    if kept is None:
        return (registry,)

    return (_Target(registry), *kept)


class _Target:
    """The one family that a registry gives apart from its collectors'."""

    def __init__(self, registry: Collects) -> None:
        self._registry = registry

    def collect(self) -> Iterator[prometheus_client.metrics_core.Metric]:
        """Yield it, if it was set."""
        from prometheus_client.metrics_core import InfoMetricFamily

        get: Callable[[], dict[str, str] | None] | None
        get = getattr(self._registry, "get_target_info", None)
        labels = get() if get is not None else None
        if labels:
            yield InfoMetricFamily("target", "Target metadata", labels)


def _sample(sample: prometheus_client.samples.Sample) -> Sample:
    given = sample.exemplar
    exemplar = None
    if given is not None:
        exemplar = Exemplar(tuple(given.labels.items()), given.value, given.timestamp)

    return Sample(
        sample.name,
        tuple(sample.labels.items()),
        sample.value,
        sample.timestamp,
        exemplar,
    )
