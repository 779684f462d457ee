"""Tells connections of this process from those that it inherited by a fork."""

from __future__ import annotations

import math
import os
import time
from functools import lru_cache

__all__ = ["is_inherited"]

_TICK_S = 0.02  # the kernel tells beginnings in hundredths of a second


def is_inherited(age_s: float) -> bool:
    """
    Tell whether a connection is a parent's, on which this process must not speak.

    Its socket is shared: two that speak on it read each other's answers, and one that
    shuts it ends it for both. No fork hook is asked, because what declares the check
    may run in the child alone.

    Args:
        age_s: How long ago it was made, in seconds.
    """
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    if boot is None:  # only Linux tells; elsewhere services are developed
        return False

    return age_s >= time.clock_gettime(boot) - _began_s(os.getpid()) - _TICK_S


@lru_cache(maxsize=1)
def _began_s(_pid: int) -> float:
    """Return when this process began, on the clock of Linux that counts from boot."""
    try:
        with open("/proc/self/stat", "rb") as stat:  # noqa: PTH123 - no import for this
            fields = stat.read().rpartition(b")")[2].split()

        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):  # a sandbox that does not tell
        return -math.inf
