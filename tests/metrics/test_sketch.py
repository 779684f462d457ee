from __future__ import annotations

import math
import random
from bisect import bisect_left
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from svcready.metrics._instruments._reduce import Bin, Reduced, reduce_bins
from svcready.metrics._instruments._sketch import Sketch

if TYPE_CHECKING:
    from collections.abc import Sequence

QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
LIMITS = (100, 150)
BATCH = 4096

finite = st.floats(-1e12, 1e12) | st.integers(-3, 3).map(float)
many = st.lists(finite, min_size=1, max_size=400)


def sketch_of(values: Sequence[float]) -> Sketch:
    """Record *values* as an instrument does: in sorted batches."""
    sketch = Sketch()
    for at in range(0, len(values), BATCH):
        batch = sorted(values[at : at + BATCH])
        sketch.add_sorted(batch, sum(batch))

    return sketch


def quantile(values: Sequence[float], ranks: Sequence[int], q: float) -> float:
    """Return the value of nearest rank, where values have *ranks* as their last."""
    return values[bisect_left(ranks, math.ceil(q * ranks[-1]))]


def check(reduced: Reduced, values: Sequence[float], limit: int) -> None:
    """Assert all that holds for every distribution."""
    assert 1 <= len(reduced.values) <= limit
    assert all(low < high for low, high in pairwise(reduced.values))
    assert reduced.values[0] == min(values)
    assert reduced.values[-1] == max(values)
    assert min(reduced.counts) > 0
    assert sum(reduced.counts) == len(values)
    total = math.fsum(v * n for v, n in zip(*reduced[:2], strict=True))
    size = math.fsum(map(abs, values))
    assert math.isclose(total, math.fsum(values), rel_tol=0, abs_tol=1e-9 * size)


def worst(reduced: Reduced, values: list[float]) -> float:
    """Return the largest relative error of the quantiles, exact ones beside sent."""
    exact, ranks = sorted(values), list(accumulate(reduced.counts))
    one_each = range(1, len(exact) + 1)
    return max(
        abs(quantile(reduced.values, ranks, q) / quantile(exact, one_each, q) - 1)
        for q in QUANTILES
    )


@given(many, st.integers(3, 160))
def test_what_is_sent_has_the_true_count_sum_and_extremes(
    values: list[float], limit: int
) -> None:
    """Whatever was recorded, however few values may be sent."""
    sketch = sketch_of(values)

    check(sketch.reduce(limit), values, limit)
    assert sketch.count == len(values)
    assert (sketch.min, sketch.max) == (min(values), max(values))


@example([2, 2, 3, -1, -2, -3], 3)
@given(many, st.integers(3, 160))
def test_no_value_is_further_off_than_is_said(values: list[float], limit: int) -> None:
    """The n-th of the values that are sent stands for the n-th recorded."""
    reduced = sketch_of(values).reduce(limit)

    sent = [v for v, n in zip(*reduced[:2], strict=True) for _ in range(n)]
    for exact, got in zip(sorted(values), sent, strict=True):
        assert abs(got - exact) <= reduced.error * max(abs(exact), abs(got)) * 1.0001


@given(many, many, many)
def test_merging_loses_nothing(
    one: list[float], other: list[float], third: list[float]
) -> None:
    """What could not be sent goes with the next, in either order."""
    first, second = sketch_of(one), sketch_of(other)
    second.merge(sketch_of(third))
    first.merge(second)

    check(first.reduce(100), one + other + third, 100)
    check(second.reduce(100), other + third, 100)


@given(many, st.integers(1, 150))
def test_pieces_together_are_the_whole(values: list[float], limit: int) -> None:
    """Split without merging: each within 1 %, the sum right over all pieces."""
    pieces = sketch_of(values).split(limit)

    assert max(len(piece.values) for piece in pieces) <= limit
    together = Reduced(
        tuple(v for piece in pieces for v in piece.values),
        tuple(n for piece in pieces for n in piece.counts),
        max(piece.error for piece in pieces),
    )
    check(together, values, len(together.values))
    assert together.error <= 0.0101


@pytest.mark.parametrize("sigma", [0.25, 0.5, 1.0])
def test_a_million_log_normal_values_keep_their_percentiles(sigma: float) -> None:
    """p50 to p99.9 of what is sent are within 1.5 % of exact, for 150 and for 100."""
    draw = random.Random(17).lognormvariate
    values = [draw(-3.0, sigma) for _ in range(1_000_000)]
    sketch = sketch_of(values)
    for limit in LIMITS:
        reduced = sketch.reduce(limit)
        check(reduced, values, limit)
        assert worst(reduced, values) <= 0.015
        assert 0 < reduced.error < 0.1


