"""The retry budget: what retries add to a dependency's load."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcready.errors import AttemptTimeout
from svcready.resilience import retry
from svcready.resilience._pillar import apply
from svcready.resilience._retrying._budget import Budget
from svcready.testing import FakeClock
from tests.examples import examples
from tests.resilience.peers import Dependency, retrier_of, run_on


def test_total_failure_is_not_amplified(clock: FakeClock) -> None:
    """100 calls/s that all fail for 60 s make at most 1.25 times as many attempts."""
    policy = retry("payments", on=ConnectionError)
    run_on(clock)
    retrier = retrier_of("payments")
    retrier._rng = random.Random(7).random
    attempts = 0
    due: list[tuple[float, int]] = []
    start = clock.monotonic()
    for number in range(6_000):
        clock.advance(start + number / 100 - clock.monotonic())
        due.append((clock.monotonic(), 1))
        while due and due[0][0] <= clock.monotonic():
            _, attempt = due.pop(0)
            attempts += 1
            wait = retrier.wait_s(ConnectionError(), attempt, float("inf"))
            if wait is not None:
                due.append((clock.monotonic() + wait, attempt + 1))
                due.sort()

    assert policy.retrier is retrier
    assert attempts / 6_000 <= 1.25
    assert attempts / 6_000 >= 1.15  # it is a budget, not a ban


def test_a_quiet_service_may_retry(clock: FakeClock) -> None:
    """The reserve pays for ten retries at once, and for one a second that succeeds."""
    budget = Budget(clock)
    assert [budget.withdraw(clock.monotonic()) for _ in range(11)] == [True] * 10 + [
        False
    ]
    for _ in range(10):
        budget.answered(clock.monotonic())

    assert not budget.withdraw(clock.monotonic())  # however much was earned
    clock.advance(10.0)
    assert budget.balance() == 10.0


def test_the_reserve_is_used_up_once_while_all_fails(clock: FakeClock) -> None:
    """Of few calls ten are retried, and then one a minute until one succeeds."""
    policy = retry("payments", on=ConnectionError)
    run_on(clock)
    made = []
    for _ in range(30):  # five minutes of a call every ten seconds
        dependency = Dependency(*[ConnectionError() for _ in range(3)])
        with pytest.raises(ConnectionError):
            policy.call(dependency)

        made.append(dependency.calls)
        clock.advance(10.0)

    assert made[:5] == [3] * 5
    assert made[5:].count(2) in {4, 5}  # one a minute, and the first minute's
    assert 3 not in made[5:]
    for _ in range(2):  # it is back
        policy.call(Dependency())

    dependency = Dependency(ConnectionError(), ConnectionError())
    policy.call(dependency)
    assert dependency.calls == 3


def test_whoever_is_answered_keeps_the_reserve(clock: FakeClock) -> None:
    """A quiet client whose calls all fail at first retries each of them."""
    policy = retry("payments", on=ConnectionError)
    run_on(clock)
    for _ in range(100):
        dependency = Dependency(ConnectionError())
        policy.call(dependency)
        assert dependency.calls == 2
        clock.advance(5.0)


def test_an_error_that_is_not_retried_is_an_answer(clock: FakeClock) -> None:
    """What says no to most calls is there: the reserve pays for the others."""
    policy = retry("payments", on=ConnectionError)
    run_on(clock)
    for _ in range(20):
        dependency = Dependency(*[ConnectionError() for _ in range(3)])
        with pytest.raises(ConnectionError):
            policy.call(dependency)

        assert dependency.calls == 3
        for _ in range(2):
            with pytest.raises(LookupError):
                policy.call(Dependency(LookupError()))

        clock.advance(10.0)


@pytest.mark.parametrize("error", [TimeoutError, AttemptTimeout, OSError])
def test_what_is_not_there_earns_nothing(
    clock: FakeClock, error: type[Exception]
) -> None:
    """A time-out that isn't retried is no answer, and the outage is as cheap."""
    policy = retry("payments", on=ConnectionError)
    run_on(clock)
    made = 0
    for number in range(200):  # a call every five seconds, of which nothing succeeds
        dependency = Dependency(*[error(), ConnectionError()][number % 2 :] * 3)
        with pytest.raises((ConnectionError, error)):
            policy.call(dependency)

        made += dependency.calls
        clock.advance(5.0)

    assert made <= 200 * 1.25


def test_deposits_live_ten_seconds(clock: FakeClock) -> None:
    """A hundred first attempts pay for twenty retries, within ten seconds."""
    budget = Budget(clock)
    for _ in range(100):
        budget.deposit(clock.monotonic())

    assert budget.balance() == pytest.approx(30.0)
    clock.advance(9.0)
    assert budget.balance() == pytest.approx(30.0)
    clock.advance(1.0)
    assert budget.balance() == 10.0


