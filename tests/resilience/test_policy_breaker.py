"""A policy's breaker: its probes, how long they may take, and what its refusals say."""

from __future__ import annotations

import pickle

import pytest

from svcready.errors import CircuitOpen, Rejected
from svcready.resilience import circuit_breaker, get_breaker, policy
from svcready.resilience._http._hosts import plan_for_host, plan_of
from svcready.testing import FakeClock
from tests.resilience.peers import Dependency, breaker_of, run_on


def test_asking_before_the_queue_takes_no_probe() -> None:
    """A breaker that has just become half-open keeps its probe for who is admitted."""
    clock = FakeClock()
    breaker = circuit_breaker("payments", consecutive_failures=1)
    run_on(clock)
    with pytest.raises(OSError, match="down"):
        breaker.call(_fail, "down")

    with pytest.raises(CircuitOpen):
        breaker.breaker.peek()

    clock.advance(10.0)
    for _ in range(3):
        breaker.breaker.peek()

    assert breaker.state == "half_open"
    assert breaker.call(int, "7") == 7


def test_a_probe_has_twice_the_time_of_an_attempt(clock: FakeClock) -> None:
    """A probe that may answer late isn't given up before it can."""
    payments = policy(
        "payments",
        breaker=circuit_breaker(consecutive_failures=1, probes=1, window=60),
        timeout=14,
    )
    run_on(clock)
    with pytest.raises(OSError, match="down"):
        payments.call(_fail, "down")

    clock.advance(10.0)

    @payments
    def slow() -> int:
        clock.advance(12.0)
        return 7

    assert slow() == 7
    assert get_breaker("payments").state == "closed"


@pytest.mark.parametrize(
    ("wait", "said"),
    [
        (29.999942387453048, "30"),
        (0.012345678, "0.0123"),
        (1234.5678, "1235"),
        (99.96, "100"),
        (7, "7"),
        (float("inf"), "inf"),
    ],
)
def test_refusals_are_said_in_numbers_that_people_read(wait: float, said: str) -> None:
    """Three digits, in text and repr; the number itself is kept, also when pickled."""
    error = CircuitOpen("payments", "open", wait)
    assert str(error) == f"payments: open; retry after {said} s"
    assert repr(error) == f"CircuitOpen('payments', 'open', retry_after={said})"
    again = pickle.loads(pickle.dumps(error))
    assert again.retry_after == wait
    assert repr(Rejected("payments", "body")) == "Rejected('payments', 'body')"


@pytest.mark.parametrize("used", ["call", "guard", "late", "host"])
def test_a_probe_has_its_lease_however_the_policy_is_used(
    clock: FakeClock, used: str
) -> None:
    """A probe that may take 30 s is not lost after the 10 s of one without a time."""
    name = "payments"

    def take() -> str:
        clock.advance(25.0)
        with pytest.raises(CircuitOpen) as refused:
            policy(name).call(Dependency())

        assert refused.value.reason == "half_open"
        return "answer"

    late = policy("payments")(take)
    slow = policy(
        "payments",
        timeout=30,
        breaker=circuit_breaker(consecutive_failures=1, window=60),
    )
    if used == "host":
        name = plan_for_host(plan_of("payments"), "https", "bank.example", None).name

    run_on(clock)
    breaker = breaker_of(name)
    breaker.settle(breaker.admit(), "failure")
    clock.advance(10.0)
    if used == "guard":
        with slow.guard():
            take()
    elif used == "late":
        late()
    else:
        policy(name).call(take)

    assert breaker.counts()["success"] == 1


def _fail(text: str) -> None:
    raise OSError(text)
