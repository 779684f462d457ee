"""A rate: so many requests a second, then a part of the others."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from svcready.tracing.sampling._reservoir import Reservoir

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock

__all__ = ["Rate"]


class Rate:
    """
    A rate as it is in force, as in `1/s+5%`.

    Args:
        per_second: So many each second are sampled first.
        ratio: The part of the others that is sampled.
        clock: Drives the reservoir.
        uniform: Draws from [0, 1).
    """

    __slots__ = ("decide", "per_second", "ratio", "share")

    def __init__(
        self,
        per_second: float,
        ratio: float,
        clock: Clock,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self.per_second = per_second
        self.ratio = ratio
        reservoir = Reservoir(per_second, clock, uniform)
        self.share = reservoir.share
        self.decide = self._decision(reservoir.take, uniform)

    def __str__(self) -> str:
        parts = [f"{self.per_second:g}/s"] if self.per_second else []
        if self.ratio or not parts:
            parts.append(f"{self.ratio * 100:g}%")

        return "+".join(parts)

    def _decision(
        self, take: Callable[[], bool], uniform: Callable[[], float]
    ) -> Callable[[], bool]:
        ratio = self.ratio
        if ratio >= 1.0:
            return lambda: True

        if self.per_second <= 0:
            return (lambda: uniform() < ratio) if ratio > 0 else (lambda: False)

        return lambda: take() or uniform() < ratio
