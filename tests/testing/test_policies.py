"""Policies in users' tests: time, states, attempts, and nothing left over."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

import svcready
from svcready.errors import AttemptTimeout, BulkheadFull, CircuitOpen, RateLimited
from svcready.testing import FakeClock, reset_policies, running


def fail() -> None:
    """Be the dependency that is down."""
    raise ConnectionError


class Service:
    """Declares policies as a service's modules do; other tests forget them."""

    def __init__(self) -> None:
        again = svcready.retry("tested", on=ConnectionError)
        breaker = svcready.circuit_breaker("tested", consecutive_failures=4)
        self.call = again(breaker(fail))
        self.retried = svcready.retry("tested-retry", on=ConnectionError)(fail)
        self.hedged = svcready.hedge("tested-hedge", after=0.1)(answer)
        self.late = svcready.timeout("tested-timeout", after=2)(answer)


async def answer(took_s: float) -> str:
    """Take a while."""
    await asyncio.sleep(took_s)
    return "answer"


@pytest.fixture
def service() -> Service:
    """Have the policies declared."""
    return Service()


def test_attempts_are_counted_from_the_blocks_beginning(service: Service) -> None:
    """By a breaker without what it refused, by a retry, by a hedge with its hedges."""
    clock = FakeClock()
    for _ in range(2):
        with running(clock=clock) as harness:
            assert harness.policies.attempts("tested") == 0
            for _ in range(2):
                with pytest.raises((ConnectionError, CircuitOpen)):
                    service.call()

                with pytest.raises(ConnectionError):
                    service.retried()

            assert clock.run(service.hedged(0.05)) == "answer"
            assert clock.run(service.hedged(0.5)) == "answer"
            assert harness.policies.attempts("tested") == 4
            assert harness.policies.attempts("tested-retry") == 6
            assert harness.policies.attempts("tested-hedge") == 3


def test_what_a_part_refused_is_no_attempt() -> None:
    """A rate limit's and a bulkhead's refusals are none, with whichever other parts."""
    clock = FakeClock()
    for name, parts in {
        "paced": {"breaker": True, "retry": OSError, "rate_limit": "1/h"},
        "paced-retry": {"retry": OSError, "rate_limit": "1/h"},
        "paced-throttle": {"throttle": True, "rate_limit": "1/h"},
    }.items():
        call = svcready.policy(name, **parts)(lambda: "answer")  # type: ignore[arg-type]
        with running(clock=clock) as harness:
            assert call() == "answer"
            for _ in range(3):
                with pytest.raises(RateLimited):
                    call()

            assert harness.policies.attempts(name) == 1


def test_what_waited_for_a_permit_is_an_attempt() -> None:
    """A bulkhead counts who came in at once and who had to wait; refused is nobody."""
    part = svcready.bulkhead("held", max_concurrent=1, max_queue=1, max_wait=60)
    call = part(asyncio.sleep)

    async def main() -> None:
        await asyncio.gather(call(1), call(1), call(1), return_exceptions=True)

    clock = FakeClock()
    with running(clock=clock) as harness:
        clock.run(main())
        assert harness.policies.attempts("held") == 2


def test_a_thread_waits_for_a_permit_on_the_tests_clock() -> None:
    """As it sleeps: nobody's time is spent, and the wait is over."""
    part = svcready.bulkhead("held-long", max_concurrent=1, max_queue=1, max_wait=600)
    clock = FakeClock()
    with running(clock=clock):
        began_s = clock.monotonic()
        with (
            part.guard(),
            ThreadPoolExecutor(1) as pool,
            pytest.raises(BulkheadFull, match="waited"),
        ):
            pool.submit(part.call, id, 1).result(30)

        assert clock.monotonic() == began_s + 600


def test_a_name_that_nobody_declared_is_told(service: Service) -> None:
    """With those that are there; a policy without a breaker can't be forced."""
    with running() as harness:
        with pytest.raises(LookupError, match=r"'paymnets'.*tested"):
            harness.policies.attempts("paymnets")

        with pytest.raises(LookupError, match=r"no circuit breaker.*tested"):
            harness.policies.force_open("tested-retry")

        with pytest.raises(LookupError, match="no circuit breaker"):
            harness.policies.assert_transitions("paymnets", [])


def test_a_breaker_is_held(service: Service) -> None:
    """Open it refuses, closed it admits, and reset it decides again."""
    with running(clock=FakeClock()) as harness:
        harness.policies.force_open("tested")
        with pytest.raises(CircuitOpen):
            service.call()

        assert harness.policies.attempts("tested") == 0
        harness.policies.force_closed("tested")
        for _ in range(5):
            with pytest.raises(ConnectionError):
                service.call()

        harness.policies.reset()
        assert harness.policies.attempts("tested") == 0
        assert harness.policies.transitions("tested") == []
        assert svcready.circuit_breaker("tested").state == "closed"


def test_transitions_are_asserted(service: Service) -> None:
    """In order, since the block began; the message shows what there was, and why."""
    clock = FakeClock()
    with running(clock=clock) as harness:
        for _ in range(2):
            with pytest.raises((ConnectionError, CircuitOpen)):
                service.call()

        clock.advance(13.0)
        svcready.circuit_breaker("tested").call(lambda: None)
        harness.policies.assert_transitions("tested", ["open", "half_open"])
        with pytest.raises(AssertionError, match=r"closed -> open \(consecutive\)"):
            harness.policies.assert_transitions("tested", ["open"])

    with running() as harness:
        harness.policies.assert_transitions("tested", [])
        with pytest.raises(AssertionError, match="nothing"):
            harness.policies.assert_transitions("tested", ["open"])


def test_nothing_is_left_for_the_next_test(service: Service) -> None:
    """Breakers, budgets, answers, rates, latencies: as in a process just started."""
    prices = svcready.fallback("tested-stale", stale="5m", on=ConnectionError)
    rate = svcready.rate_limit("tested-rate", "1/m burst 1")
    rate.call(lambda: None)
    with running():
        rate.call(lambda: None)
        with pytest.raises(RateLimited):
            rate.call(lambda: None)

        prices.call(lambda: 1)
        svcready.circuit_breaker("tested").force_open()
        retrier = svcready.resilience.get_retry("tested").retrier
        while retrier.budget.withdraw(retrier.clock.monotonic()):
            pass

    assert svcready.circuit_breaker("tested").state == "closed"
    assert retrier.budget.balance() >= 10.0
    rate.call(lambda: None)
    with pytest.raises(ConnectionError):
        prices.call(fail)

    reset_policies()
    rate.call(lambda: None)


def test_a_fake_clock_runs_what_waits(service: Service) -> None:
    """Sleeps, time-outs and hedges of a coroutine take no time, in their order."""
    clock = FakeClock()
    woken: list[str] = []

    async def wake(name: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        woken.append(name)

    async def main() -> float:
        await asyncio.gather(wake("late", 3600), wake("early", 60))
        with pytest.raises(AttemptTimeout):
            await service.late(3600)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(9)

        return asyncio.get_running_loop().time()

    with running(clock=clock):
        began_s = clock.monotonic()
        assert clock.run(main()) == pytest.approx(began_s + 3607)

    assert woken == ["early", "late"]


def test_waiting_for_nothing_is_told() -> None:
    """A future that nobody sets would hang the test for ever."""

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="other than time"):
        FakeClock().run(main())
