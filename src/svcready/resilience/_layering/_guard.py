"""Blocks behind gates: one guard per block, and who is in which."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready.errors import DeclarationError
from svcready.resilience._admitting._whose import whose
from svcready.resilience._layering._gate import Passage
from svcready.resilience._timing._scope import Scope

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from svcready.resilience._layering._gate import Gate
    from svcready.resilience._timing._timer import Timer

__all__ = ["Guard", "Guarding"]


class Guard:
    """
    One guarded block: `with breaker.guard():`, or `async with`.

    It may be left in another thread or context than it was entered in, and is used
    once. In a `with` its times are only in force, for what asks for them; a block of
    `async with` is cancelled by them.

    Args:
        gates: What admits the block, from the outside in.
        deadline: What bounds the wait for admission and the block together.
        timeout: What bounds the block.
    """

    __slots__ = ("_deadline", "_gates", "_stages", "_timeout", "_used")

    def __init__(
        self,
        *gates: Gate,
        deadline: Timer | None = None,
        timeout: Timer | None = None,
    ) -> None:
        self._gates = gates
        self._deadline = deadline
        self._timeout = timeout
        self._stages: list[Passage | Scope] = []
        self._used = False

    def __enter__(self) -> Self:
        self._begin()
        try:
            self._enter(self._deadline)
            if self._gates:
                passage = Passage(self._gates)
                passage.enter()
                passage.hold()
                self._stages.append(passage)

            self._enter(self._timeout)
        except BaseException as error:
            self._leave(error)
            raise

        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(error)

    async def __aenter__(self) -> Self:
        self._begin()
        try:
            self._enter(self._deadline, awaits=True)
            if self._gates:
                passage = Passage(self._gates)
                await passage.enter_async()
                passage.hold()
                self._stages.append(passage)

            self._enter(self._timeout, awaits=True)
        except BaseException as error:
            self._leave(error)
            raise

        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(error)

    def _begin(self) -> None:
        if self._used:
            raise RuntimeError("a guard is entered once; ask for another")

        self._used = True

    def _enter(self, timer: Timer | None, *, awaits: bool = False) -> None:
        if timer is None:
            return

        scope = Scope(timer)
        if awaits:
            scope.enter_async()
        else:
            scope.enter()

        self._stages.append(scope)

    def _leave(self, error: BaseException | None) -> None:
        """Leave from the inside out, and raise what *error* became on the way."""
        ended = error
        while self._stages:
            made = self._stages.pop().leave(ended)
            ended = made or ended

        if ended is not None and ended is not error:
            raise ended from error


class Guarding:
    """
    What can stand in a `with` although threads and tasks share it.

    Each block has a guard of its own, which is kept in the context meanwhile. A block
    that is left in another one, as a dependency's that runs in threads, can't be told
    from others: the one that was entered first ends in its place, which is reported.
    """

    __slots__ = ()

    def guard(self) -> Guard:
        """Return a context manager for one block, sync or async."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        guard = self.guard()
        guard.__enter__()
        _enter(self, guard)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        guard = _leave(self)
        if guard is None or _OPEN.pop(guard, None) is None:
            guard = _elsewhere(self)
            if not isinstance(error, GeneratorExit):  # which the collector throws, too
                _complain(self)

        if guard is not None:
            guard.__exit__(kind, error, trace)

    async def __aenter__(self) -> Self:
        guard = self.guard()
        await guard.__aenter__()
        _enter(self, guard)
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
    whose: object
    """Who entered it: contexts are copied by tasks and threads."""
    outer: _Entered | None


_ENTERED: ContextVar[_Entered | None] = ContextVar("svcready.guards", default=None)
_OPEN: dict[Guard, object] = {}
"""Every block that a shared object guards, in whichever context, and the object."""


def _forget() -> None:
    _OPEN.clear()  # they are the parent's


fork.reset_in_child(_forget)


def _enter(owner: object, guard: Guard) -> None:
    _OPEN[guard] = owner
    _ENTERED.set(_Entered(owner, guard, whose(), _ENTERED.get()))


def _elsewhere(owner: object) -> Guard | None:
    """Return the first guard that *owner* entered, in whichever context."""
    for guard, entered in _OPEN.copy().items():
        if entered is owner and _OPEN.pop(guard, None) is not None:
            return guard

    return None


def _complain(owner: object) -> None:
    text = (
        f"{owner!r}: a block was left in another context or thread than it was entered "
        "in, where it can't be told from others; `with x.guard():` can be left anywhere"
    )
    report_fault("resilience.guard", DeclarationError(text))


def _leave(owner: object) -> Guard | None:
    """Return the guard that *owner* entered last in this context."""
    entered, inside, me = _ENTERED.get(), [], whose()
    while entered is not None and (entered.owner is not owner or entered.whose != me):
        inside.append(entered)  # generators that took turns leave out of order
        entered = entered.outer

    if entered is None:
        return None

    left = entered.outer
    while inside:
        left = inside.pop()._replace(outer=left)

    _ENTERED.set(left)
    return entered.guard
