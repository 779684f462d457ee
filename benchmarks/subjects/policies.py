"""A call under a whole policy that succeeds at once, plain and async."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.subjects import resilience
from benchmarks.workload import AsyncStatement, Statement

if TYPE_CHECKING:
    from benchmarks.workload import Workload


def _ours() -> resilience.Decorate:
    import svcready

    return svcready.policy(
        "payments",
        deadline=10,
        retry=ConnectionError,
        bulkhead=100,
        breaker=True,
        timeout=2,
    )


def ours() -> Workload:
    """Svcready's policy with all that the budget names."""
    from benchmarks.subjects.ours import start

    guarded = _ours()(resilience.call)
    return Statement("call(42)", {"call": guarded}, start())


def ours_async() -> Workload:
    """The same around a coroutine function."""
    from benchmarks.subjects.ours import start

    guarded = _ours()(resilience.async_call)
    return AsyncStatement("await call(42)", {"call": guarded}, start())


def tenacity_pybreaker() -> Workload:
    """Tenacity over pybreaker: no deadline, bulkhead or timeout."""
    import pybreaker

    guarded = pybreaker.CircuitBreaker(name="payments")(resilience.call)
    return Statement("call(42)", {"call": resilience.full_jitter()(guarded)})


def stamina_circuitbreaker() -> Workload:
    """Stamina over circuitbreaker: no bulkhead or timeout."""
    import circuitbreaker
    import stamina

    guarded = circuitbreaker.circuit(name="payments")(resilience.call)
    call = stamina.retry(on=ConnectionError)(guarded)
    return Statement("call(42)", {"call": call})


def stamina_circuitbreaker_async() -> Workload:
    """Stamina over circuitbreaker, async."""
    import circuitbreaker
    import stamina

    guarded = circuitbreaker.circuit(name="payments")(resilience.async_call)
    call = stamina.retry(on=ConnectionError)(guarded)
    return AsyncStatement("await call(42)", {"call": call})
