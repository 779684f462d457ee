"""One rule by itself: its reservoir, its quota's last moment, its boost, its counts."""

from __future__ import annotations

import pytest

from svcready.config._sampling_rules import SamplingRule
from svcready.testing import FakeClock
from svcready.tracing.sampling._central._service_time import ServiceTime
from svcready.tracing.sampling._central._state import (
    BoostCounts,
    Counts,
    RuleState,
    Turn,
)
from svcready.tracing.sampling._central._table import RuleTable
from svcready.tracing.sampling._service import Service

RULE = SamplingRule("r", reservoir=5, rate=0.0)


def make(rule: SamplingRule = RULE, drawn: float = 0.5) -> RuleState:
    """Return a rule in force, whose random numbers are all *drawn*."""
    return RuleState(rule, Turn(lambda: drawn), lambda: drawn)


def taken(state: RuleState, now_s: float, times: int = 20) -> int:
    """Return how many of some requests at once are sampled."""
    return sum(state.take(now_s) for _ in range(times))


def test_a_quota_counts_up_to_its_last_moment() -> None:
    """`ReservoirQuotaTTL` itself is still within; after it one a second is borrowed."""
    state = make()
    state.set_quota(3, 110.0)

    assert [taken(state, now_s) for now_s in (100.0, 109.0, 110.0)] == [3, 3, 3]
    assert [taken(state, now_s) for now_s in (110.001, 110.999, 111.0)] == [1, 0, 1]
    assert state.pending() == Counts(120, 11, 2)


def test_a_quota_is_for_each_second_of_the_clock() -> None:
    """What one second does not use is not there in the next."""
    state = make()
    state.set_quota(3, 200.0)

    assert [taken(state, now_s, 2) for now_s in (100.0, 100.5, 100.9)] == [2, 1, 0]
    assert taken(state, 105.2) == 3


def test_a_quota_of_nothing_borrows_nothing() -> None:
    """The service has said so: others have the reservoir."""
    state = make()
    state.set_quota(0, 200.0)

    assert taken(state, 100.0) == 0
    assert state.pending().borrowed == 0


def test_a_rule_that_loses_its_reservoir_loses_its_quota() -> None:
    """Somebody has set it to 0, and means it."""
    state = make()
    state.set_quota(3, 200.0)
    state.change(RULE._replace(reservoir=0))

    assert taken(state, 100.0) == 0


@pytest.mark.parametrize(
    ("changed", "rate"),
    [
        (RULE, 0.7),
        (RULE._replace(path="/x", reservoir=9), 0.7),
        (RULE._replace(rate=0.2), 0.2),
    ],
)
def test_the_latest_rate_counts(changed: SamplingRule, rate: float) -> None:
    """A target's rate stays until somebody changes the rule's own."""
    state = make()
    state.rate = 0.7
    state.change(changed)

    assert state.rate == rate


def test_a_boost_is_capped_by_the_rule_and_ends() -> None:
    """BoostRate replaces the rate until its time, up to MaxRate."""
    rule = SamplingRule("r", rate=0.0, boost_max_rate=0.5)
    for drawn, sampled in ((0.49, 10), (0.5, 0)):
        state = make(rule, drawn)
        state.set_boost(0.9, 160.0)
        assert [taken(state, now_s, 10) for now_s in (100.0, 160.0, 160.1)] == [
            sampled,
            sampled,
            0,
        ]

    state = make(rule, 0.4)
    state.set_boost(0.45, 160.0)
    state.change(rule._replace(boost_max_rate=0.3))
    assert taken(state, 100.0) == 0


def test_a_rule_that_may_not_be_boosted_is_not() -> None:
    """Whatever the service says, and also if it could be a moment ago."""
    state = make(drawn=0.1)
    state.change(SamplingRule("r"))
    state.set_boost(0.9, 200.0)
    assert taken(state, 100.0) == 0

    state.change(SamplingRule("r", boost_max_rate=1.0))
    state.set_boost(0.9, 200.0)
    assert taken(state, 100.0) == 20
    state.change(SamplingRule("r"))
    assert taken(state, 100.0) == 0


