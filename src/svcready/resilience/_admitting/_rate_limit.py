"""`rate_limit`: how often a dependency may be called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.declarations import Register, check_name
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.resilience._admitting._config_gates import RateConfig, override_rate
from svcready.resilience._admitting._pacer import Pacer
from svcready.resilience._admitting._rates import parse_rate
from svcready.resilience._declared import Declared
from svcready.resilience._layering._guard import Guard, Guarding
from svcready.resilience._layering._layers import RATE
from svcready.resilience._layering._primitive import Primitive
from svcready.resilience._numbers import seconds
from svcready.resilience._parts import add_part, look_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.places import Place
    from svcready.resilience._numbers import Duration

__all__ = ["RATE_LIMITS", "RateLimit", "get_rate_limit", "rate_limit", "shorthand"]

RATE_LIMITS: Register[Declared[Pacer, RateConfig]] = Register("rate limit")
"""Every outbound rate limit that the process declared."""
add_part("rate_limit", RATE_LIMITS)


class RateLimit(Primitive[Pacer], Guarding):
    """
    A declared outbound rate limit: decorates functions, makes one call, guards a block.

    The generic cell rate algorithm (ITU-T I.371) on the monotonic clock: after a pause
    the whole burst goes at once, then calls go at the rate. A call that comes too
    early takes the next turn and waits for it, in the order of coming, if that is
    within *max_wait* and the deadline of the work at hand; or else it is refused, which
    costs nothing. Cancelled, the last one in line leaves its turn to others; what was
    promised to those behind stays.

    Each process has the whole rate.

    A plain function that runs on the thread of an event loop never waits, since the
    loop would wait with it: too early, it is refused.
    """

    __slots__ = ()

    KIND = "a rate limit"
    RANK = RATE

    def guard(self) -> Guard:
        """Return a context manager for one block, sync or async."""
        return Guard(self.core)


def rate_limit(
    name: str | None = None, rate: str | None = None, *, max_wait: Duration = 0
) -> RateLimit:
    """
    Call a dependency no more often than it allows.

    Args:
        name: The dependency; the rate is per name. None: derived from the function
            decorated.
        rate: How often: `"100/s burst 20"`, `"100/minute"`, `"5 per second"`. Without
            a burst it is the number in front. Required.
        max_wait: The longest that a call waits for its turn.

    Raises:
        DeclarationError: An argument is wrong, or the name is declared with others.
    """
    if rate is None:
        raise DeclarationError(
            f"rate limit {name!r} needs rate=...: "
            "svcready.rate_limit('payments', '100/s burst 20')"
            + look_up("rate_limit", name)
        )

    config = RateConfig(
        rate=parse_rate(rate),
        max_wait_s=seconds("max_wait", max_wait, low_s=0.0),
    )
    return RateLimit(_declarer(config, calling_place()), name)


def get_rate_limit(name: str) -> RateLimit:
    """
    Return the outbound rate limit that was declared as *name*.

    Raises:
        KeyError: There is none.
    """
    declared = RATE_LIMITS.named(name)
    return RateLimit(lambda _: declared.core, name)


def shorthand(value: object) -> RateLimit:
    """
    Return the rate limit that `policy(rate_limit="100/s")` means.

    Raises:
        DeclarationError: It is no rate.
    """
    if not isinstance(value, str):
        raise DeclarationError(
            f'rate_limit={value!r}: use a rate such as "100/s burst 20", or '
            "svcready.rate_limit(...)"
        )

    return rate_limit(rate=value)


def _declarer(config: RateConfig, place: Place) -> Callable[[str], Pacer]:
    """Return what declares a rate limit with these arguments under a name."""

    def declare(name: str) -> Pacer:
        declared = RATE_LIMITS.declare(
            check_name("rate limit", name),
            config,
            lambda: Declared(Pacer(name, config), config, config, place, override_rate),
            place=place,
        )
        declared.adopt(config, config, place)
        return declared.core

    return declare
