from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready._core.identity import Identity
from svcready.config._sections.metrics import MetricsSettings
from svcready.config._sections.prometheus import PrometheusSettings
from svcready.metrics._instruments._register import forget_all
from svcready.metrics._pillar import MetricsPillar
from svcready.metrics.sinks._otlp._since import forget_arrived
from svcready.metrics.sources._otel._provider import PROVIDER
from svcready.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from svcready.metrics._model import Family
    from tests.metrics.received import Receivers


IDENTITY = Identity(
    service="orders",
    version="1.4.2",
    environment="test",
    instance="i-1",
    host_instance="task-1",
)


@pytest.fixture(autouse=True)
def _fresh_register() -> Iterator[None]:
    _forget()
    yield
    _forget()


def _forget() -> None:
    forget_all()
    forget_arrived()
    PROVIDER.forget()


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


@pytest.fixture
def receivers(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Receivers]:
    """Run what receives metrics; boto3 finds an account, and reads its files once."""
    from botocore import loaders

    from tests.metrics.otlp_collector import MetricsCollector
    from tests.metrics.received import Receivers
    from tests.metrics.sinks.cloudwatch.put.metrics_server import MetricsServer

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    known = loaders.create_loader()
    monkeypatch.setattr(loaders, "create_loader", lambda *_: known)
    put = MetricsServer(lambda: clock.time_ns() / 1e9)
    collector = MetricsCollector()
    yield Receivers(tmp_path / "emf", put, collector, clock)
    put.stop()
    collector.close()
