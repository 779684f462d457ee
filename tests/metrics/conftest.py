from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready._core.identity import Identity
from svcready.config._sections.metrics import MetricsSettings
from svcready.config._sections.prometheus import PrometheusSettings
from svcready.metrics._instruments._register import forget_all
from svcready.metrics._pillar import MetricsPillar
from svcready.metrics.sinks._otlp._since import forget_arrived
from svcready.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.metrics._model import Family


IDENTITY = Identity(
    service="orders",
    version="1.4.2",
    environment="test",
    instance="i-1",
    host_instance="task-1",
)


@pytest.fixture(autouse=True)
def _fresh_register() -> Iterator[None]:
    forget_all()
    forget_arrived()
    yield
    forget_all()
    forget_arrived()


@pytest.fixture
def clock() -> FakeClock:
    """Time that passes by `advance`."""
    return FakeClock()


@pytest.fixture
def make_pillar(clock: FakeClock) -> Iterator[Callable[..., MetricsPillar]]:
    """Make pillars without the system's metrics, closed after the test."""
    made: list[MetricsPillar] = []

    def make(
        *,
        buckets: dict[str, tuple[float, ...]] | None = None,
        prometheus: PrometheusSettings | None = None,
        config_errors: int = 0,
        **settings: object,
    ) -> MetricsPillar:
        quiet = ("process", "runtime", "host", "application_registry")
        chosen = dict.fromkeys(quiet, False) | settings
        pillar = MetricsPillar(
            MetricsSettings(**chosen),  # type: ignore[arg-type]
            prometheus or PrometheusSettings(),
            identity=IDENTITY,
            clock=clock,
            buckets_for=(buckets or {}).get,
            config_errors=lambda: config_errors,
        )
        pillar.start()
        made.append(pillar)
        return pillar

    yield make
    for pillar in made:
        pillar.close()


@pytest.fixture
def read() -> Callable[[Family], dict[tuple[str, ...], float]]:
    """Return a family's numbers by label values."""

    def numbers(family: Family) -> dict[tuple[str, ...], float]:
        return {point.labels: point.value for point in family.points}  # type: ignore[union-attr, misc]

    return numbers
