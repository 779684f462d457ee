"""What is billed is counted by the hour, and told of once beyond the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready._core.events import subscribe
from svcready.metrics._events import MetricBudgetExceeded
from svcready.metrics.sinks._cloudwatch._billed import Billed
from svcready.metrics.sinks._cloudwatch._data import Datum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.testing import FakeClock


@pytest.fixture
def told() -> Iterator[list[MetricBudgetExceeded]]:
    """Collect the warnings."""
    said: list[MetricBudgetExceeded] = []
    unsubscribe = subscribe(MetricBudgetExceeded, said.append)
    yield said
    unsubscribe()


def datums(name: str, *values: str) -> list[Datum]:
    """Make a datum for each dimension value."""
    return [Datum(name, (("kind", value),), "Count", value=1.0) for value in values]


def test_a_metric_counts_for_an_hour(clock: FakeClock) -> None:
    """A name with its dimensions is one, however often it is sent."""
    billed = Billed(100, clock)
    billed.sent(datums("orders", "a", "b"))
    clock.advance(1800)
    billed.sent(datums("orders", "a"))
    assert billed.count() == 2

    clock.advance(1801)
    assert billed.count() == 1


def test_the_budget_is_told_of_once(
    clock: FakeClock, told: list[MetricBudgetExceeded]
) -> None:
    """And again only after there were fewer; the largest names come first."""
    billed = Billed(3, clock)
    for _ in range(3):
        billed.sent([*datums("orders", "a", "b", "c"), *datums("refunds", "a")])

    assert told == [MetricBudgetExceeded(4, 3, (("orders", 3), ("refunds", 1)))]
    clock.advance(3601)
    assert billed.count() == 0
    billed.sent(datums("orders", *"abcd"))
    assert len(told) == 2
