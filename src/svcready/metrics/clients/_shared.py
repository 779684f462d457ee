"""What the metrics of all client libraries share: being on once, and off again."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING, Generic, TypeVar

from svcready._core import fork
from svcready._core.guard import guard
from svcready.metrics._instruments._children import (
    GaugeChild,
    LockedGaugeChild,
    adds_are_atomic,
)
from svcready.metrics._instruments._register import Declarer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "COMPONENT",
    "DECLARE",
    "Installed",
    "Patches",
    "Undo",
    "error_type",
    "instrument_all",
    "new_level",
    "quiet",
]

T = TypeVar("T")

COMPONENT = "metrics.clients"
"""Under what name faults of this room are counted."""

DECLARE = Declarer("svcready")
"""Declares the families of client libraries: not the application's own."""

quiet = guard(COMPONENT)
"""Keeps a fault of ours away from the client."""


_left: dict[int, tuple[object, object]] = {}
"""Wrappers that were wrapped again when they ended, and what is under each, by id."""


class Undo(Generic[T]):
    """
    Takes an instrumentation back; calling it again does nothing.

    It does not keep the instrumented thing alive.

    Args:
        thing: What is instrumented.
        forget: Told that it no longer is.
    """

    __slots__ = ("_forget", "_remove", "_thing")

    def __init__(self, thing: T, forget: Callable[[T], None]) -> None:
        self._thing = weakref.ref(thing)
        self._forget = forget
        self._remove: Callable[[T], None] | None = None

    def __call__(self) -> None:
        """Take it back."""
        remove, self._remove = self._remove, None
        thing = self._thing()
        if remove is not None and thing is not None:
            with quiet:
                remove(thing)

            self._forget(thing)

    def arm(self, remove: Callable[[T], None]) -> None:
        """Have *remove* take it back; it must not hold on to the thing."""
        self._remove = remove


class Installed(Generic[T]):
    """Which things of one kind are instrumented, without keeping them alive."""

    def __init__(self) -> None:
        self._undos: weakref.WeakKeyDictionary[T, Undo[T]]
        self._undos = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        fork.reset_in_child(self._reset_lock)

    def once(
        self, thing: T, install: Callable[[T], Callable[[T], None]]
    ) -> Callable[[], None]:
        """
        Instrument *thing*, unless it is already.

        Args:
            thing: Can be referred to weakly.
            install: Does it and returns what takes it back; its faults are raised.

        Returns:
            What takes the instrumentation back; the same for the same thing.
        """
        with self._lock:
            undo = self._undos.get(thing)
            if undo is not None:
                return undo

            undo = self._undos[thing] = Undo(thing, self._forget)

        try:
            undo.arm(install(thing))
        except BaseException:
            self._forget(thing)
            raise

        return undo

    def __contains__(self, thing: T) -> bool:
        return thing in self._undos

    def _forget(self, thing: T) -> None:
        with self._lock:
            self._undos.pop(thing, None)

    def _reset_lock(self) -> None:
        self._lock = threading.Lock()


class Patches:
    """Methods of classes that are wrapped, by wrapt, until they are put back."""

    def __init__(self) -> None:
        self._done: list[tuple[type, str, object, object]] = []
        self.active = True
        """False once the methods were put back."""

    def wrap_class(self, kind: type, name: str, wrapper: Callable[..., object]) -> None:
        """
        Wrap the method *name* of *kind*.

        Args:
            kind: Has the method itself; who inherits it is measured too.
            name: The method's.
            wrapper: Called with the bound method, the instance and the arguments.
        """
        import wrapt

        def call(
            inner: Callable[..., object],
            instance: object,
            args: tuple[object, ...],
            kwargs: dict[str, object],
        ) -> object:
            if not self.active:  # somebody's wrapper around ours keeps it
                return inner(*args, **kwargs)

            return wrapper(inner, instance, *args, **kwargs)

        original = vars(kind)[name]
        while (left := _left.pop(id(original), None)) is not None:
            original = left[1]

        patched = wrapt.FunctionWrapper(original, call)
        setattr(kind, name, patched)
        self._done.append((kind, name, original, patched))

    def undo(self) -> None:
        """Put the methods back, but for those that somebody wrapped after us."""
        self.active = False
        while self._done:
            kind, name, original, patched = self._done.pop()
            if vars(kind).get(name) is patched:
                setattr(kind, name, original)
            else:
                _left[id(patched)] = patched, original


def instrument_all(
    kind: type[T],
    instrument: Callable[[T], Callable[[], None]],
    is_instrumented: Callable[[T], bool],
    made_by: type | None = None,
) -> Callable[[object], None]:
    """
    Instrument every object of *kind* that there is and that will be made.

    Args:
        kind: The class, subclasses included.
        instrument: Instruments one, and returns what takes it back.
        is_instrumented: Tells whether one is, by the application's own call.
        made_by: The class whose `__init__` makes them all; *kind* if None.

    Returns:
        What takes back what was instrumented here.
    """
    found: weakref.WeakSet[T] = weakref.WeakSet()

    def adopt(thing: T) -> None:
        with quiet:
            if not is_instrumented(thing):
                instrument(thing)
                found.add(thing)

    def made(
        inner: Callable[..., None], thing: T, *args: object, **kwargs: object
    ) -> None:
        inner(*args, **kwargs)
        if isinstance(thing, kind):
            adopt(thing)

    patches = Patches()
    patches.wrap_class(made_by or kind, "__init__", made)
    # Once, at the start. Objects refer to their classes, so that the interpreter finds
    # them without showing us all others; a look at the type alone wakes no lazy object.
    kinds = _with_subclasses(kind)
    for thing in gc.get_referrers(*kinds):
        if type(thing) in kinds:
            adopt(thing)

    def remove(_: object) -> None:
        patches.undo()
        for thing in tuple(found):
            instrument(thing)()

    return remove


def _with_subclasses(kind: type[T]) -> set[type[T]]:
    found = {kind}
    for each in kind.__subclasses__():
        found |= _with_subclasses(each)

    return found


def new_level() -> GaugeChild:
    """Return a level that is no series by itself, exact on this interpreter."""
    return GaugeChild() if adds_are_atomic() else LockedGaugeChild()


def error_type(error: BaseException) -> str:
    """Return the class of *error*, which is what errors are told apart by."""
    return type(error).__name__
