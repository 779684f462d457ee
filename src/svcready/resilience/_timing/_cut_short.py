"""Whose time was over when a call raised: its attempt's own, or one further out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.errors import AttemptTimeout
from svcready.resilience._lineage import args_of, attributes_of, cause_of, lineage

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TICK_S", "is_cut_short", "is_timeout", "overran"]

TICK_S = 0.002
"""How much too early a client's own timer may ring."""

_OVERRAN = "__svcready_overran__"
_FURTHEST = 8


def overran(error: BaseException) -> None:
    """Note that *error* came of an attempt whose own time was over."""
    attributes_of(error)[_OVERRAN] = True


def is_cut_short(error: BaseException, now_s: float, until_s: float) -> bool:
    """
    Return whether the deadline in force ended the call that raised *error*.

    It did if its time is over and the error is a time-out, by whichever library,
    unless the attempt's own time was over before.

    Args:
        error: What the call raised.
        now_s: The monotonic time.
        until_s: The deadline, the attempt's own time-out left out.
    """
    if now_s < until_s - TICK_S or _OVERRAN in attributes_of(error):
        return False

    return not isinstance(error, AttemptTimeout) and is_timeout(error)


def is_timeout(error: BaseException) -> bool:
    """Tell whether *error*, or what it was made of, is a time-out, told by its name."""
    return any(
        "Timeout" in name or "TimedOut" in name
        for link in _chain(error)
        for name in lineage(type(link))
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_FURTHEST):
        if link is None:
            return

        yield link
        carried = next(iter(args_of(link)), None)
        link = carried if isinstance(carried, BaseException) else cause_of(link)
