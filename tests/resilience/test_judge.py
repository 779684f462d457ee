"""What a breaker makes of errors that are answers, or that never left the process."""

from __future__ import annotations

import pytest

from svcready.errors import DeclarationError
from svcready.resilience import circuit_breaker
from svcready.resilience._timing import _deadline
from svcready.testing import FakeClock
from tests.resilience.peers import Dependency, breaker_of, run_on


class PoolFull(TimeoutError):
    """No connection was free."""


def test_answers_count_as_successes(clock: FakeClock) -> None:
    """An error named by `success` keeps the failure rate below what opens it."""
    breaker = circuit_breaker("orders-db", success=KeyError, min_calls=4)
    run_on(clock)
    for error in (KeyError(), KeyError(), KeyError(), OSError()):
        with pytest.raises(type(error)):
            breaker.call(Dependency(error))

    counts = breaker_of("orders-db").counts()
    assert (counts["success"], counts["failure"]) == (3, 1)
    assert breaker.state == "closed"


def test_probes_that_are_answered_close_it(clock: FakeClock) -> None:
    """Three probes that all break a constraint show that the database is back."""
    breaker = circuit_breaker("orders-db", success=KeyError, consecutive_failures=1)
    run_on(clock)
    with pytest.raises(ConnectionError):
        breaker.call(Dependency(ConnectionError()))

    clock.advance(10.0)
    for _ in range(3):
        with pytest.raises(KeyError):
            breaker.call(Dependency(KeyError()))

    assert breaker.state == "closed"


def test_what_never_left_the_process_gives_no_verdict(clock: FakeClock) -> None:
    """A full pool neither opens a breaker nor ends its probing, and frees the probe."""
    breaker = circuit_breaker(
        "orders-db", inconclusive=PoolFull, consecutive_failures=1
    )
    run_on(clock)
    with pytest.raises(PoolFull):
        breaker.call(Dependency(PoolFull()))

    assert breaker.state == "closed"
    with pytest.raises(ConnectionError):
        breaker.call(Dependency(ConnectionError()))

    clock.advance(10.0)
    for _ in range(5):
        with pytest.raises(PoolFull):
            breaker.call(Dependency(PoolFull()))

    assert breaker.state == "half_open"
    assert breaker_of("orders-db").counts()["inconclusive"] == 6


def test_the_strongest_name_wins(clock: FakeClock) -> None:
    """An error of two kinds is what never left, then an answer, then ignored."""
    circuit_breaker(
        "orders-db",
        inconclusive=PoolFull,
        success=(TimeoutError, KeyError),
        ignore=(OSError, KeyError),
    )
    run_on(clock)
    judge = breaker_of("orders-db").judge
    errors = (PoolFull(), TimeoutError(), KeyError(), OSError(), ValueError())
    assert [judge(error) for error in errors] == [
        "inconclusive",
        "success",
        "success",
        "ignored",
        "failure",
    ]


def test_another_judgement_is_another_declaration() -> None:
    """The same name with another `success` raises; with the same one it shares."""
    first = circuit_breaker("orders-db", success=KeyError)
    assert circuit_breaker("orders-db", success=KeyError).breaker is first.breaker
    with pytest.raises(DeclarationError, match="other arguments"):
        circuit_breaker("orders-db", inconclusive=KeyError)


def test_what_a_client_cuts_off_at_the_deadline_is_slow(clock: FakeClock) -> None:
    """A driver's own time-out that `ignore` names counts as slow if it took so long."""
    breaker = circuit_breaker("orders-db", ignore=TimeoutError, slow_after=1.0)
    run_on(clock)

    @breaker
    def hang(seconds: float) -> None:
        clock.advance(seconds)
        raise TimeoutError

    for seconds, until_s in ((1.1, 5.0), (0.9, 0.5), (1.1, 0.5)):
        token = _deadline.put(clock.monotonic() + until_s)
        with pytest.raises(TimeoutError):
            hang(seconds)

        _deadline.lift(token)

    counts = breaker_of("orders-db").counts()
    assert (counts["ignored"], counts["slow"]) == (2, 1)
