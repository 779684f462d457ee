"""Sampling: the reservoir, the ratio, and what callers may decide."""

from __future__ import annotations

import random
import threading

import pytest

from svcready.testing import FakeClock
from svcready.tracing.sampling._decider import Decider
from svcready.tracing.sampling._rate import Rate
from svcready.tracing.sampling._reservoir import Reservoir


def inbound(decider: Decider, *, flag: bool | None) -> bool:
    """Tell whether a request that came with *flag* is sampled."""
    return decider.inbound(flag, "GET", "/orders", dict) is not None


def sampled(rule: Rate, requests: int) -> int:
    """Return how many of so many requests are sampled."""
    return sum(rule.decide() for _ in range(requests))


def test_the_reservoir_takes_so_many_a_second() -> None:
    """`1/s+5%`: one each second, and the ratio of all others."""
    clock = FakeClock()
    uniform = random.Random(1).random
    oracle = random.Random(1).random
    rule = Rate(1.0, 0.05, clock, uniform)
    expected = total = 0
    for _ in range(200):
        expected += 1 + sum(oracle() < 0.05 for _ in range(99))
        total += sampled(rule, 100)
        clock.advance(1.0)

    assert total == expected


@pytest.mark.parametrize(
    ("per_second", "burst", "per_minute"), [(2, 2, 120), (1, 1, 60), (0.5, 1, 30)]
)
def test_the_reservoir_fills_again(
    per_second: float, burst: int, per_minute: int
) -> None:
    """At once it gives a second's worth, over a minute so many as are due."""
    clock = FakeClock()
    rule = Rate(per_second, 0.0, clock)

    assert sampled(rule, 10) == burst
    total = 0
    for _ in range(600):
        clock.advance(0.1)
        total += sampled(rule, 3)

    assert total == pytest.approx(per_minute, abs=1)


def test_idle_time_is_not_saved_up() -> None:
    """After an idle hour a burst is still one second's worth."""
    clock = FakeClock()
    rule = Rate(3, 0.0, clock)
    clock.advance(3600)

    assert sampled(rule, 100) == 3


def test_the_wall_clock_does_not_matter() -> None:
    """A wall clock that jumps an hour either way changes nothing."""
    clock = FakeClock()
    rule = Rate(1, 0.0, clock)
    assert sampled(rule, 5) == 1

    clock.set_wall(clock.time_ns() + 3_600_000_000_000)
    assert sampled(rule, 5) == 0
    clock.set_wall(0)
    assert sampled(rule, 5) == 0


@pytest.mark.parametrize(("ratio", "expected"), [(0.0, 0), (1.0, 1000)])
def test_the_ends_of_the_ratio(ratio: float, expected: int) -> None:
    """0 % is nothing and 100 % all."""
    assert sampled(Rate(0, ratio, FakeClock()), 1000) == expected


def test_threads_cannot_overdraw_by_much() -> None:
    """Threads that meet in the reservoir take at most one more each."""
    reservoir = Reservoir(5, FakeClock())
    taken: list[bool] = []

    def work() -> None:
        taken.extend(reservoir.take() for _ in range(1000))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 5 <= sum(taken) <= 13


@pytest.mark.parametrize(
    ("trust", "flag", "expected"),
    [
        ("always", True, True),
        ("always", False, False),
        ("always", None, False),
        ("never", True, False),
        ("sampled-flag-ignored", True, False),
    ],
)
def test_whose_word_counts(trust: str, flag: bool | None, expected: bool) -> None:
    """A caller's flag counts only where it is trusted; the rule here samples none."""
    clock = FakeClock()
    decider = Decider(Rate(0, 0.0, clock), trust, 100, clock)

    assert inbound(decider, flag=flag) is expected


def test_an_unsampled_flag_beats_our_rule_only_if_trusted() -> None:
    """With a rule of 100 %, a trusted caller's zero is still honoured."""
    clock = FakeClock()
    rule = Rate(0, 1.0, clock)

    assert not inbound(Decider(rule, "always", 100, clock), flag=False)
    assert inbound(Decider(rule, "never", 100, clock), flag=False)


def test_callers_cannot_have_more_than_the_cap_sampled() -> None:
    """Above the cap our own rule decides, which is not 100 %."""
    clock = FakeClock()
    decider = Decider(Rate(0, 0.0, clock), "always", 100, clock)

    assert sum(inbound(decider, flag=True) for _ in range(5000)) == 100
    clock.advance(1.0)
    assert sum(inbound(decider, flag=True) for _ in range(5000)) == 100


def test_a_rule_is_shown_as_it_is_written() -> None:
    """The start line says the sampling in the words of the variable."""
    clock = FakeClock()

    assert str(Rate(1, 0.05, clock)) == "1/s+5%"
    assert str(Rate(2, 0.0, clock)) == "2/s"
    assert str(Rate(0, 0.0, clock)) == "0%"
    assert str(Rate(0, 1.0, clock)) == "100%"
