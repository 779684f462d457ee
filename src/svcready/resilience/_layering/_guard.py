"""Blocks behind gates: one guard per block, and who is in which."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready.errors import DeclarationError
from svcready.resilience._admitting._whose import whose
from svcready.resilience._layering._gate import Passage
from svcready.resilience._timing._scope import Scope

if TYPE_CHECKING:
    from types import CodeType, FrameType, TracebackType
    from typing import Self, TypeAlias

    from svcready.resilience._layering._gate import Gate
    from svcready.resilience._timing._timer import Timer

    Place: TypeAlias = tuple[int, CodeType, bool]

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

    Each block has a guard of its own, which is kept in the context meanwhile. That of a
    block that is left in another one, as a dependency's that runs in threads, is known
    by the function the block is in. Without one, as an `ExitStack` has none, the guard
    that was entered first ends in its place. Either is reported.
    """

    __slots__ = ()

    def guard(self) -> Guard:
        """Return a context manager for one block, sync or async."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        guard = self.guard()
        guard.__enter__()
        _enter(self, guard, _place(sys._getframe(1)))  # noqa: SLF001 - it is not kept
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        guard = _leave(self, _place(sys._getframe(1)), error)  # noqa: SLF001 - as above
        if guard is not None:
            guard.__exit__(kind, error, trace)

    async def __aenter__(self) -> Self:
        place = _place(sys._getframe(1), awaits=True)  # noqa: SLF001 - as above
        guard = self.guard()
        await guard.__aenter__()
        _enter(self, guard, place)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        place = _place(sys._getframe(1), awaits=True)  # noqa: SLF001 - as above
        guard = _leave(self, place, error)
        if guard is not None:
            guard.__exit__(kind, error, trace)


class _Entered(NamedTuple):
    """One block of this context that a shared object guards."""

    owner: object
    guard: Guard
    place: Place
    """Which function's it is."""
    whose: object
    """Who entered it: contexts are copied by tasks and threads."""
    outer: _Entered | None


_ENTERED: ContextVar[_Entered | None] = ContextVar("svcready.guards", default=None)
_OPEN: dict[Guard, tuple[object, Place]] = {}
"""
Every block that a shared object guards, in whichever context: the object and the place.

No lock: threads and finalizers add to it and pop from it, each in one step, and look
for others' in a copy.
"""
_PARENTS: list[dict[Guard, tuple[object, Place]]] = []
"""
What was open where this process was forked: only the forking thread's blocks are left.

The others' are kept for ever. To drop them would be to leave them, by locks that
threads hold which this process does not have.
"""


def _forget() -> None:
    global _OPEN  # noqa: PLW0603 - another thread may have been at work on it
    _PARENTS.append(_OPEN)
    _OPEN = {}


fork.reset_in_child(_forget)


def _place(frame: FrameType, *, awaits: bool = False) -> Place:
    """
    Tell one function's run from all others, and `async with` from `with`.

    A frame is its function's as long as that runs; one that has entered a block for
    others is gone when the block ends, and its id may be that of any other.
    """
    return id(frame), frame.f_code, awaits


def _enter(owner: object, guard: Guard, place: Place) -> None:
    _OPEN[guard] = owner, place
    outer = _ENTERED.get()
    while outer is not None and _is_over(outer.guard):
        outer = outer.outer  # it was left in another context

    _ENTERED.set(_Entered(owner, guard, place, whose(), outer))


def _is_over(guard: Guard) -> bool:
    return guard not in _OPEN and not any(guard in opened for opened in _PARENTS)


def _leave(owner: object, place: Place, error: BaseException | None) -> Guard | None:
    """Return the guard of the block that is left, which nobody else gets."""
    entered = _ENTERED.get()
    if entered is not None and entered.place == place and entered.owner is owner:
        _ENTERED.set(entered.outer)
    else:
        entered = _entered(owner, place)
        if entered is not None and entered.place != place:
            guard = _elsewhere(owner, place, exact=True)
            if guard is not None:
                _complain(owner, error)
                return guard

        if entered is not None:
            _take_out(entered)

    if entered is not None:
        guard = entered.guard
        if _OPEN.pop(guard, None) is not None:
            return guard

        if any(opened.pop(guard, None) is not None for opened in _PARENTS):
            return guard

    _complain(owner, error)
    return _elsewhere(owner, place)


def _entered(owner: object, place: Place) -> _Entered | None:
    """Return the last block of *owner* in this context, that of *place* if any."""
    entered, last, me = _ENTERED.get(), None, whose()
    while entered is not None:
        if entered.owner is owner and entered.place == place:
            return entered

        if last is None and entered.owner is owner and entered.whose == me:
            last = entered

        entered = entered.outer

    return last


def _take_out(block: _Entered) -> None:
    """Have this context be in *block* no more; those inside it stay."""
    entered, inside = _ENTERED.get(), []
    while entered is not None and entered is not block:
        inside.append(entered)  # generators that took turns leave out of order
        entered = entered.outer

    left = block.outer
    while inside:
        left = inside.pop()._replace(outer=left)

    _ENTERED.set(left)


def _elsewhere(owner: object, place: Place, *, exact: bool = False) -> Guard | None:
    """Return the guard that *owner* entered in *place*, or else first of its kind."""
    while True:
        found = None
        for guard, (entered, other) in _OPEN.copy().items():
            if entered is not owner:
                continue

            if other == place:
                found = guard
                break

            if not exact and found is None and other[-1] is place[-1]:
                found = guard

        if found is None or _OPEN.pop(found, None) is not None:
            return found


def _complain(owner: object, error: BaseException | None) -> None:
    if isinstance(error, GeneratorExit):
        return  # the collector throws it, too

    text = (
        f"{owner!r}: a block was left in another context or thread than it was entered "
        "in, where not all of it can be undone; `with x.guard():` can be left anywhere"
    )
    report_fault("resilience.guard", DeclarationError(text))
