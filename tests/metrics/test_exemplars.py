from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from svcready.metrics._instruments import _exemplars
from svcready.metrics._instruments._children import CounterChild, LockedCounterChild
from svcready.metrics._instruments._histogram_child import (
    HistogramChild,
    LockedHistogramChild,
)
from svcready.metrics._model import Exemplar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Faults

COUNTERS = [CounterChild, LockedCounterChild]
HISTOGRAMS = [HistogramChild, LockedHistogramChild]
NOW_NS = 1_700_000_000_500_000_000


class Spans:
    """The spans that are current one after the other, and how often one was asked."""

    def __init__(self) -> None:
        self.sampled: bool = True
        self.looks = 0

    def __call__(self) -> tuple[str, str] | None:
        """Return the ids of a new span if it is sampled."""
        self.looks += 1
        return (f"{self.looks:032x}", f"{self.looks:016x}") if self.sampled else None


@pytest.fixture
def spans() -> Iterator[Spans]:
    """What the recordings look at."""
    spans = Spans()
    _exemplars.look_by(spans, lambda: NOW_NS)
    yield spans
    _exemplars.look_by(None)


def ids(number: int) -> tuple[tuple[str, str], ...]:
    """Return the labels of the span that was looked at as the *number*-th."""
    return (("trace_id", f"{number:032x}"), ("span_id", f"{number:016x}"))


@pytest.mark.parametrize("kind", COUNTERS)
def test_a_counter_keeps_one_amount_between_readings(
    kind: type[CounterChild], spans: Spans
) -> None:
    """The first in a sampled span, with its time; then one look for each reading."""
    child = kind()
    for amount in (2, 3, 5):
        child.inc(amount)

    point = child.point(("a",))
    assert (point.labels, point.value) == (("a",), 10)
    assert point.exemplar == Exemplar(ids(1), 2, 1_700_000_000.5)
    assert spans.looks == 1

    child.inc(7)
    child.inc()
    point = child.point(("a",))
    assert point.exemplar is not None
    assert point.exemplar[:2] == (ids(2), 7)
    assert child.point(("a",)).exemplar == point.exemplar


@pytest.mark.parametrize("kind", HISTOGRAMS)
def test_a_histogram_keeps_one_for_each_bucket(
    kind: type[HistogramChild], spans: Spans
) -> None:
    """Each reading may bring one more, into the bucket that its value lies in."""
    child = kind((1.0, 10.0))
    child.observe(0.5)
    child.observe(0.7)
    child.read(())
    child.observe(10.0)
    child.read(())
    child.observe(0.9)

    low, middle, high = child.read(()).exemplars
    assert low == (ids(3), 0.9, 1_700_000_000.5)
    assert middle == (ids(2), 10.0, 1_700_000_000.5)
    assert high is None
    assert spans.looks == 3


@pytest.mark.parametrize("kind", HISTOGRAMS)
@pytest.mark.usefixtures("spans")
def test_an_exemplar_lies_in_its_bucket_whatever_happens(
    kind: type[HistogramChild],
) -> None:
    """Buckets change, values fall anywhere; a reader that checks is content."""
    draw = random.Random(3)
    child = kind((1.0, 2.0, 3.0))
    for _ in range(300):
        child.observe(draw.uniform(-1, 5))
        if draw.random() < 0.1:
            child.rebucket(tuple(sorted({draw.choice(range(9)) / 2 for _ in "abcd"})))

        read = child.read(())
        lows, highs = (-math.inf, *read.bounds), (*read.bounds, math.inf)
        for at, exemplar in enumerate(read.exemplars):
            assert exemplar is None or lows[at] < exemplar.value <= highs[at]


@pytest.mark.parametrize("kind", COUNTERS)
@pytest.mark.parametrize("amount", [1, 1000, 0.001])
def test_a_counter_looks_seldom_where_nothing_is_sampled(
    kind: type[CounterChild], amount: float, spans: Spans
) -> None:
    """Eight in a row and every 32nd, whatever is added; and finds what is sampled."""
    spans.sampled = False
    child = kind()
    for _ in range(1600):
        child.inc(amount)

    assert 55 <= spans.looks <= 59
    spans.sampled = True
    for _ in range(40):
        child.inc(amount)

    assert child.point(()).exemplar is not None


@pytest.mark.parametrize("kind", HISTOGRAMS)
def test_a_histogram_looks_seldom_where_nothing_is_sampled(
    kind: type[HistogramChild], spans: Spans
) -> None:
    """Eight in a row and every 32nd recording; and finds what is sampled then."""
    spans.sampled = False
    child = kind((1.0,))
    for _ in range(1600):
        child.observe(0.5)

    assert 55 <= spans.looks <= 65
    spans.sampled = True
    for _ in range(40):
        child.observe(0.5)

    assert child.read(()).exemplars[0] is not None


@pytest.mark.parametrize("unsampled", range(8))
def test_a_rare_series_misses_nothing(unsampled: int, spans: Spans) -> None:
    """Of the first eight recordings after a reading, none is passed over."""
    count, sizes = CounterChild(), HistogramChild((1.0,))
    for _ in range(3):
        spans.sampled = False
        for _ in range(unsampled):
            count.inc()
            sizes.observe(0.5)

        spans.sampled = True
        count.inc(5)
        sizes.observe(0.7)
        number, (exemplar, _) = count.point(()), sizes.read(()).exemplars
        assert number.exemplar is not None
        assert exemplar is not None
        assert (number.exemplar.value, exemplar.value) == (5, 0.7)
        assert (number.exemplar.labels, exemplar.labels) == (
            ids(spans.looks - 1),
            ids(spans.looks),
        )


def test_a_large_total_looks_no_more_once_it_has_one(spans: Spans) -> None:
    """Beyond 2^30 it is as quiet as below."""
    child = CounterChild()
    for amount in (2**30 - 5, *[1] * 100, 2**40, *[1] * 100):
        child.inc(amount)

    assert spans.looks == 1
    child.point(())
    for _ in range(100):
        child.inc()

    assert spans.looks == 2


@pytest.mark.parametrize("reset", [True, False])
def test_without_a_reader_there_is_none(reset: bool, spans: Spans) -> None:
    """What was declared at import looks once a runtime traces, and a reading passed."""
    _exemplars.look_by(None)
    count, sizes = CounterChild(), HistogramChild((1.0,))

    def record() -> tuple[Exemplar | None, tuple[Exemplar | None, ...]]:
        for _ in range(100):
            count.inc()
            sizes.observe(0.5)

        return count.point(()).exemplar, sizes.read(()).exemplars

    assert record() == (None, ())
    _exemplars.look_by(spans)
    found, placed = record()
    assert found is not None
    assert len(placed) == 2
    if reset:
        count.reset()
        sizes.reset()
        _exemplars.look_by(None)
        assert record() == (None, ())


@pytest.mark.usefixtures("spans")
def test_a_reader_that_fails_is_ours(faults: Faults) -> None:
    """It is reported, and the value is counted."""

    def fail() -> tuple[str, str]:
        raise RuntimeError("no span")

    _exemplars.look_by(fail)
    child = HistogramChild((1.0,))
    child.observe(0.5)

    assert str(faults.claim("metrics.exemplars")) == "no span"
    assert child.read(()).observations == 1
