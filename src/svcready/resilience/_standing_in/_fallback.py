"""`fallback`: what answers when a dependency doesn't."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.declarations import Register, check_name
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.resilience._arguments import Matcher
from svcready.resilience._declared import Declared
from svcready.resilience._layering._layers import FALLBACK
from svcready.resilience._layering._primitive import Primitive
from svcready.resilience._parts import add_part, look_up
from svcready.resilience._standing_in._fallback_core import (
    FallbackConfig,
    FallbackCore,
    override_fallback,
)
from svcready.resilience._standing_in._stale import Stale
from svcready.resilience._standing_in._stale import stale as keep_stale
from svcready.resilience._standing_in._stand_in import StandIn

if TYPE_CHECKING:
    from svcready.resilience._arguments import Errors
    from svcready.resilience._numbers import Duration

__all__ = ["FALLBACKS", "Fallback", "fallback", "get_fallback", "shorthand"]

FALLBACKS: Register[Declared[FallbackCore, FallbackConfig]] = Register("fallback")
"""Every fallback that the process declared."""
add_part("fallback", FALLBACKS)


class _Nothing:
    """What `to` is if nothing was given; None is an answer."""

    def __repr__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()


class Fallback(Primitive[FallbackCore]):
    """
    A declared fallback: decorates functions, or makes one call.

    A call that fails as *on* says is answered by the last good answer to the same
    arguments, if one is kept and young enough, else by the function or value that
    stands in, and else by its error. An answer of either kind marks the request as
    degraded (`svcready.degraded()`). If the function that stands in fails as well,
    its error goes to the caller, with the call's own as its cause. Cancellation and
    exits are never answered.

    Of its policy it is the outermost part, so that what all others gave up on reaches
    it. A generator of either kind is replaced only until its first item, because what
    the consumer has seen can't be taken back.
    """

    __slots__ = ()

    KIND = "a fallback"
    RANK = FALLBACK


def fallback(
    name: str | None = None,
    to: object = _NOTHING,
    *,
    on: Errors | None = None,
    stale: Duration | Stale | None = None,
) -> Fallback:
    """
    Answer the calls of a dependency that gives no answer.

    Args:
        name: The dependency. None: derived from the function decorated.
        to: What answers: a function, plain or async, that takes the call's arguments,
            and the error if it has a parameter `error` which they leave free; or a
            value that can't be changed.
        on: What is answered: an exception class, a tuple of them, or a function of
            the exception. None: what svcready gave up on, that is refusals
            (`Rejected`), its time-outs, what exhausted a retry or hedge, and what the
            retry or hedge of this name has in its own `on`. Without either of them
            name the dependency's errors, and `Rejected` with them.
        stale: Before that, give the last good answer to the same arguments unless it
            is older than this; `svcready.stale(...)` says more of how it is kept.

    Raises:
        DeclarationError: An argument is wrong, or the name is declared with others.
    """
    if to is _NOTHING and stale is None:
        raise DeclarationError(
            "a fallback needs what answers: to=..., stale=..."
            + look_up("fallback", name)
        )

    stand_in = None if to is _NOTHING else StandIn(to)
    kept = stale if stale is None or isinstance(stale, Stale) else keep_stale(stale)
    matcher = None if on is None else Matcher("on", on)
    config = FallbackConfig()
    if kept is not None:
        config = FallbackConfig(kept.max_age_s, kept.max_entries)

    arguments = (stand_in, matcher, kept)
    place = calling_place()

    def declare(called: str) -> FallbackCore:
        return FALLBACKS.declare(
            check_name("fallback", called),
            arguments,
            lambda: Declared(
                FallbackCore(called, config, matcher, stand_in, kept),
                config,
                arguments,
                place,
                override_fallback,
            ),
            place=place,
        ).core

    return Fallback(declare, name)


def get_fallback(name: str) -> Fallback:
    """
    Return the fallback that was declared as *name*.

    Raises:
        KeyError: There is none.
    """
    declared = FALLBACKS.named(name)
    return Fallback(lambda _: declared.core, name)


def shorthand(value: object) -> Fallback:
    """
    Return the fallback that `policy(fallback=value)` means: a function or `stale(...)`.

    Raises:
        DeclarationError: It is neither.
    """
    if isinstance(value, Stale):
        return fallback(stale=value)

    if not callable(value):
        raise DeclarationError(
            f"fallback={value!r}: use a function of the call's arguments, "
            "svcready.stale(...), or svcready.fallback(...)"
        )

    return fallback(to=value)
