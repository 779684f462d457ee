"""The source of what an application records with prometheus_client."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from svcready._core.guard import report_fault
from svcready.metrics._model import Exemplar, Family, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import prometheus_client.metrics_core
    import prometheus_client.samples

__all__ = ["Collects", "default_registry", "registry_families"]


class Collects(Protocol):
    """A registry or collector of prometheus_client."""

    def collect(self) -> Iterable[prometheus_client.metrics_core.Metric]:
        """Return the families as they are now."""
        ...


def default_registry() -> Collects | None:
    """Return prometheus_client's own registry, if that library is loaded at all."""
    module = sys.modules.get("prometheus_client.registry")
    found: Collects | None = getattr(module, "REGISTRY", None)
    return found


def registry_families(registry: Collects) -> Iterator[Family]:
    """
    Read all families of *registry*, sample by sample as it gives them.

    A collector that fails ends its own families, not those of the collectors after it.
    """
    for collector in _collectors(registry):
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
                )
        except Exception as error:  # noqa: BLE001 - an application's collector
            report_fault("metrics.application", error)


def _collectors(registry: Collects) -> Iterable[Collects]:
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
