"""The limit's arithmetic: bounds, and what moves it in which direction."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.resilience._shed._gradient import GradientConfig, GradientLimit, Window
from svcready.resilience._shed._trial import Trial

windows = st.builds(
    Window,
    st.integers(1, 100_000),
    st.floats(0.0, 1e6),
    st.floats(0.0, 1e6),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.floats(1e-6, 1e6),
)


def usual(most: int, mean_s: float = 0.05, refused: int = 0) -> Window:
    """Return a window of a hundred requests."""
    return Window(100, mean_s, 0.0, most, refused, 1.0)


def taught(mean_s: float = 0.05) -> GradientLimit:
    """Return a limit of 20 that knows its usual latency."""
    limit = GradientLimit(GradientConfig())
    for _ in range(50):
        limit.update(usual(0, mean_s))

    return limit


@given(st.lists(windows, max_size=50), st.integers(1, 50), st.integers(0, 300))
def test_the_limit_never_leaves_its_bounds(
    measured: list[Window], least: int, more: int
) -> None:
    """Whatever is measured, the limit is finite and between the least and the most."""
    limit = GradientLimit(
        GradientConfig(initial_limit=20, min_limit=least, max_limit=least + more)
    )
    for window in measured:
        assert least <= limit.update(window) <= least + more
        assert limit.baseline_s is not None
        assert math.isfinite(limit.baseline_s)


@given(st.lists(st.floats(0.0001, 100.0), min_size=1, max_size=50))
def test_nothing_moves_while_half_is_unused(latencies: list[float]) -> None:
    """A service that uses under half of its limit keeps it, whatever latency does."""
    limit = GradientLimit(GradientConfig())
    for mean_s in latencies:
        assert limit.update(usual(9, mean_s)) == 20


@given(st.floats(0.0001, 100.0), st.floats(1.0, 50.0), st.floats(1.0, 50.0))
def test_more_latency_never_means_a_higher_limit(
    baseline_s: float, first: float, second: float
) -> None:
    """Of two latencies, the greater leaves the lower limit, or the same."""
    low, high = sorted((first, second))
    limits = [taught(baseline_s), taught(baseline_s)]
    found = [
        limit.update(usual(20, baseline_s * times))
        for limit, times in zip(limits, (low, high), strict=True)
    ]
    assert found[0] >= found[1]


def test_usual_latency_grows_it_and_a_queue_shrinks_it() -> None:
    """Within 1.5 times the usual the limit grows, at three times it shrinks."""
    limit = taught()
    for _ in range(200):
        limit.update(usual(limit.limit, 0.07))

    assert limit.limit == 200
    for _ in range(60):
        limit.update(usual(limit.limit, 0.15))

    assert limit.limit < 30


def test_one_window_moves_it_a_tenth_at_most() -> None:
    """An outlier of a thousand times the latency takes a tenth of the limit."""
    limit = GradientLimit(GradientConfig(initial_limit=100))
    for _ in range(20):
        limit.update(usual(0))

    assert limit.update(usual(100, 50.0)) >= 90


def test_a_mean_of_few_says_little() -> None:
    """A mean whose error is as large as itself does not lower the limit."""
    limit = taught()
    assert limit.update(Window(10, 0.25, 0.2, 20, 0, 1.0)) >= 20


def test_better_times_are_learnt() -> None:
    """When latency falls to a tenth, the baseline follows within a minute."""
    limit = taught(0.5)
    for _ in range(60):
        limit.update(usual(0, 0.05))

    assert limit.baseline_s == pytest.approx(0.05, rel=1.2)


def test_the_baseline_holds_while_the_limit_refuses() -> None:
    """Latency that the limit itself makes is never taken for the usual one."""
    limit = taught()
    for _ in range(3_600):
        window = usual(limit.limit, limit.limit / 200, refused=100)
        limit.update(window)

    assert limit.baseline_s == pytest.approx(0.05, rel=0.05)
    assert limit.limit < 40


def test_a_slower_dependency_is_learnt() -> None:
    """Where throughput follows the limit, four times the latency is soon the usual."""
    limit = taught()
    for _ in range(60):
        samples = round(limit.limit / 0.2)
        limit.update(Window(samples, 0.2, 0.0, limit.limit, 100, 1.0))

    assert limit.baseline_s == pytest.approx(0.2, rel=0.1)


def test_other_bounds_hold_at_once() -> None:
    """A new maximum or minimum moves the limit into its bounds, the rest is kept."""
    limit = taught()
    limit.use(GradientConfig(max_limit=12))
    assert limit.limit == 12
    assert limit.baseline_s == pytest.approx(0.05)
    limit.use(GradientConfig(min_limit=30))
    assert limit.limit == 30


@given(
    st.integers(5, 200),
    st.integers(100, 2_000),
    st.floats(0.9, 1.1),
    st.booleans(),
)
def test_a_trial_tells_a_queue_from_a_slow_dependency(
    base: int, rate: int, noise: float, saturated: bool
) -> None:
    """The verdict is right after four stretches, with 10 % noise against it."""
    trial = Trial()
    for _ in range(4 * max(3, math.ceil(700 / rate))):
        limit = trial.limit(base)
        done = rate if saturated else rate * limit / base
        against = (limit > base) == saturated
        trial.add(limit, round(done * (noise if against else 1.0) ** 0.5), 1.0)

    assert trial.follows is not saturated
