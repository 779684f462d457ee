"""`hedge`: a second attempt beside one that is slow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast, overload

from svcready._core.declarations import Register, check_name
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.resilience._arguments import Matcher
from svcready.resilience._declared import Declared
from svcready.resilience._hedging._hedge_core import (
    HedgeConfig,
    HedgeCore,
    override_hedge,
)
from svcready.resilience._layering._layers import HEDGE
from svcready.resilience._layering._primitive import Primitive
from svcready.resilience._numbers import count, seconds
from svcready.resilience._parts import add_part, look_up
from svcready.resilience._retrying._budget import RATIO

if TYPE_CHECKING:
    from svcready.resilience._arguments import Errors
    from svcready.resilience._numbers import Duration

__all__ = ["HEDGES", "Hedge", "get_hedge", "hedge", "shorthand"]

HEDGES: Register[Declared[HedgeCore, HedgeConfig]] = Register("hedge")
"""Every hedge that the process declared."""
add_part("hedge", HEDGES)

_THREADS = 32
_MOST = 10
_PERCENTILE = re.compile(r"p(\d{2}(?:\.\d+)?)")


class Hedge(Primitive[HedgeCore]):
    """
    A declared hedge: decorates functions, or makes one call.

    When an attempt has not answered after a while another starts beside it, and the
    first to succeed answers; the others are cancelled, which no breaker takes for an
    outcome, and waited for. The call fails if all attempts have failed, with the error
    of the first, as it would have without the hedge. Only for what may be done twice
    at once.

    Hedges are paid for as retries are, out of the same budget if a retry has its name:
    each call deposits 0.2 of one, and one a second is there anyway, so that a
    dependency which has become slow gets a fifth more load and not twice as much.
    None starts after the deadline around the call.

    It hedges coroutine functions and functions that return awaitables. Each attempt is
    a task with a copy of the caller's context. A plain function needs *threads*;
    without, it is called as it is, and reported. Generators are refused.
    """

    __slots__ = ()

    KIND = "a hedge"
    RANK = HEDGE


@overload
def hedge(
    name: str | None,
    after: Duration,
    *,
    max_hedges: int = 1,
    on: Errors = (),
    budget: bool = True,
    threads: bool | int = False,
) -> Hedge: ...
@overload
def hedge(
    *,
    after: Duration,
    max_hedges: int = 1,
    on: Errors = (),
    budget: bool = True,
    threads: bool | int = False,
) -> Hedge: ...
def hedge(
    name: str | None = None,
    after: Duration | None = None,
    *,
    max_hedges: int = 1,
    on: Errors = (),
    budget: bool = True,
    threads: bool | int = False,
) -> Hedge:
    """
    Make another attempt beside one that is slow, and take the first answer.

    Only for calls that may run twice at the same time: reads, and writes with an
    idempotency key.

    Args:
        name: The dependency; state and budget are per name. None: derived from the
            function decorated.
        after: How long an attempt may take before the next one starts: seconds, a
            timedelta or `"250ms"`; or a percentile of the calls of the last minute,
            `"p95"`, which hedges nothing before it has seen 50 of them.
        max_hedges: How many attempts there may be beside the first; 10 at most.
        on: Which failures start the next attempt at once, as a retry without a wait:
            an exception class, a tuple of them, or a function of the exception. By
            default none: a call that fails has answered. Never what svcready refused.
        budget: Whether hedges are paid for.
        threads: Run plain functions in daemon threads, up to so many at once (True:
            32). An attempt that loses runs on; where all threads are taken, the call
            is made by its caller, unhedged.

    Raises:
        DeclarationError: An argument is wrong, or the name is declared with others.
    """
    if after is None:
        raise DeclarationError(
            f"hedge {name!r} has no time: svcready.hedge('quotes', 0.1), or after=0.1"
            + look_up("hedge", name)
        )

    if count("max_hedges", max_hedges) > _MOST:
        raise DeclarationError(f"max_hedges={max_hedges!r}: use 1 to {_MOST}")

    config = _config(after)._replace(
        max_hedges=max_hedges,
        budget_ratio=RATIO if budget else None,
        threads=_threads(threads),
    )
    matcher = Matcher("on", on)
    arguments = (config, matcher)
    place = calling_place()

    def declare(called: str) -> HedgeCore:
        return HEDGES.declare(
            check_name("hedge", called),
            arguments,
            lambda: Declared(
                HedgeCore(called, config, matcher),
                config,
                arguments,
                place,
                override_hedge,
            ),
            place=place,
        ).core

    return Hedge(declare, name)


def get_hedge(name: str) -> Hedge:
    """
    Return the hedge that was declared as *name*.

    Raises:
        KeyError: There is none.
    """
    declared = HEDGES.named(name)
    return Hedge(lambda _: declared.core, name)


def shorthand(value: object) -> Hedge:
    """Return the hedge that `policy(hedge=value)` means: after so long, or `"p95"`."""
    return hedge(after=cast("Duration", value))


def _config(after: Duration) -> HedgeConfig:
    if isinstance(after, str):
        percentile = _PERCENTILE.fullmatch(after)
        if percentile is not None and float(percentile[1]) >= 50.0:
            return HedgeConfig(percentile=float(percentile[1]) / 100.0)

    return HedgeConfig(after_s=seconds("after", after))


def _threads(threads: object) -> int:
    if isinstance(threads, bool):
        return _THREADS if threads else 0

    return count("threads", cast("int", threads))
