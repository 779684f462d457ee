"""A breaker that hears of others: it decides by itself, and by less."""

from __future__ import annotations

import pytest

from svcready.resilience import BreakerMoved
from svcready.resilience._breaking._breaker import Breaker
from svcready.resilience._breaking._states import DISABLED, FORCED_CLOSED
from svcready.resilience._config import BreakerConfig
from svcready.testing import FakeClock


def breaker_on(clock: FakeClock, **numbers: object) -> Breaker:
    """Make a breaker whose jitter is none."""
    config = BreakerConfig()._replace(**numbers)  # type: ignore[arg-type]
    return Breaker("payments", config, clock=clock, rng=lambda: 0.5)


def see(breaker: Breaker, *outcomes: str) -> None:
    """Have calls with these outcomes."""
    for outcome in outcomes:
        breaker.settle(breaker.admit(), outcome)


def test_one_other_opens_nothing_by_itself(clock: FakeClock) -> None:
    """A breaker without failures of its own stays closed, whatever one other says."""
    breaker = breaker_on(clock)
    breaker.hear(60.0, enough=False)
    assert breaker.state == "closed"
    see(breaker, "success", "success", "success", "failure")
    breaker.hear(60.0, enough=False)
    assert breaker.state == "closed", "one of four is no failing dependency"


def test_few_failures_suffice_once_another_has_opened(
    clock: FakeClock, told: list[object]
) -> None:
    """Failures here before or after another's opening open ours, for its time."""
    for heard_first in (True, False):
        breaker = breaker_on(clock)
        if heard_first:
            breaker.hear(7.0, enough=False)
            see(breaker, "failure")
        else:
            see(breaker, "failure", "success", "failure")
            breaker.hear(7.0, enough=False)

        assert (breaker.state, breaker.reason) == ("open", "peers")
        moved = told.pop()
        assert isinstance(moved, BreakerMoved)
        assert moved.reason == "peers"
        assert moved.open_s == pytest.approx(7.0)
        clock.advance(7.1)
        assert breaker.state == "half_open"


def test_the_time_left_shrinks_while_nothing_fails(clock: FakeClock) -> None:
    """A failure 5 s after hearing of 7 s opens for the other 2; after 7 s for none."""
    breaker = breaker_on(clock)
    breaker.hear(7.0, enough=False)
    clock.advance(5.0)
    see(breaker, "failure")
    clock.advance(2.1)
    assert breaker.state == "half_open"

    breaker = breaker_on(clock)
    breaker.hear(7.0, enough=False)
    clock.advance(7.1)
    see(breaker, "failure")
    assert breaker.state == "closed"


def test_enough_others_open_it_without_a_call(clock: FakeClock) -> None:
    """An idle process opens when enough others have, and probes by itself after."""
    breaker = breaker_on(clock)
    breaker.hear(7.0, enough=True)
    assert breaker.state == "open"
    clock.advance(7.1)
    see(breaker, "success", "success", "success")
    assert breaker.state == "closed"


def test_own_calls_outweigh_any_number_of_others(clock: FakeClock) -> None:
    """A breaker that can judge by calls of its own is moved by nobody."""
    breaker = breaker_on(clock, min_calls=20)
    see(breaker, *["success"] * 15, *["failure"] * 5)
    breaker.hear(60.0, enough=True)
    assert breaker.state == "closed"


def test_what_was_heard_before_probes_passed_counts_no_more(clock: FakeClock) -> None:
    """Once own probes have closed it, one failure does not open it by old news."""
    breaker = breaker_on(clock)
    see(breaker, "failure")
    breaker.hear(1.0, enough=False)
    breaker.hear(60.0, enough=False)  # while it is open
    clock.advance(1.3)
    see(breaker, "success", "success", "success")
    see(breaker, "failure")
    assert breaker.state == "closed"


def test_nobody_holds_it_open_beyond_its_own_bounds(clock: FakeClock) -> None:
    """A peer whose time is a day opens ours for no longer than its own longest."""
    breaker = breaker_on(clock, open_max_s=30.0)
    breaker.hear(86_400.0, enough=True)
    clock.advance(30.1)
    assert breaker.state == "half_open"


@pytest.mark.parametrize("state", [FORCED_CLOSED, DISABLED, "off"])
def test_an_operators_word_is_above_what_is_heard(state: str, clock: FakeClock) -> None:
    """What is forced or switched off is moved by nobody else."""
    breaker = breaker_on(clock, mode="off" if state == "off" else "enforce")
    if state != "off":
        breaker.force(state)

    breaker.hear(60.0, enough=True)
    see(breaker, "failure")
    assert breaker.state == ("closed" if state == "off" else state)


def test_an_observed_breaker_hears_and_refuses_nothing(clock: FakeClock) -> None:
    """In observe mode it opens by what it hears, and lets every call through."""
    breaker = breaker_on(clock, mode="observe")
    breaker.hear(60.0, enough=True)
    assert breaker.state == "open"
    see(breaker, "success")
    assert breaker.counts()["observed"] == 1


def test_another_clock_keeps_what_was_heard(clock: FakeClock) -> None:
    """Numbers and a clock that change leave what was heard in force."""
    breaker = breaker_on(clock)
    breaker.hear(7.0, enough=False)
    clock.advance(5.0)
    breaker.use(breaker.config, FakeClock(start_s=9.0))
    see(breaker, "failure")
    assert breaker.state == "open"
