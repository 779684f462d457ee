"""How long to wait before a retry: exponential backoff with full jitter."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_HINT_S", "full_jitter_s", "hinted_s", "uniform"]

MAX_HINT_S = 30.0
"""A server that asks for a longer wait than this is not waited for."""

_MAX_DOUBLINGS = 62


def uniform() -> float:
    """Draw from [0, 1) by the process's random numbers."""
    import random  # its import hooks the fork

    return random.random()


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
