"""`circuit_breaker`: the decorator, the explicit call and the context manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.declarations import Register, check_name
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.resilience._arguments import breaker_config
from svcready.resilience._breaking._breaker import Breaker
from svcready.resilience._breaking._breaker_gate import BreakerGate
from svcready.resilience._breaking._judge import EVERY_ERROR, Judge
from svcready.resilience._breaking._states import DISABLED, FORCED_CLOSED, FORCED_OPEN
from svcready.resilience._config import BreakerConfig, override_breaker
from svcready.resilience._declared import Declared
from svcready.resilience._layering._guard import Guard, Guarding
from svcready.resilience._layering._layers import BREAKER
from svcready.resilience._layering._primitive import Primitive
from svcready.resilience._parts import add_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.places import Place
    from svcready.resilience._arguments import Errors
    from svcready.resilience._numbers import Duration

__all__ = [
    "BREAKERS",
    "CircuitBreaker",
    "circuit_breaker",
    "get_breaker",
    "shorthand",
]

BREAKERS: Register[Declared[Breaker, BreakerConfig]] = Register("circuit breaker")
"""Every circuit breaker that the process declared."""
add_part("breaker", BREAKERS)


class CircuitBreaker(Primitive[Breaker], Guarding):
    """
    A declared circuit breaker: decorates functions, makes one call, guards a block.

    Closed, it opens when the window holds enough calls and too many of them failed or
    were slow, or after so many failures in a row. Open, it refuses, for twice as long
    each time, spread by 20 %. Then one call at a time is let through as a probe: so
    many successes in a row close it, a failure opens it again. An outcome counts only
    for the state that its call was admitted in.

    Every `Exception` is a failure, save svcready's own refusals and what *success*,
    *ignore* and *inconclusive* name; cancellation says nothing. The call that opens it
    raises its own error.

    `with breaker:` and `async with breaker:` keep what they need in the context, so
    one object serves all threads and tasks; a block that is left in another context
    than it was entered in (a dependency that a framework runs in its thread pool)
    takes `breaker.guard()`.
    """

    __slots__ = ()

    KIND = "a circuit breaker"
    RANK = BREAKER

    @property
    def breaker(self) -> Breaker:
        """The state behind it."""
        return self.core

    @property
    def state(self) -> str:
        """`closed`, `half_open`, `open`, `forced_open`, `forced_closed`, `disabled`."""
        return self.breaker.state

    def guard(self) -> Guard:
        """Return a context manager for one block, sync or async."""
        return Guard(BreakerGate(self.breaker))

    def force_open(self) -> None:
        """Refuse every call until `reset` or `force_close`."""
        self.breaker.force(FORCED_OPEN)

    def force_close(self) -> None:
        """Admit and count every call, whatever comes of it, until `reset`."""
        self.breaker.force(FORCED_CLOSED)

    def disable(self) -> None:
        """Admit every call and count none, until `reset`."""
        self.breaker.force(DISABLED)

    def reset(self) -> None:
        """Decide by outcomes again: closed, the window empty, the first time anew."""
        self.breaker.reset()

    def __repr__(self) -> str:
        if self._core is None:
            return "<circuit breaker without a name>"

        return f"<circuit breaker {self.name!r}: {self.state}>"


def circuit_breaker(
    name: str | None = None,
    *,
    failure_rate: float = 0.5,
    min_calls: int = 20,
    window: Duration = 30.0,
    consecutive_failures: int | None = None,
    slow_after: Duration | None = None,
    slow_rate: float = 0.8,
    open_for: Duration = 10.0,
    open_max: Duration = 120.0,
    probes: int = 3,
    probe_lease: Duration = 10.0,
    ignore: Errors = (),
    success: Errors = (),
    inconclusive: Errors = (),
) -> CircuitBreaker:
    """
    Stop calling a dependency that fails, and try it again by single probes.

    Args:
        name: The dependency; state is per name. With every other argument left out
            it means the breaker of that name, whatever it was declared with. None:
            derived from the function decorated.
        failure_rate: The share of failures in the window that opens it.
        min_calls: Rates are judged from this many calls in the window. Below 0.7
            calls a second and process they never are: use *consecutive_failures*.
        window: What the window covers, in ten buckets.
        consecutive_failures: Failures in a row that open it; 10 suits low traffic.
        slow_after: A call that takes this long is slow; a stream's first item counts.
        slow_rate: The share of slow calls in the window that opens it.
        open_for: How long it stays open at first; doubles each time.
        open_max: The longest that it stays open.
        probes: Probes in a row that must succeed to close it.
        probe_lease: A probe without an outcome after this long counts as failed; give
            it twice what a call may take.
        ignore: What says nothing about the dependency: an exception class, a tuple of
            them, or a function of the exception. It doesn't count.
        success: What the dependency answered with, so that it works: a broken
            constraint, a 404. It counts as a success, and a probe that ends so helps
            to close the breaker.
        inconclusive: What never reached the dependency: no free connection in the
            pool. It doesn't count, and frees the probe without a verdict.

    Raises:
        DeclarationError: An argument is wrong, or the name is declared with others.
    """
    config = breaker_config(
        failure_rate=failure_rate,
        min_calls=min_calls,
        window=window,
        consecutive_failures=consecutive_failures,
        slow_after=slow_after,
        slow_rate=slow_rate,
        open_for=open_for,
        open_max=open_max,
        probes=probes,
        probe_lease=probe_lease,
    )
    judge = Judge(ignore, success, inconclusive)
    return CircuitBreaker(_declarer(config, judge, calling_place()), name)


def get_breaker(name: str) -> CircuitBreaker:
    """
    Return the circuit breaker that was declared as *name*.

    Raises:
        KeyError: There is none.
    """
    declared = BREAKERS.named(name)
    return CircuitBreaker(lambda _: declared.core, name)


def shorthand(value: object) -> CircuitBreaker:
    """
    Return the breaker that `policy(breaker=True)` means.

    Raises:
        DeclarationError: It is not True.
    """
    if value is not True:
        raise DeclarationError(
            f"breaker={value!r}: use True, or svcready.circuit_breaker(...)"
        )

    return circuit_breaker()


def _declarer(
    config: BreakerConfig, judge: Judge, place: Place
) -> Callable[[str], Breaker]:
    """Return what declares a breaker with these arguments under a name."""
    plain = config == BreakerConfig() and judge == EVERY_ERROR
    arguments = None if plain else (config, judge)

    def declare(name: str) -> Breaker:
        declared = BREAKERS.declare(
            check_name("circuit breaker", name),
            arguments,
            lambda: Declared(
                Breaker(name, config, judge),
                config,
                arguments,
                place,
                override_breaker,
            ),
            place=place,
        )
        if declared.adopt(config, arguments, place):
            declared.core.judge = judge

        return declared.core

    return declare
