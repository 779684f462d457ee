"""What could not be sent is merged into what is sent next, series by series."""

from __future__ import annotations

import pytest

from svcready.metrics._instruments._sketch import Sketch
from svcready.metrics.sinks._cloudwatch._data import Datum, Pending, Statistics

HERE = (("Environment", "test"),)


def sketch_of(*values: float) -> Sketch:
    """Record *values*."""
    sketch = Sketch()
    sketch.add(values)
    return sketch


def times(*values: float) -> Datum:
    """Make a distribution of seconds, sent in milliseconds."""
    return Datum(
        "ResponseTime",
        HERE,
        "Milliseconds",
        kind="distribution",
        sketch=sketch_of(*values),
        scale=1000.0,
    )


def test_counts_add_up() -> None:
    """An outage of three intervals loses no count."""
    pending = Pending()
    for added in (2.0, 3.0, 5.0):
        pending.add([Datum("orders", HERE, "Count", value=added)])

    assert [Datum("orders", HERE, "Count", value=10.0)] == pending.take()
    assert pending.take() == []


def test_distributions_merge() -> None:
    """Count, sum, min and max are those of everything that was recorded."""
    pending = Pending()
    pending.add([times(0.25, 0.5)])
    pending.add([times(0.125)])

    (datum,) = pending.take()

    assert Statistics(3, 875.0, 125.0, 500.0) == datum.statistics()
    reduced = datum.reduced(100)
    assert reduced.values == (125.0, 250.0, 500.0)
    assert reduced.counts == (1, 1, 1)


def test_distributions_of_two_units_merge() -> None:
    """One was recorded in seconds and one in milliseconds, as they are sent."""
    for first, second in ((0, 1), (1, 0)):
        both = [
            times(0.25, 0.5),
            times(125.0)._replace(scale=1.0),
        ]
        pending = Pending()
        pending.add([both[first]])
        pending.add([both[second]])

        (datum,) = pending.take()

        assert datum.statistics() == pytest.approx((3, 875.0, 125.0, 500.0))
        assert datum.reduced(100).values == pytest.approx((125.0, 250.0, 500.0))


def test_levels_keep_the_latest() -> None:
    """Where a gauge was an hour ago is of no use now."""
    pending = Pending()
    pending.add([Datum("queue", HERE, "None", kind="level", value=4.0)])
    pending.add([Datum("queue", HERE, "None", kind="level", value=1.0)])

    assert [datum.value for datum in pending.take()] == [1.0]


def test_series_are_kept_apart() -> None:
    """Name, dimensions, unit and resolution tell series apart."""
    one = Datum("orders", HERE, "Count", value=1.0)
    others = [
        one._replace(name="refunds"),
        one._replace(dimensions=()),
        one._replace(unit="None"),
        one._replace(resolution=1),
    ]
    pending = Pending()

    pending.add([one, *others])

    assert [one, *others] == pending.take()


def test_what_is_held_is_bounded_by_series() -> None:
    """Beyond the bound new series are given up and counted; known ones add up."""
    dropped: list[int] = []
    pending = Pending(2, dropped.append)

    for _ in range(3):
        pending.add([Datum(name, HERE, "Count", value=1.0) for name in "abcd"])

    assert dropped == [2, 2, 2]
    assert len(pending) == 2
    assert [(d.name, d.value) for d in pending.take()] == [("a", 3.0), ("b", 3.0)]
