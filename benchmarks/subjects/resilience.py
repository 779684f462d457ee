"""A guarded call that succeeds at once: breakers and retries, plain and async."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.workload import AsyncStatement, Statement

if TYPE_CHECKING:
    from benchmarks.workload import Workload

Decorate = Callable[..., object]


def call(amount: int) -> int:
    """Do the least that a dependency could."""
    return amount


async def async_call(amount: int) -> int:
    """Do the same on an event loop."""
    return amount


def _plain(guarded: object, flush: Callable[[], object] = lambda: None) -> Workload:
    return Statement("call(42)", {"call": guarded}, flush)


def _awaited(guarded: object, flush: Callable[[], object] = lambda: None) -> Workload:
    return AsyncStatement("await call(42)", {"call": guarded}, flush)


def floor() -> Workload:
    """A closure around the call, the least that a decorator can cost."""

    def guarded(*arguments: int) -> int:
        return call(*arguments)

    return _plain(guarded)


def floor_async() -> Workload:
    """The same around a coroutine function."""

    async def guarded(*arguments: int) -> int:
        return await async_call(*arguments)

    return _awaited(guarded)


def stamina() -> Workload:
    """Stamina with its defaults."""
    import stamina

    return _plain(stamina.retry(on=ConnectionError)(call))


def stamina_async() -> Workload:
    """Stamina with its defaults, async."""
    import stamina

    return _awaited(stamina.retry(on=ConnectionError)(async_call))


def full_jitter() -> Decorate:
    """Tenacity's decorator with three attempts and full jitter."""
    import tenacity

    return tenacity.retry(
        retry=tenacity.retry_if_exception_type(ConnectionError),
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
        reraise=True,
    )


def tenacity() -> Workload:
    """tenacity, three attempts with full jitter."""
    return _plain(full_jitter()(call))


def tenacity_async() -> Workload:
    """tenacity, three attempts with full jitter, async."""
    return _awaited(full_jitter()(async_call))


def _backoff() -> Decorate:
    import backoff

    return backoff.on_exception(backoff.expo, ConnectionError, max_tries=3)


def backoff() -> Workload:
    """backoff, three attempts."""
    return _plain(_backoff()(call))


def backoff_async() -> Workload:
    """backoff, three attempts, async."""
    return _awaited(_backoff()(async_call))


def circuitbreaker() -> Workload:
    """Circuitbreaker with its defaults."""
    import circuitbreaker as library

    return _plain(library.circuit(name="payments")(call))


def circuitbreaker_async() -> Workload:
    """Circuitbreaker with its defaults, async."""
    import circuitbreaker as library

    return _awaited(library.circuit(name="payments")(async_call))


def pybreaker() -> Workload:
    """Pybreaker with its defaults."""
    import pybreaker as library

    return _plain(library.CircuitBreaker(name="payments")(call))


def purgatory() -> Workload:
    """Purgatory with its defaults."""
    import purgatory as library

    return _plain(library.SyncCircuitBreakerFactory()("payments")(call))


def purgatory_async() -> Workload:
    """Purgatory with its defaults, async."""
    import purgatory as library

    return _awaited(library.AsyncCircuitBreakerFactory()("payments")(async_call))


def ours_retry() -> Workload:
    """Svcready's retry with its defaults."""
    import svcready
    from benchmarks.subjects.ours import start

    guarded = svcready.retry("payments", on=ConnectionError)(call)
    return _plain(guarded, start())


def ours_retry_async() -> Workload:
    """Svcready's retry with its defaults, async."""
    import svcready
    from benchmarks.subjects.ours import start

    guarded = svcready.retry("payments", on=ConnectionError)(async_call)
    return _awaited(guarded, start())


def ours_breaker() -> Workload:
    """Svcready's breaker with its defaults."""
    import svcready
    from benchmarks.subjects.ours import start

    return _plain(svcready.circuit_breaker("payments")(call), start())


def ours_breaker_async() -> Workload:
    """Svcready's breaker with its defaults, async."""
    import svcready
    from benchmarks.subjects.ours import start

    return _awaited(svcready.circuit_breaker("payments")(async_call), start())
