"""What policies refuse is summed up, and what an operator says in vain is reported."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from svcready.errors import AttemptTimeout, CircuitOpen
from svcready.resilience import circuit_breaker, limit, policy, timeout
from svcready.resilience._composing._policy import POLICIES
from svcready.resilience._parts import parts
from svcready.resilience.clients.httpx import PolicyTransport
from svcready.testing import FakeClock, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.resilience import CircuitBreaker


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    """Every test declares into empty registers."""
    for register in (POLICIES, *(part.register for part in parts())):
        register.clear()  # type: ignore[attr-defined]

    yield
    for register in (POLICIES, *(part.register for part in parts())):
        register.clear()  # type: ignore[attr-defined]


def ask(breaker: CircuitBreaker, times: int) -> None:
    """Call through an open breaker."""
    for _ in range(times):
        with pytest.raises(CircuitOpen):
            breaker.call(print, "never printed")


def test_refused_calls_are_one_line_in_ten_seconds() -> None:
    """A thousand refusals a second are a line with their number, and not a flood."""
    clock = FakeClock()
    with running(clock=clock) as harness:
        refusals = harness.runtime.refusals
        assert refusals is not None
        breaker = circuit_breaker("payments")
        breaker.force_open()
        ask(breaker, 3)
        clock.advance(9.0)
        refusals.tick()
        ask(breaker, 2)
        clock.advance(1.0)
        refusals.tick()
        (line,) = harness.logged("breaker payments rejected 5 calls in 10 s")
        assert line["level"] == "WARN"
        assert line["event"] == "resilience.rejected"
        clock.advance(10.0)
        refusals.tick()  # nothing new: nothing is told
        ask(breaker, 1)

    rejected = [line for line in harness.lines if "rejected" in str(line["message"])]
    assert [line["context"]["calls"] for line in rejected] == [5, 1]  # type: ignore[index]


def test_what_would_have_been_refused_is_told_too() -> None:
    """In observe mode the line says so, and is no warning."""
    clock = FakeClock()
    environ = {"SVCREADY_POLICY__PAYMENTS__BREAKER_MODE": "observe"}
    with running(clock=clock, environ=environ) as harness:
        breaker = circuit_breaker("payments")
        breaker.force_open()
        assert breaker.call(int, "7") == 7

    (line,) = harness.logged("breaker payments would have rejected 1 call in 0 s")
    assert line["level"] == "INFO"


def test_time_outs_are_summed_up_as_well() -> None:
    """Under `enforce` a time-out is told as often as `observe` tells of it."""

    async def forever() -> None:
        await asyncio.Event().wait()

    with running() as harness:
        refusals = harness.runtime.refusals
        assert refusals is not None
        slow = timeout("slow-bank", 0.001)
        for _ in range(2):
            with pytest.raises(AttemptTimeout):
                asyncio.run(slow.call(forever))

        refusals.tell()

    event = "resilience.timed_out"
    (line,) = [line for line in harness.lines if line.get("event") == event]
    assert str(line["message"]).startswith("timeout slow-bank timed out 2 calls in ")
    assert line["level"] == "WARN"


def test_a_value_for_a_part_that_a_policy_lacks_is_reported() -> None:
    """An operator's word that can change nothing is told, once all is declared."""
    environ = {
        "SVCREADY_POLICY__PAYMENTS__BREAKER_OPEN_S": "5",
        "SVCREADY_POLICY__PAYMENTS__DEADLINE_S": "5",
        "SVCREADY_POLICY__BANK__DEADLINE_S": "5",
        "SVCREADY_POLICY__DEFAULT__RETRY_ATTEMPTS": "5",
    }
    with running(environ=environ) as harness:
        policy("payments", breaker=True)
        policy("bank", retry=OSError)
        assert harness.runtime.problems() == ()
        harness.runtime.ready()
        (problem,) = harness.runtime.problems()

    assert problem == (
        "SVCREADY_POLICY__PAYMENTS__DEADLINE_S has no effect: policy 'payments' has no "
        "deadline or retry"
    )


def test_switched_off_nothing_of_it_takes_part() -> None:
    """`SVCREADY_RESILIENCE_ENABLED=false`: everything is let through, once."""
    environ = {"SVCREADY_RESILIENCE_ENABLED": "false"}
    with running(environ=environ) as harness:
        breaker = circuit_breaker("payments")
        breaker.force_open()
        assert breaker.call(int, "7") == 7
        everybody = limit("1/hour", by="all", name="everybody")
        assert [everybody.call(int, "7") for _ in range(3)] == [7, 7, 7]
        assert harness.runtime.resilience.inbound() is None


def test_a_host_that_was_not_called_yet_is_no_misspelling() -> None:
    """What is said of one host's policy waits for the first request to it."""
    environ = {
        "SVCREADY_POLICY__PAYMENTS_API_EXAMPLE_COM__RETRY_ATTEMPTS": "2",
        "SVCREADY_POLICY__PAYMENT__RETRY_ATTEMPTS": "2",
    }
    with running(environ=environ) as harness:
        PolicyTransport(policy("payments", retry=OSError), per_host=True)
        harness.runtime.ready()
        (problem,) = harness.runtime.problems()

    assert "SVCREADY_POLICY__PAYMENT__RETRY_ATTEMPTS" in problem