def test_what_comes_in_during_a_report_is_in_the_next() -> None:
    """Only what was pending counts as reported."""
    state = make()
    taken(state, 100.0, 3)
    pending = state.pending()
    taken(state, 101.0, 4)
    state.ended(anomaly=True, sampled=True)
    ends = state.pending_boost()
    state.ended(anomaly=True, sampled=False)
    state.ended(anomaly=False, sampled=True)
    state.reported(pending)
    state.reported_boost(ends)

    assert pending == Counts(3, 1, 1)
    assert state.pending() == Counts(4, 1, 1)
    assert ends == BoostCounts(1, 1, 1)
    assert state.pending_boost() == BoostCounts(2, 1, 0)


def test_a_rule_that_comes_back_has_its_counts() -> None:
    """It was away for one fetch; what it decided before is reported all the same."""
    table = RuleTable(Service("orders"), Turn(lambda: 0.5), lambda: 0.5)
    table.replace([RULE], 1e9)
    taken(table.live["r"], 100.0, 3)
    table.replace([SamplingRule("other")], 1e9)
    assert table.retired["r"].pending().requests == 3

    table.replace([RULE, RULE._replace(rate=1.0)], 1e9)

    assert table.live["r"].pending().requests == 3
    assert table.live["r"].rate == 0.0, "of two with one name the first counts"
    assert "r" not in table.retired


def test_rules_that_are_gone_do_not_pile_up() -> None:
    """Beyond a bound the oldest are forgotten, and their requests told of."""
    table = RuleTable(Service("orders"), Turn(lambda: 0.5), lambda: 0.5)
    lost = 0
    for n in range(400):
        lost += table.replace([SamplingRule(f"r{n}")], 1e9)
        taken(table.live[f"r{n}"], 100.0, 1)

    assert len(table.retired) == 256
    assert lost == 399 - 256


def test_workers_take_turns() -> None:
    """Eight processes borrow once in eight seconds each, from a random second on."""
    borrowed = {}
    for drawn in (0.0, 0.4, 0.99):
        turn = Turn(lambda drawn=drawn: drawn)  # type: ignore[misc]
        state = RuleState(RULE, turn, lambda: 0.5)
        turn.share(8)
        borrowed[drawn] = [n for n in range(1000, 1033) if state.take(n)]

    assert borrowed == {
        0.0: [1000, 1008, 1016, 1024, 1032],
        0.4: [1000, 1003, 1011, 1019, 1027],
        0.99: [1000, 1007, 1015, 1023, 1031],
    }


@pytest.mark.parametrize("skew_s", [0, 7200, -7200, 10**9])
def test_the_services_time_is_told_by_its_answers(skew_s: int) -> None:
    """Where our clock is right it is taken; where it is not, the `Date`."""
    clock = FakeClock(1000.0, (5_000_000 + skew_s) * 10**9 + 400_000_000)
    told = ServiceTime(clock)
    assert told.epoch() == 5_000_000.4 + skew_s
    told.learn(5_000_000.0)
    clock.set_wall(0)
    clock.advance(7)

    assert told.epoch() == pytest.approx(5_000_007.4 if not skew_s else 5_000_007)
    assert told.left_s(5_000_010) == pytest.approx(2.6 if not skew_s else 3.0)


def test_without_a_date_our_own_clock_has_to_do() -> None:
    """It is asked at each answer, so a jump lasts until the next."""
    clock = FakeClock(1000.0, 5_000_000 * 10**9)
    told = ServiceTime(clock)
    told.learn(None)
    clock.set_wall(9_000_000 * 10**9)
    assert told.epoch() == 5_000_000
    told.learn(None)
    assert told.epoch() == 9_000_000


def test_time_is_as_fine_as_the_clock() -> None:
    """A quota is not over a moment before its end."""
    clock = FakeClock(1613.953125, 1_800_001_613_953_125_000)
    time = ServiceTime(clock)
    time.learn(None)
    assert time.left_s(1_800_001_616.0) == 2.046875
