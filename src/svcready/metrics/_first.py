"""The first recording of a forked child, which tells that it works for the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["happened", "tell_of_it"]

_told: Callable[[], None] | None = None


def tell_of_it(told: Callable[[], None] | None) -> None:
    """
    Have *told* called at the next recording in a counter or histogram, once.

    Args:
        told: Must be quick, for it runs wherever something is recorded; None if
            nobody has to be told any more.
    """
    global _told  # noqa: PLW0603 - one per process, as the totals are
    _told = told


def happened() -> None:
    """Take note that something was recorded; told by whoever looks now and then."""
    global _told  # noqa: PLW0603
    told = _told
    if told is not None:
        _told = None
        try:
            told()
        except Exception as error:  # noqa: BLE001 - recording never raises
            report_fault("metrics", error)
