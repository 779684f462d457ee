"""Blocks behind gates: one guard per block, and who is in which."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from svcready.resilience._gate import Passage

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from svcready.resilience._gate import Gate

__all__ = ["Guard", "Guarding"]


class Guard:
    """
    One guarded block: `with breaker.guard():`, or `async with`.

    It may be left in another thread or context than it was entered in, and is used
    once.

    Args:
        gates: What admits the block, from the outside in.
    """

    __slots__ = ("_gates", "_passage")

    def __init__(self, *gates: Gate) -> None:
        self._gates = gates
        self._passage: Passage | None = None

    def __enter__(self) -> Self:
        self._begin().enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._passage is not None:
            self._passage.leave(error)

    async def __aenter__(self) -> Self:
        await self._begin().enter_async()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def _begin(self) -> Passage:
        if self._passage is not None:
            raise RuntimeError("a guard is entered once; ask for another")

        self._passage = passage = Passage(self._gates)
        return passage


class Guarding:
    """
    What can stand in a `with` although threads and tasks share it.

    Each block has a guard of its own, which is kept in the context meanwhile.
    """

    __slots__ = ()

    def guard(self) -> Guard:
        """Return a context manager for one block, sync or async."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        guard = self.guard()
        guard.__enter__()
        _ENTERED.set(_Entered(self, guard, _ENTERED.get()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        guard = _leave(self)
        if guard is not None:
            guard.__exit__(kind, error, trace)

    async def __aenter__(self) -> Self:
        guard = self.guard()
        await guard.__aenter__()
        _ENTERED.set(_Entered(self, guard, _ENTERED.get()))
        return self

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


_ENTERED: ContextVar[_Entered | None] = ContextVar("svcready.guards", default=None)


def _leave(owner: object) -> Guard | None:
    """Return the guard that *owner* entered last in this context."""
    entered = _ENTERED.get()
    while entered is not None and entered.owner is not owner:
        entered = entered.outer  # generators that took turns leave out of order

    if entered is None:
        return None

    _ENTERED.set(entered.outer)
    return entered.guard
