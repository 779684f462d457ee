"""`throttle`: hold calls back from a dependency that says it is overloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.declarations import Register, check_name
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.resilience._admitting._config_gates import (
    ThrottleConfig,
    override_throttle,
)
from svcready.resilience._admitting._overload import is_overload
from svcready.resilience._admitting._throttler import Throttler
from svcready.resilience._arguments import Matcher
from svcready.resilience._declared import Declared
from svcready.resilience._layering._guard import Guard, Guarding
from svcready.resilience._layering._layers import THROTTLE
from svcready.resilience._layering._primitive import Primitive
from svcready.resilience._numbers import factor, ratio, seconds
from svcready.resilience._parts import add_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.places import Place
    from svcready.resilience._arguments import Errors
    from svcready.resilience._numbers import Duration

__all__ = ["THROTTLES", "Throttle", "get_throttle", "shorthand", "throttle"]

THROTTLES: Register[Declared[Throttler, ThrottleConfig]] = Register("throttle")
"""Every throttle that the process declared."""
add_part("throttle", THROTTLES)


class Throttle(Primitive[Throttler], Guarding):
    """
    A declared throttle: decorates functions, makes one call, guards a block.

    The client-side throttling of Google's SRE book ("Handling Overload"): of what the
    window saw, calls are held back with the probability
    `max(0, (requests - k * accepts) / (requests + 1))`, at most *max_rejection*, where
    an accepted request is one that was answered by anything but an overload. So a
    dependency gets at most *k* times what it accepts, from each process for itself,
    and whoever held back sees at once when it accepts more.

    svcready's own refusals and cancelled calls count as neither.
    """

    __slots__ = ()

    KIND = "a throttle"
    RANK = THROTTLE

    @property
    def rejection(self) -> float:
        """The probability that a call would be held back now."""
        return self.core.rejection

    def guard(self) -> Guard:
        """Return a context manager for one block, sync or async."""
        return Guard(self.core)


def throttle(
    name: str | None = None,
    *,
    on: Errors = is_overload,
    k: float = 2.0,
    window: Duration = 120.0,
    max_rejection: float = 0.9,
) -> Throttle:
    """
    Hold calls back from a dependency in the measure in which it refuses them.

    Args:
        name: The dependency; state is per name. None: derived from the function
            decorated.
        on: Which errors say that it is overloaded: an exception class, a tuple of
            them, or a function of the exception. Usually those with a status 429 or
            503 (`response.status_code`, `status_code`, `status` or `code`), gRPC's
            RESOURCE_EXHAUSTED and UNAVAILABLE, and AWS's throttling codes.
        k: So many times what the dependency accepts is sent to it; from 1 up. Less
            saves the dependency work, more notices sooner that it has recovered.
        window: What the window covers, in ten buckets.
        max_rejection: The largest share of calls that is held back.

    Raises:
        DeclarationError: An argument is wrong, or the name is declared with others.
    """
    config = ThrottleConfig(
        k=factor("k", k),
        window_s=seconds("window", window, low_s=1.0),
        max_rejection=ratio("max_rejection", max_rejection),
    )
    return Throttle(_declarer(config, Matcher("on", on), calling_place()), name)


def get_throttle(name: str) -> Throttle:
    """
    Return the throttle that was declared as *name*.

    Raises:
        KeyError: There is none.
    """
    declared = THROTTLES.named(name)
    return Throttle(lambda _: declared.core, name)


def shorthand(value: object) -> Throttle:
    """
    Return the throttle that `policy(throttle=True)` means.

    Raises:
        DeclarationError: It is not True.
    """
    if value is not True:
        raise DeclarationError(
            f"throttle={value!r}: use True, or svcready.throttle(...)"
        )

    return throttle()


def _declarer(
    config: ThrottleConfig, overloads: Matcher, place: Place
) -> Callable[[str], Throttler]:
    """Return what declares a throttle with these arguments under a name."""
    arguments = (config, overloads)

    def declare(name: str) -> Throttler:
        declared = THROTTLES.declare(
            check_name("throttle", name),
            arguments,
            lambda: Declared(
                Throttler(name, config, overloads),
                config,
                arguments,
                place,
                override_throttle,
            ),
            place=place,
        )
        declared.adopt(config, arguments, place)
        return declared.core

    return declare