def _shapes() -> dict[str, list[float]]:
    draw = random.Random(5)
    uniform = [draw.uniform(0.001, 10.0) for _ in range(20_000)]
    return {
        "uniform": uniform,
        "bimodal": [
            draw.lognormvariate(-5 if draw.random() < 0.93 else 3, 0.4)
            for _ in range(20_000)
        ],
        "negative": [-value for value in uniform],
        "both signs": [draw.gauss(0.0, 5.0) for _ in range(20_000)],
        "half zeros": [max(0.0, draw.gauss(0.0, 5.0)) for _ in range(20_000)],
        "rounded": [round(value, 2) for value in uniform],
        "one outlier": [*uniform, 1e9],
        "close": [1.0 + draw.random() * 1e-9 for _ in range(20_000)],
        "far apart": [10.0 ** draw.uniform(-280, 280) for _ in range(20_000)],
    }


@pytest.mark.parametrize(("shape", "values"), _shapes().items())
def test_other_shapes_keep_their_percentiles(shape: str, values: list[float]) -> None:
    """Two humps, no hump, negative, zeros: within 1.5 % as well, in bounded memory."""
    sketch = sketch_of(values)
    for limit in LIMITS:
        reduced = sketch.reduce(limit)
        check(reduced, values, limit)
        # Beyond 2 048 bins they are joined, and the error says so.
        bound = reduced.error if shape == "far apart" else 0.015
        exact, ranks = sorted(values), list(accumulate(reduced.counts))
        one_each = range(1, len(exact) + 1)
        for q in QUANTILES:
            asked = quantile(exact, one_each, q)
            got = quantile(reduced.values, ranks, q)
            assert abs(got - asked) <= bound * max(abs(asked), abs(got))

    assert len(sketch.split(10**6)[0].values) <= 2 * 2048 + 3


def test_few_distinct_values_are_exact() -> None:
    """150 distinct ones are sent as they were, however often each."""
    values = [float(at % 150) - 20 for at in range(10_000)]
    reduced = sketch_of(values).reduce(150)

    assert reduced.values == tuple(sorted(set(values)))
    assert reduced.counts == tuple(values.count(value) for value in reduced.values)
    assert reduced.error == 0


@pytest.mark.parametrize("value", [0.0, -0.0, 7.5, -3.0])
def test_constant_data_is_one_value(value: float) -> None:
    """A thousand times the same is that, a thousand times."""
    assert sketch_of([value] * 1000).reduce(100) == ((value,), (1000,), 0.0)


def test_one_and_two_values_stay_what_they_are() -> None:
    """The least and the greatest are what was recorded."""
    assert sketch_of([2.0]).reduce(3) == ((2.0,), (1,), 0.0)
    assert sketch_of([2.0, -1.0]).reduce(3) == ((-1.0, 2.0), (1, 1), 0.0)


def test_an_empty_sketch_is_empty() -> None:
    """Nothing recorded, nothing sent; it merges into others without a trace."""
    assert Sketch().reduce(100) == ((), (), 0.0)
    assert Sketch().split(100) == []
    sketch = sketch_of([1.0])
    sketch.merge(Sketch())
    sketch.add([])
    sketch.observe(5.0, 0)
    assert sketch.reduce(3).values == (1.0,)


def test_a_limit_that_cannot_hold_a_mean_is_refused() -> None:
    """Least, greatest and one between them are the fewest."""
    with pytest.raises(ValueError, match="limit of 2"):
        sketch_of([1.0, 2.0]).reduce(2)


def test_counts_of_buckets_can_be_recorded() -> None:
    """A foreign histogram comes as values with counts, exactly or into bins."""
    sketch = Sketch()
    for place in range(1000):
        sketch.observe(0.1 * place - 20, 1 + place % 3)

    values = [0.1 * place - 20 for place in range(1000) for _ in range(1 + place % 3)]
    check(sketch.reduce(100), values, 100)


def test_sketches_of_different_widths_merge() -> None:
    """One had to join bins and the other not; no count is lost either way."""
    wide = [10.0 ** (at / 20 - 250) for at in range(10_000)]
    narrow = [1.0 + at / 300 for at in range(300)]
    one, other = sketch_of(wide), sketch_of(narrow)
    before = other.copy()
    other.merge(one)
    one.merge(before)

    check(one.reduce(150), wide + narrow, 150)
    check(other.reduce(150), wide + narrow, 150)
    check(before.reduce(150), narrow, 150)


def test_few_exact_values_merge_with_many() -> None:
    """In either direction, and values of both signs."""
    few, many = [-1.0, 0.0, 7.0] * 20, [at / 7 - 30 for at in range(400)]
    one, other = sketch_of(few), sketch_of(many)
    before = other.copy()
    other.merge(one)
    one.merge(before)

    check(one.reduce(100), few + many, 100)
    check(other.reduce(100), few + many, 100)


def test_a_bin_whose_values_are_all_at_its_bound_is_that_bound() -> None:
    """The sum says so; a value is never sent twice."""
    bins = [Bin(1.0, 1.5, 3), Bin(1.5, 2.0, 1)]

    assert reduce_bins(bins, 5.0, 3)[:2] == ((1.0, 2.0), (3, 1))


def test_a_sum_beyond_floats_raises_nothing() -> None:
    """What was recorded is finite, its sum need not be."""
    sketch = sketch_of([1e300 - at * 1e294 for at in range(1000)])
    sketch.observe(1e300, 10**9)

    assert sum(sketch.reduce(100).counts) == 10**9 + 1000
