"""Retries of each library, set up alike by what a scenario asks for."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["RETRIES", "Retry"]

_numbers = itertools.count(1)

Wrap = Callable[[Callable[..., object]], Callable[..., object]]


class Retry(NamedTuple):
    """One library's retry."""

    library: str
    """The distribution's name."""
    make: Callable[..., Wrap]
    """Returns a decorator; takes attempts, base_s, max_s and within_s."""


def _ours(
    attempts: int = 3,
    base_s: float = 0.001,
    max_s: float = 0.002,
    within_s: float | None = None,
) -> Wrap:
    from svcready.resilience import retry

    return retry(
        f"dependency-{next(_numbers)}",
        on=ConnectionError,
        attempts=attempts,
        wait_base=base_s,
        wait_max=max_s,
        deadline=within_s,
    )


def _tenacity(
    attempts: int = 3,
    base_s: float = 0.001,
    max_s: float = 0.002,
    within_s: float | None = None,
) -> Wrap:
    import tenacity

    stop = tenacity.stop_after_attempt(attempts)
    if within_s is not None:
        stop |= tenacity.stop_before_delay(within_s)

    return tenacity.retry(
        retry=tenacity.retry_if_exception_type(ConnectionError),
        stop=stop,
        wait=tenacity.wait_random_exponential(multiplier=base_s, max=max_s),
        reraise=True,
    )


def _stamina(
    attempts: int = 3,
    base_s: float = 0.001,
    max_s: float = 0.002,
    within_s: float | None = None,
) -> Wrap:
    import stamina

    return stamina.retry(
        on=ConnectionError,
        attempts=attempts,
        timeout=within_s,
        wait_initial=base_s,
        wait_max=max_s,
        wait_jitter=base_s,
    )


def _nopanic(
    attempts: int = 3,
    base_s: float = 0.001,
    max_s: float = 0.002,
    within_s: float | None = None,
) -> Wrap:
    import nopanic

    return nopanic.retry(
        attempts=attempts,
        on=ConnectionError,
        backoff=nopanic.backoff.full_jitter(base=base_s, cap=max_s),
        max_time=within_s,
    )


RETRIES = (
    Retry("svcready", _ours),
    Retry("tenacity", _tenacity),
    Retry("stamina", _stamina),
    Retry("nopanic", _nopanic),
)
"""All that are compared, ours first."""
