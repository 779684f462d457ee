from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from svcready._core.events import subscribe
from svcready.metrics import counter, histogram
from svcready.metrics._events import SeriesCapped
from svcready.metrics._instruments import OTHER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.metrics._model import Family
    from svcready.metrics._pillar import MetricsPillar

Numbers = dict[tuple[str, ...], float]


@pytest.fixture
def told() -> Iterator[list[SeriesCapped]]:
    """Every warning of a cap."""
    events: list[SeriesCapped] = []
    unsubscribe = subscribe(SeriesCapped, events.append)
    yield events
    unsubscribe()


def test_fifty_thousand_values_are_bounded_and_lose_nothing(
    told: list[SeriesCapped],
    make_pillar: Callable[..., MetricsPillar],
    read: Callable[[Family], Numbers],
) -> None:
    """Beyond the cap everything lands in one series, with one warning."""
    make_pillar(max_series=100)
    orders = counter("orders", "help", labels=("user", "kind"))
    for number in range(50_000):
        orders.labels(f"user-{number}", "retail").inc()

    numbers = read(orders.read())
    assert len(numbers) == 101
    assert numbers[OTHER, OTHER] == 49_900
    assert sum(numbers.values()) == 50_000
    assert told == [
        SeriesCapped("orders", 100, (("user", "user-100"), ("kind", "retail")))
    ]


def test_what_had_room_keeps_its_series(
    make_pillar: Callable[..., MetricsPillar],
) -> None:
    """A full metric goes on telling its known series apart."""
    make_pillar(max_series=1)
    sizes = histogram("sizes", "help", labels=("kind",))
    first = sizes.labels("a")

    assert sizes.labels("b") is sizes.labels("c")
    assert sizes.labels("a") is first
    assert sizes.capped


def test_the_cap_is_said_once_by_many_threads(
    told: list[SeriesCapped], make_pillar: Callable[..., MetricsPillar]
) -> None:
    """Threads that meet at the cap don't each warn."""
    make_pillar(max_series=1)
    orders = counter("orders", "help", labels=("kind",))
    ready = threading.Barrier(8)

    def work() -> None:
        ready.wait()
        for number in range(50):
            orders.labels(f"kind-{number}").inc()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    assert len(told) == 1


def test_a_metric_without_labels_has_its_series_whatever_the_cap(
    make_pillar: Callable[..., MetricsPillar], read: Callable[[Family], Numbers]
) -> None:
    """The cap counts what labels make."""
    make_pillar(max_series=1)
    orders = counter("orders", "help")
    orders.inc()

    assert read(orders.read()) == {(): 1}


def test_a_long_value_is_cut(
    make_pillar: Callable[..., MetricsPillar], read: Callable[[Family], Numbers]
) -> None:
    """A request's text can't fill memory or a dimension by its length."""
    make_pillar(max_label_length=16)
    orders = counter("orders", "help", labels=("kind",))
    orders.labels("x" * 10_000).inc()
    orders.labels("x" * 17).inc()

    assert read(orders.read()) == {("x" * 16,): 2}
