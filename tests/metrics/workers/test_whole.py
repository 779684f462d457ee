"""The whole service: what is joined, and what is of the process that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import prometheus_client
import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from svcready.metrics import gauge
from svcready.metrics._instruments import _levels
from svcready.metrics._model import Distribution, Number, Sample
from svcready.metrics._workers._buckets import with_distributions
from svcready.metrics.sources._prometheus_client import Inherited, registry_families
from svcready.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from svcready.metrics._pillar import MetricsPillar
    from tests.conftest import Faults


def test_a_level_knows_when_it_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a gauge in mode `latest`, setting the same value again is later, too."""
    clock = FakeClock()
    monkeypatch.setattr(_levels, "SYSTEM_CLOCK", clock)
    depth = gauge("depth", "Depth", labels=("queue",), workers="latest")
    child = depth.labels("a")
    assert depth.dates() == {("a",): 0.0}

    dates: list[float] = []
    changes: list[Callable[[], None]] = [child.inc, child.dec]
    for change in (lambda: child.set(5), lambda: child.set(5), *changes):
        clock.advance(1)
        change()
        dates += depth.dates().values()

    assert dates == sorted(set(dates))
    child.set_function(lambda: 5)
    clock.advance(1)
    assert depth.dates() == {("a",): clock.time_ns() / 1e9}
    child.reset()
    assert gauge("other", "No dates").dates() == {}


class Custom(Collector):
    """Counts how often it was asked."""

    asked = 0

    def collect(self) -> list[GaugeMetricFamily]:
        """Return one family."""
        self.asked += 1
        return [GaugeMetricFamily("custom", "C", value=1)]


def test_modes_of_prometheus_client() -> None:
    """Its metrics say how they are joined; what others collect can't be."""
    registry = CollectorRegistry()
    prometheus_client.Counter("c", "C", registry=registry)
    prometheus_client.Histogram("h", "H", registry=registry)
    prometheus_client.Summary("s", "S", registry=registry)
    prometheus_client.Info("i", "I", registry=registry)
    for mode in ("all", "livesum", "max", "livemin", "mostrecent"):
        prometheus_client.Gauge(
            f"g_{mode}", "G", multiprocess_mode=mode, registry=registry
        )

    prometheus_client.GCCollector(registry=registry)
    prometheus_client.PlatformCollector(registry=registry)
    custom = Custom()
    registry.register(custom)
    asked = custom.asked

    modes = {f.exposition: f.workers for f in registry_families(registry, custom=False)}

    assert custom.asked == asked
    assert modes.pop("python_gc_collections") == "pid"
    assert {key: mode for key, mode in modes.items() if "_gc_" not in key} == {
        "c": "sum",
        "h": "sum",
        "s": "sum",
        "i": "max",
        "g_all": "pid",
        "g_livesum": "sum",
        "g_max": "max",
        "g_livemin": "min",
        "g_mostrecent": "latest",
        "python_info": "max",
    }
    (alone,) = registry_families(registry, standard=False)
    assert (alone.exposition, alone.workers) == ("custom", "own")


@pytest.mark.parametrize("bounds", [(1.0, 2.0), (-1.0, 2.0)])
def test_a_histogram_of_samples(bounds: tuple[float, ...]) -> None:
    """It becomes one of distributions, its dates kept, also without a sum."""
    registry = CollectorRegistry()
    made = prometheus_client.Histogram(
        "h", "H", ("k",), buckets=bounds, registry=registry
    )
    for value in (0.5, 1.5, 1.5, 9):
        made.labels("x").observe(value, {"trace_id": "1"})

    (family,) = registry_families(registry)
    found = with_distributions(family)

    point, created = found.points
    assert isinstance(point, Distribution)
    assert isinstance(created, Sample)
    assert found.labels == ("k",)
    assert point.labels == ("x",)
    assert point.bounds == bounds
    assert point.counts == ((1, 2, 1) if bounds[0] > 0 else (0, 3, 1))
    assert point.sum == (12.5 if bounds[0] > 0 else 0.0)
    assert point.exemplars[-1] is not None
    assert created.labels == (("k", "x"),)


def test_what_was_inherited_is_left_out() -> None:
    """A child tells what it counted itself, unless somebody has cleared the metric."""
    registry = CollectorRegistry()
    counter = prometheus_client.Counter("c", "C", ("k",), registry=registry)
    counter.labels("x").inc(5)
    inherited = Inherited()
    inherited.note([registry])
    inherited.take()
    counter.labels("x").inc(2)
    counter.labels("y").inc(1)

    def totals() -> list[float]:
        (family,) = registry_families(registry)
        points = inherited.without(family).points
        return [
            p.value for p in points if isinstance(p, Sample) and p.name == "c_total"
        ]

    assert totals() == [2, 1]
    counter.clear()
    counter.labels("x").inc(3)
    assert totals() == [3]


def test_without_others_files_are_read_all_the_same(
    make_pillar: Callable[..., MetricsPillar],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    faults: Faults,
) -> None:
    """PROMETHEUS_MULTIPROC_DIR counts for a process that is alone, and may be wrong."""
    registry = CollectorRegistry()
    prometheus_client.Counter("c", "C", registry=registry).inc(5)
    level = gauge("level", "Level")
    level.set(2)
    pillar = make_pillar()
    pillar.include(registry)
    assert b"c_total 5.0" in pillar.prometheus.render(None, None).body

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    page = pillar.prometheus.render(None, None).body
    assert b"c_total" not in page  # there is no file of it
    assert b"level 2.0" in page

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "missing"))
    assert b"level 2.0" in pillar.prometheus.render(None, None).body
    faults.claim("metrics.application")
    found = pillar.snapshot().find("level")
    assert found is not None
    assert found.points == (Number((), 2),)
