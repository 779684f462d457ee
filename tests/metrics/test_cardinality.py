from __future__ import annotations

import threading
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from svcready._core.events import subscribe
from svcready.metrics import counter, histogram
from svcready.metrics._events import SeriesCapped
from svcready.metrics._instruments._instrument import OTHER

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
    """Beyond the cap all lands in one series, without memory, with one warning."""
    make_pillar(max_series=2000)
    orders = counter("orders", "help", labels=("kind", "user"))
    tracemalloc.start()
    try:
        for number in range(2001):
            orders.labels("retail", f"user-{number}").inc()

        full, _ = tracemalloc.get_traced_memory()
        for number in range(2001, 50_000):
            orders.labels("retail", f"user-{number}").inc()

        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert full < 2_000_000
    assert after - full < 2000  # that is 0.04 bytes for each value
    numbers = read(orders.read())
    assert len(numbers) == 2001
    assert numbers[OTHER, OTHER] == 48_000
    assert sum(numbers.values()) == 50_000
    last = tuple(f"user-{number}" for number in range(1995, 2000))
    assert told == [SeriesCapped("orders", 2000, "user", last)]


def test_what_was_folded_is_counted(
    make_pillar: Callable[..., MetricsPillar], read: Callable[[Family], Numbers]
) -> None:
    """By metric, only what found no room; a kept child is looked up once."""
    pillar = make_pillar(max_series=2)
    orders = counter("orders", "help", labels=("user",))
    sizes = histogram("sizes", "help", labels=("user",))
    counter("roomy", "help", labels=("user",)).labels("a").inc()
    for user in ("a", "b", "c", "a", "c", "d"):
        orders.labels(user).inc()
        sizes.labels(user).observe(1)

    kept = sizes.labels("e")
    kept.observe(1)
    kept.observe(1)

    folded = pillar.snapshot().find("svcready_metrics_folded")
    assert folded is not None
    assert (folded.kind, folded.labels) == ("counter", ("metric",))
    assert read(folded) == {("orders",): 3, ("sizes",): 4}


def test_the_warning_names_the_label_that_offends(
    told: list[SeriesCapped], make_pillar: Callable[..., MetricsPillar]
) -> None:
    """It is the one with the most different values, wherever it stands."""
    make_pillar(max_series=6)
    orders = counter("orders", "help", labels=("shop", "user", "kind"))
    for number in range(7):
        orders.labels("s-1", f"u-{number}", f"k-{number % 3}").inc()

    values = ("u-1", "u-2", "u-3", "u-4", "u-5")
    assert told == [SeriesCapped("orders", 6, "user", values)]


def test_the_warning_tells_no_secret(
    told: list[SeriesCapped], make_pillar: Callable[..., MetricsPillar]
) -> None:
    """What was recorded before there was a runtime is redacted when it is shown."""
    orders = counter("orders", "help", labels=("user",))
    for number in range(3):
        orders.labels(f"secret-{number}").inc()

    orders.limit(3, 200, lambda text: text.replace("secret", "***"))
    orders.labels("secret-3").inc()

    assert told == [SeriesCapped("orders", 3, "user", ("***-0", "***-1", "***-2"))]


def test_all_metrics_together_have_a_limit(
    told: list[SeriesCapped],
    make_pillar: Callable[..., MetricsPillar],
    read: Callable[[Family], Numbers],
) -> None:
    """Many metrics within their own limits don't fill the memory either."""
    early = counter("early", "help", labels=("user",))
    for number in range(29):
        early.labels(f"user-{number}").inc()

    make_pillar(max_series=30, max_total_series=60)
    metrics = [counter(f"m{place}", "help", labels=("user",)) for place in range(10)]
    histogram("alone", "help").observe(1)
    for number in range(29):
        for metric in metrics[:2]:
            metric.labels(f"user-{number}").inc()

    for metric in metrics:
        metric.labels("one").inc()
        metric.labels("two").inc()

    every = [early, *metrics]
    known = [series for m in every for series in read(m.read()) if OTHER not in series]
    assert len(known) == 59  # and the one of the histogram
    assert sum(sum(read(m.read()).values()) for m in every) == 29 * 3 + 20
    assert read(metrics[9].read()) == {(OTHER,): 2}
    assert [(e.metric, e.limit, e.together) for e in told] == [("early", 60, True)]


def test_a_limit_together_that_an_earlier_runtime_reached_is_counted_again(
    told: list[SeriesCapped], make_pillar: Callable[..., MetricsPillar]
) -> None:
    """Series outlive a runtime, so the next one finds the room that they take."""
    make_pillar(max_total_series=2).close()
    orders = counter("orders", "help", labels=("user",))
    orders.labels("a").inc()
    orders.labels("b").inc()
    make_pillar(max_total_series=2)

    assert orders.labels("c") is orders.labels(OTHER)
    assert [e.metric for e in told] == ["orders"]


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


def test_routes_without_end_are_told_of_once(
    told: list[SeriesCapped], make_pillar: Callable[..., MetricsPillar]
) -> None:
    """An application that makes routes of paths reads which ones."""
    http = make_pillar(max_routes=2).http
    for number in range(5):
        http.children("GET", f"/users/{number}", 200).observe(1)
        http.response_sizes("GET", f"/users/{number}", 200).observe(1)

    name = "http.server.request.duration"
    assert told == [SeriesCapped(name, 2, "http_route", ("/users/0", "/users/1"))]
