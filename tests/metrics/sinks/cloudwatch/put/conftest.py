from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest

from svcready._core import events
from svcready.config._sections.cloudwatch import CloudwatchSettings
from svcready.metrics._instruments._sketch import Sketch
from svcready.metrics.sinks._cloudwatch._data import Datum, Key
from svcready.metrics.sinks._cloudwatch._put._sink import PutMetricDataSink
from svcready.testing import FakeClock
from tests.metrics.conftest import IDENTITY

if TYPE_CHECKING:
    from svcready._core.identity import Identity
    from tests.metrics.sinks.cloudwatch.put.metrics_server import MetricsServer


T = TypeVar("T")
Make = Callable[..., PutMetricDataSink]


class Recorder:
    """What a collector is to a sink: gives each recording once."""

    def __init__(self) -> None:
        self._counts: dict[Datum, float] = {}
        self._levels: dict[Datum, float] = {}
        self._sketches: dict[Datum, Sketch] = {}
        self.identities: list[Identity] = []
        self.resets = 0
        self.fault: Exception | None = None

    def count(self, name: str, amount: float = 1.0, **more: str) -> None:
        """Add to a counter, whose dimensions are *more*."""
        key = _key(name, "count", "Count", more)
        self._counts[key] = self._counts.get(key, 0.0) + amount

    def level(self, name: str, value: float, **more: str) -> None:
        """Set a gauge."""
        self._levels[_key(name, "level", "None", more)] = value

    def observe(self, name: str, *values: float, **more: str) -> None:
        """Record values of a distribution."""
        key = _key(name, "distribution", "Milliseconds", more)
        self._sketches.setdefault(key, Sketch()).add(values)

    def keys(self) -> list[Key]:
        """Name the series that there is something to collect of."""
        filled = [key for key, held in self._sketches.items() if held.count]
        return [key.key for key in (*self._counts, *self._levels, *filled)]

    def collect(self, only: int = 0) -> list[Datum]:
        """Give everything since the last time, or what is stored so."""
        if self.fault is not None:
            raise self.fault

        return [
            *_take(self._counts, only, lambda key, value: key._replace(value=value)),
            *_take(self._levels.copy(), only, lambda key, v: key._replace(value=v)),
            *_take(self._sketches, only, lambda key, held: key._replace(sketch=held)),
        ]

    def identify(self, identity: Identity) -> None:
        """Note it."""
        self.identities.append(identity)

    def reset(self) -> None:
        """Forget what was recorded."""
        self._counts, self._levels, self._sketches = {}, {}, {}
        self.resets += 1


def _take(
    held: dict[Datum, T], only: int, make: Callable[[Datum, T], Datum]
) -> list[Datum]:
    wanted = [key for key in held if only in {0, key.resolution}]
    return [make(key, held.pop(key)) for key in wanted]


def _key(name: str, kind: str, unit: str, more: dict[str, str]) -> Datum:
    resolution = 1 if name.startswith("fast") else 60
    return Datum(name, tuple(sorted(more.items())), unit, resolution, kind)


@pytest.fixture
def recorder() -> Recorder:
    """Record what the sink under test sends."""
    return Recorder()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give botocore what an operator's environment would."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


@pytest.fixture
def server(account: None, clock: FakeClock) -> Iterator[MetricsServer]:
    """Run the strict server, which goes by the test's clock."""
    from tests.metrics.sinks.cloudwatch.put.metrics_server import MetricsServer

    made = MetricsServer(lambda: clock.time_ns() / 1e9)
    yield made
    made.stop()


@pytest.fixture
def make_sink(
    server: MetricsServer, recorder: Recorder, clock: FakeClock
) -> Iterator[Make]:
    """Make sinks that send to the strict server."""
    made: list[PutMetricDataSink] = []

    def make(**settings: object) -> PutMetricDataSink:
        chosen = {"mode": "api", "endpoint": server.url} | settings
        sink = PutMetricDataSink(
            CloudwatchSettings(**chosen),  # type: ignore[arg-type]
            recorder,
            identity=IDENTITY,
            clock=clock,
        )
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.close()


@pytest.fixture
def told() -> Iterator[list[object]]:
    """Collect what is published of drops and destinations."""
    seen: list[object] = []
    kinds: list[type[object]] = [
        *(events.ItemsDropped, events.DestinationNoted),
        *(events.DestinationFailed, events.DestinationRecovered),
    ]
    ends = [events.subscribe(kind, seen.append) for kind in kinds]
    yield seen
    for end in ends:
        end()
