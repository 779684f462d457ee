"""The source of what an application records with prometheus_client."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from svcready._core.guard import report_fault
from svcready.metrics._model import Exemplar, Family, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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

    A collector that fails ends the reading; what came before it is kept.
    """
    try:
        for metric in registry.collect():
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
        report_fault("metrics.prometheus_client", error)


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