def test_an_empty_budget_raises_the_last_error(clock: FakeClock) -> None:
    """With nothing left to pay with, the first failure goes to the caller."""
    policy = retry("payments", on=ConnectionError)
    run_on(clock)
    while retrier_of("payments").budget.withdraw(clock.monotonic()):
        pass

    error = ConnectionError()
    dependency = Dependency(error)
    with pytest.raises(ConnectionError) as caught:
        policy.call(dependency)

    assert caught.value is error
    assert dependency.calls == 1
    assert "budget" in caught.value.__notes__[0]
    assert retrier_of("payments").counts()["exhausted_budget"] == 1


def test_without_a_budget_all_is_paid_for(clock: FakeClock) -> None:
    """`budget=False` retries every call to the last attempt."""
    policy = retry("payments", on=ConnectionError, budget=False)
    run_on(clock)
    for _ in range(50):
        dependency = Dependency(*[ConnectionError() for _ in range(3)])
        with pytest.raises(ConnectionError):
            policy.call(dependency)

        assert dependency.calls == 3


def test_an_operator_tunes_it(clock: FakeClock) -> None:
    """Another ratio and reserve hold for what was deposited, and debts remain."""
    budget = Budget(clock)
    for _ in range(10):
        budget.deposit(clock.monotonic())
        assert budget.withdraw(clock.monotonic())

    assert budget.balance() == 0.0
    budget.tune(1.2, 0.7)
    assert budget.balance() == pytest.approx(2.0)
    budget.tune(0.0, 0.0)
    assert budget.balance() == pytest.approx(-10.0)
    assert not budget.withdraw(clock.monotonic())


def test_a_lowered_reserve_is_earned_as_one(clock: FakeClock) -> None:
    """What was used up of a larger one is no debt of the smaller."""
    budget = Budget(clock, reserve_per_s=10.0)
    while budget.withdraw(clock.monotonic()):
        pass

    clock.advance(10.0)
    budget.tune(0.2, 1.0)
    assert not budget.withdraw(clock.monotonic())
    budget.answered(clock.monotonic())
    assert budget.withdraw(clock.monotonic())


def test_an_operator_gives_a_budget_to_what_has_none(clock: FakeClock) -> None:
    """What succeeded in all the time before pays for nothing, and less follows."""
    policy = retry("payments", on=ConnectionError, budget=False)
    run_on(clock)
    for _ in range(10_000):
        policy.call(Dependency())
        clock.advance(0.01)

    budget = retrier_of("payments").budget
    assert budget.balance() == float("inf")
    assert apply("payments", {"budget_ratio": 0.1, "budget_reserve_per_s": 2}) == ()
    assert budget.balance() == 20.0
    for _ in range(50):
        policy.call(Dependency())

    clock.advance(1.0)
    assert budget.balance() == 25.0
    apply("payments", {})
    assert budget.balance() == float("inf")


@settings(max_examples=examples(700), deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("wait"), st.integers(1, 60)),
            st.tuples(st.just("succeed"), st.integers(1, 20)),
            st.tuples(st.just("answer"), st.integers(1, 5)),
            st.tuples(st.just("fail"), st.integers(1, 5)),
            st.tuples(st.just("withdraw"), st.integers(1, 8)),
        ),
        max_size=60,
    ),
    unlocked=st.booleans(),
)
def test_budget_is_its_model(steps: list[tuple[str, int]], unlocked: bool) -> None:
    """In 20 000 steps: against a list of every deposit and withdrawal."""
    follow(steps, unlocked=unlocked)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_budget_is_its_model_for_long() -> None:
    """The same in a million steps, drawn from a known seed."""
    draw = random.Random(7)
    most = {"answer": 5, "wait": 60, "succeed": 20, "fail": 5, "withdraw": 8}
    for number in range(10_000):
        kinds = draw.choices(list(most), k=100)
        steps = [(kind, draw.randint(1, most[kind])) for kind in kinds]
        follow(steps, unlocked=bool(number % 2))


def follow(steps: list[tuple[str, int]], *, unlocked: bool) -> None:
    """Do *steps* to a budget and to its model: each entry with its second."""
    clock = FakeClock(start_s=0.0)
    budget = Budget(clock, unlocked=unlocked)
    log: list[tuple[int, int]] = []  # second, fifths of a retry
    earned = 600  # sixtieths of a retry of the reserve
    for what, number in steps:
        now = clock.monotonic()
        if what == "wait":
            clock.advance(number / 4)
            earned = min(600, earned + int(clock.monotonic()) - int(now))
            continue

        for _ in range(number):
            if what == "withdraw":
                fifths = sum(n for second, n in log if second > int(now) - 10)
                allowed = fifths >= 5
                if not allowed and 50 + fifths >= 5 and earned >= 60:
                    earned -= 60
                    allowed = True

                assert budget.withdraw(now) is allowed
                if allowed:
                    log.append((int(now), -5))
            elif what == "answer":
                budget.answered(now)
                earned = min(600, earned + 60)
            elif what == "fail":
                budget.deposit(now)
                log.append((int(now), 1))
            else:
                if now < budget.meter.edge:
                    budget.meter.ok += 1
                else:
                    budget.succeeded(now)

                log.append((int(now), 1))
                earned = min(600, earned + 60)
