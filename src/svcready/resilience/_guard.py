"""Blocks behind a breaker: one guard per block, and who is in which."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from svcready.resilience._results import settle_error

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from svcready.resilience._breaker import Breaker
    from svcready.resilience._tally import Tally

__all__ = ["Guard", "enter", "leave"]


class Guard:
    """
    One guarded block: `with breaker.guard():`, or `async with`.

    It may be left in another thread or context than it was entered in, and is used
    once.

    Args:
        breaker: The breaker that admits the block.
    """

    __slots__ = ("_breaker", "_started_s", "_tally")

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._tally: Tally | None = None
        self._started_s = 0.0

    def __enter__(self) -> Self:
        if self._tally is not None:
            raise RuntimeError("a guard is entered once; ask the breaker for another")

        self._tally = tally = self._breaker.timed or self._breaker.admit()
        self._started_s = tally.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tally, breaker = self._tally, self._breaker
        if tally is None:
            return

        now_s = tally.monotonic()
        elapsed_s = now_s - self._started_s
        if error is not None:
            settle_error(breaker, tally, error, elapsed_s)
        elif now_s < tally.edge and elapsed_s < breaker.slow_after_s:
            tally.ok += 1
        else:
            breaker.settle(tally, "success", elapsed_s)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)


class _Entered(NamedTuple):
    """One block of this context that a shared object guards."""

    owner: object
    guard: Guard
    outer: _Entered | None


_ENTERED: ContextVar[_Entered | None] = ContextVar("svcready.breakers", default=None)


def enter(owner: object, guard: Guard) -> None:
    """Enter *guard* on behalf of *owner*, which other tasks and threads share."""
    guard.__enter__()
    _ENTERED.set(_Entered(owner, guard, _ENTERED.get()))


def leave(owner: object) -> Guard | None:
    """Return the guard that *owner* entered last in this context."""
    entered = _ENTERED.get()
    while entered is not None and entered.owner is not owner:
        entered = entered.outer  # generators that took turns leave out of order

    if entered is None:
        return None

    _ENTERED.set(entered.outer)
    return entered.guard
