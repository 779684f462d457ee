from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.events import ItemsDropped, subscribe
from svcready.config._sections.cloudwatch import CloudwatchSettings
from svcready.metrics._instruments._histograms import BucketInstrument
from svcready.metrics._instruments._register import REGISTER
from svcready.metrics._model import Snapshot
from svcready.metrics.sinks._cloudwatch._collector import Collector
from svcready.metrics.sinks._cloudwatch._dimensions import Dimensions, read_sets
from svcready.metrics.sinks._cloudwatch._selection import Selection
from svcready.metrics.sinks._cloudwatch._totals import Totals
from svcready.metrics.sources._declared import declared_families
from tests.metrics.conftest import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready.metrics._model import Family
    from svcready.metrics.sinks._cloudwatch._billed import Billed


@pytest.fixture
def make_collector() -> Callable[..., Collector]:
    """Make collectors of what is declared, beside given families."""

    def make(
        families: Callable[[], Iterable[Family]] = tuple,
        *,
        identity: Identity = IDENTITY,
        max_series: int = 2000,
        billed: Billed | None = None,
        totals: Totals | None = None,
        clock: Clock = SYSTEM_CLOCK,
        **settings: object,
    ) -> Collector:
        chosen = CloudwatchSettings(**settings)  # type: ignore[arg-type]
        sets, problem = read_sets(chosen.dimensions)
        assert not problem
        for metric in REGISTER.things():
            if isinstance(metric, BucketInstrument):
                metric.keep_sketches(True)

        return Collector(
            lambda: Snapshot(0, (*declared_families(), *families())),
            Selection(chosen),
            Dimensions(sets, join_labels=chosen.label_dimensions),
            identity=identity,
            namespace=chosen.namespace,
            max_series=max_series,
            billed=billed,
            instruments=REGISTER.things,
            totals=totals or Totals(),
            clock=clock,
        )

    return make


@pytest.fixture
def drops() -> Iterator[list[ItemsDropped]]:
    """Collect what is said to be dropped."""
    said: list[ItemsDropped] = []
    unsubscribe = subscribe(ItemsDropped, said.append)
    yield said
    unsubscribe()
