"""Things that have names, declared as plain data and bound when a runtime starts."""

from __future__ import annotations

import re
import sys
import threading
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from svcready._core import fork
from svcready._core.places import calling_place
from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.places import Place

__all__ = ["Register", "check_name", "name_of", "variable"]

D = TypeVar("D")

_NAME = re.compile(r"[a-z0-9_.-]{1,64}")
_RUN = re.compile(r"[._-]+")
_UNFIT = re.compile(r"[^a-z0-9_.-]+")
_MAX_NAME = 64
_KEPT_TAIL = 55


def check_name(kind: str, name: object) -> str:
    """
    Return *name* if it is a valid name of a *kind* of thing.

    Raises:
        DeclarationError: It is not 1-64 characters of `a-z 0-9 _ . -`, or it is
            `default`, which variables use for "all of them".
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        msg = f"{kind} name {name!r}: use 1-64 characters of a-z, 0-9, '_', '.', '-'"
        raise DeclarationError(msg)

    if variable(name) in {"DEFAULT", ""}:
        msg = f"{kind} name {name!r} is reserved: in variables it means all of them"
        raise DeclarationError(msg)

    return name


def variable(name: str) -> str:
    """Return *name* as variables spell it: `pay-ments.v2` is `PAY_MENTS_V2`."""
    return _RUN.sub("_", name).strip("_").upper()


def name_of(function: Callable[..., object]) -> str:
    """
    Derive a valid name from where *function* is defined.

    It is `module.qualname` in lower case without `<locals>.`; a script's `__main__`
    becomes the file's stem; beyond 64 characters the last 55 and 8 hex digits of the
    whole name's BLAKE2s hash are kept.
    """
    function = getattr(function, "func", function)  # functools.partial
    module = getattr(function, "__module__", None) or "unknown"
    if module == "__main__":
        main = getattr(sys.modules.get("__main__"), "__file__", None) or "main"
        module = re.split(r"[/\\]", main)[-1].rsplit(".", 1)[0]

    qualname = getattr(function, "__qualname__", type(function).__qualname__)
    name = f"{module}.{qualname}".lower().replace("<locals>.", "")
    name = _UNFIT.sub("_", name)
    if len(name) <= _MAX_NAME:
        return name

    from hashlib import blake2s  # loads OpenSSL, for long names only

    digest = blake2s(name.encode(), digest_size=4).hexdigest()
    return f"{name[-_KEPT_TAIL:]}-{digest}"


class _Entry(NamedTuple, Generic[D]):
    thing: D
    arguments: object
    place: Place


class Register(Generic[D]):
    """
    The things of one kind that the process declared, by name.

    Args:
        kind: The kind as messages name it: `metric`, `circuit breaker`, ...
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._entries: dict[str, _Entry[D]] = {}
        self._spellings: dict[str, str] = {}
        self._things: tuple[D, ...] | None = ()
        self._binder: Callable[[D], None] | None = None
        self._lock = threading.Lock()
        fork.reset_in_child(self._reset_lock)

    def declare(
        self,
        name: str,
        arguments: object,
        build: Callable[[], D],
        *,
        place: Place | None = None,
        replace: Callable[[D, D], bool] | None = None,
    ) -> D:
        """
        Return the thing called *name*, built now if it is new.

        Args:
            name: A name that `check_name` accepts.
            arguments: What it was declared with, compared by `==`; None means "the
                one that is there, whatever it was declared with".
            build: Makes it; quick, plain data. What it made is dropped where another
                thread was faster.
            place: Where it was declared, if not where the caller called.
            replace: Told the one that is there and a new one; True puts the new one
                in its place (a check that an application factory registers again).

        Raises:
            DeclarationError: The name means something else already, or another name
                is spelt the same in variables; the message shows both places.
        """
        place = place or calling_place()
        while True:
            known = self._entries.get(name)
            if known is not None and (
                arguments is None
                or known.arguments is None
                or known.arguments == arguments  # the application's code: no lock
            ):
                return known.thing

            thing = build()
            if known is not None and not (replace and replace(known.thing, thing)):
                msg = (
                    f"{self._kind} {name!r} is declared at {place} with other arguments"
                    f" than at {known.place}"
                )
                raise DeclarationError(msg)

            with self._lock:
                if self._entries.get(name) is known:
                    self._put(name, _Entry(thing, arguments, place))
                    binder = self._binder
                    break  # or else another thread has declared it meanwhile

        if binder is not None:
            binder(thing)

        return thing

    def get(self, name: str) -> D | None:
        """Return the thing called *name*, or None."""
        entry = self._entries.get(name)
        return None if entry is None else entry.thing

    def named(self, name: str) -> D:
        """
        Return the thing called *name*.

        Raises:
            KeyError: There is none; the message has those that there are.
        """
        thing = self.get(name)
        if thing is None:
            there = ", ".join(self.names()) or "none"
            raise KeyError(f"no {self._kind} is called {name!r}; declared are: {there}")

        return thing

    def place(self, name: str) -> Place | None:
        """Return where the thing called *name* was declared, or None."""
        entry = self._entries.get(name)
        return None if entry is None else entry.place

    def names(self) -> tuple[str, ...]:
        """Return all names, in the order of declaration."""
        return tuple(self._entries)

    def things(self) -> tuple[D, ...]:
        """Return all things, in the order of declaration; the same until one comes."""
        things = self._things
        if things is None:
            with self._lock:
                things = self._listed()

        return things

    def bind(self, binder: Callable[[D], None] | None) -> None:
        """
        Call *binder* with everything declared so far and everything to come.

        Args:
            binder: Runs outside the register's lock; None ends the binding.
        """
        with self._lock:
            self._binder = binder
            things = self._listed()

        if binder is not None:
            for thing in things:
                binder(thing)

    def remove(self, name: str) -> None:
        """Forget the thing called *name*; whoever is bound is not told."""
        with self._lock:
            if self._entries.pop(name, None) is not None:
                self._spellings.pop(variable(name), None)
                self._things = None

    def clear(self) -> None:
        """Forget everything; for tests, which declare the same names again."""
        with self._lock:
            self._entries.clear()
            self._spellings.clear()
            self._things = ()

    def _put(self, name: str, entry: _Entry[D]) -> None:
        self._check_spelling(name, entry.place)
        self._entries[name] = entry
        self._spellings[variable(name)] = name
        self._things = None  # listed when somebody asks: thousands may come

    def _listed(self) -> tuple[D, ...]:
        """Return all things, the lock being held."""
        if self._things is None:
            self._things = tuple([entry.thing for entry in self._entries.values()])

        return self._things

    def _check_spelling(self, name: str, place: Place) -> None:
        other = self._spellings.get(variable(name), name)
        if other != name:
            msg = (
                f"{self._kind} names {name!r} (declared at {place}) and {other!r} "
                f"(at {self._entries[other].place}) are both {variable(name)} in "
                "variables"
            )
            raise DeclarationError(msg)

    def _reset_lock(self) -> None:
        self._lock = threading.Lock()
