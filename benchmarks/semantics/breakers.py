"""Circuit breakers of each library, set up alike: three failures open it for 1 s."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["BREAKERS", "OPEN_S", "SUCCESSES", "Breaker"]

OPEN_S = 1.0
SUCCESSES = 3
"""As many successes close any of them again."""

_numbers = itertools.count(1)

Wrap = Callable[[Callable[..., object]], Callable[..., object]]


class Breaker(NamedTuple):
    """One library's breaker."""

    library: str
    """The distribution's name."""
    make: Callable[[], Wrap]
    """Returns the decorator of a new breaker."""
    has_async: bool = True
    """Whether it decorates coroutine functions of asyncio."""


def _ours() -> Wrap:
    from svcready.resilience import circuit_breaker

    return circuit_breaker(
        f"dependency-{next(_numbers)}",
        consecutive_failures=3,
        open_for=OPEN_S,
        probe_lease=OPEN_S,
    )


def _circuitbreaker() -> Wrap:
    import circuitbreaker

    return circuitbreaker.CircuitBreaker(
        failure_threshold=3, recovery_timeout=OPEN_S, name=f"b{next(_numbers)}"
    )


def _pybreaker() -> Wrap:
    import pybreaker

    return pybreaker.CircuitBreaker(fail_max=3, reset_timeout=OPEN_S)


def _purgatory() -> Wrap:
    import inspect

    import purgatory

    plain = purgatory.SyncCircuitBreakerFactory(default_threshold=3, default_ttl=OPEN_S)
    tasks = purgatory.AsyncCircuitBreakerFactory(
        default_threshold=3, default_ttl=OPEN_S
    )

    def wrap(function: Callable[..., object]) -> Callable[..., object]:
        factory = tasks if inspect.iscoroutinefunction(function) else plain
        return factory("dependency")(function)

    return wrap


def _nopanic() -> Wrap:
    import nopanic

    return nopanic.circuit_breaker(
        failure_threshold=0.5, min_calls=3, reset_timeout=OPEN_S, half_open_max_calls=1
    )


def _interlock() -> Wrap:
    import interlock

    config = interlock.Config(
        failure_rate_threshold=0.5,
        minimum_number_of_calls=3,
        permitted_calls_in_half_open=1,
        wait_duration_in_open=OPEN_S,
    )
    return interlock.CircuitBreaker(name=f"b{next(_numbers)}", config=config)


BREAKERS = (
    Breaker("svcready", _ours),
    Breaker("pybreaker", _pybreaker, has_async=False),
    Breaker("circuitbreaker", _circuitbreaker),
    Breaker("purgatory", _purgatory),
    Breaker("nopanic", _nopanic),
    Breaker("interlock-cb", _interlock),
)
"""All that are compared, ours first."""
