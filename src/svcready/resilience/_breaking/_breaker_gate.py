"""A circuit breaker as one of the gates that an attempt passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from svcready.resilience._layering._gate import Unjudged
from svcready.resilience._layering._results import settle_error

if TYPE_CHECKING:
    from svcready._core.clock import Clock
    from svcready.resilience._breaking._breaker import Breaker
    from svcready.resilience._tally import Tally

__all__ = ["BreakerGate"]


class BreakerGate:
    """
    Admits what its breaker admits; nobody ever waits for one.

    Args:
        breaker: The breaker.
    """

    __slots__ = ("_breaker", "name")

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self.name = breaker.name

    @property
    def clock(self) -> Clock:
        """The breaker's clock."""
        return self._breaker.clock

    def peek(self) -> None:
        """Refuse if the breaker would."""
        self._breaker.peek()

    def enter(self) -> Tally:
        """Return the tally that the attempt is settled with."""
        return self._breaker.timed or self._breaker.admit()

    async def enter_async(self) -> Tally:
        """Return the tally that the attempt is settled with."""
        return self._breaker.timed or self._breaker.admit()

    def leave(
        self, token: object, error: BaseException | None, elapsed_s: float
    ) -> None:
        """Settle the attempt."""
        breaker, tally = self._breaker, cast("Tally", token)
        if error is None:
            if tally.monotonic() < tally.edge and elapsed_s < breaker.slow_after_s:
                tally.ok += 1
            else:
                breaker.settle(tally, "success", elapsed_s)
        elif isinstance(error, Unjudged):
            breaker.settle(tally, "ignored")
        else:
            settle_error(breaker, tally, error, elapsed_s)

    def renew(self, token: object) -> None:
        """Extend the lease of a probe."""
        self._breaker.renew(cast("Tally", token))
