"""How long to wait before a retry: exponential backoff with full jitter."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_HINT_S", "full_jitter_s", "hinted_s", "uniform"]

MAX_HINT_S = 30.0
"""A server that asks for a longer wait than this is not waited for."""

_MAX_DOUBLINGS = 62


def uniform() -> float:
    """
    Draw from [0, 1), by random numbers that are svcready's alone.

    An application that seeds `random` draws the same with us as without, and a
    forked child other ones than its parent.
    """
    global _draw, _drawn_by
    pid = os.getpid()
    if _drawn_by != pid:
        from random import Random  # its import hooks the fork

        _draw, _drawn_by = Random().random, pid

    return _draw()


def _never() -> float:
    raise AssertionError


_draw: Callable[[], float] = _never
_drawn_by = -1


def full_jitter_s(
    retry: int, base_s: float, max_s: float, rng: Callable[[], float]
) -> float:
    """
    Draw the wait before a retry: uniform from 0 to the clamped exponential.

    Clamped first and drawn then, so that waits at the cap keep their jitter ("full
    jitter" of the AWS Builders' Library).

    Args:
        retry: Which retry it is, from 1.
        base_s: The upper bound of the first wait, in seconds; doubles every time.
        max_s: The upper bound of every wait, in seconds.
        rng: Draws from [0, 1).
    """
    ceiling_s: float = min(max_s, base_s * 2.0 ** min(retry - 1, _MAX_DOUBLINGS))
    return ceiling_s * rng()


def hinted_s(wait_s: float, hint_s: float, rng: Callable[[], float]) -> float:
    """
    Return the wait before a retry that the server dated.

    Not before the hint, and spread by up to a tenth of it and a second, because every
    client got the same one.

    Args:
        wait_s: What the backoff says, in seconds.
        hint_s: What the server says, in seconds.
        rng: Draws from [0, 1).
    """
    return max(hint_s, wait_s) + min(1.0, 0.1 * hint_s) * rng()
