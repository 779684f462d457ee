"""Marks on errors that were given up on, believed only in the call that they are of."""

from __future__ import annotations

import itertools
import os
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready.resilience._admitting._whose import whose
from svcready.resilience._lineage import attributes_of

if TYPE_CHECKING:
    from contextvars import Token
    from typing import Self

__all__ = [
    "LAST",
    "MARK",
    "ONCE",
    "Mark",
    "Running",
    "give_up",
    "mark_of",
    "marked",
    "not_again",
    "note_on",
]

MARK = "__svcready_exhausted__"
"""Where an error, or an answer, keeps the mark of the retry that gave up on it."""
ONCE = "__svcready_once__"
"""Where an error keeps the mark of a call that can't be made again."""

_AROUND: ContextVar[tuple[int, ...]] = ContextVar("svcready.retries", default=())
"""The tokens of the calls that what runs here is part of, in copied contexts too."""
_MOST_AROUND = 16
"""How many calls it knows: a task that starts its own successor is in ever more."""
_tokens = itertools.count(1)
_lock = threading.RLock()  # a signal handler may call as well


class _Last:
    """The number of the last mark that was made."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


LAST = _Last()
"""What calls read as they begin: marks up to this number are of earlier ones."""


def _reset_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it
    _lock = threading.RLock()


fork.reset_in_child(_reset_in_child)


class Mark:
    """
    What a retry that gives up leaves on an error: who it was, when and where.

    An error outlives the call that raised it, if it is a module's constant, a test's
    `side_effect` or what a future keeps. A mark is of one call: it says nothing when
    the same object is raised again.

    Args:
        name: The retry's name.
        again: Whether the error had such a mark before.
    """

    __slots__ = ("again", "around", "name", "number", "owner")

    def __init__(self, name: str, *, again: bool = False) -> None:
        self.name = name
        self.again = again
        self.owner: object = whose()
        self.around = _AROUND.get()
        with _lock:
            LAST.number = self.number = LAST.number + 1

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        # What loads the error may know nothing of svcready, or another version.
        return tuple, ((self.name, self.number, os.getpid()),)


def mark_of(holder: dict[str, object], key: str) -> Mark | None:
    """Return the mark that is kept in *holder*; one that was pickled is made again."""
    match holder.get(key):
        case Mark() as mark:
            return mark
        case (str(name), int(number), int(pid)):
            mark = holder[key] = _brought(name, number, pid)
            return mark

    return None


def _brought(name: str, number: int, pid: int) -> Mark:
    """Return the mark of an error that was pickled: in another process just now."""
    mark = Mark(name)
    mark.owner = None
    if pid == os.getpid():
        mark.number, mark.again = number, True

    return mark


def marked(holder: dict[str, object], key: str, name: str = "") -> None:
    """Mark what keeps its attributes in *holder*."""
    holder[key] = Mark(name, again=key in holder)


class Running:
    """
    One running call, which tells the marks of its own attempts from those of others.

    A mark is of this call if it was made since that began, in the same thread or task,
    where one thing follows the other; or anywhere, if its context is a copy of one of
    this call's. A first attempt puts no token into its context, as most succeed. So
    where another thread or task gave up during it, the first mark that an error ever
    gets is believed: what is raised again has one already. From then on the attempts
    have a token from the start (`is_unsure`).

    Args:
        before: `LAST.number` when the call began; None: it begins now.
        anywhere: Believe what was marked since then, in whichever thread or task.
    """

    __slots__ = ("_anywhere", "_is_known", "before", "is_unsure", "token")

    def __init__(self, before: int | None = None, *, anywhere: bool = False) -> None:
        self.before = LAST.number if before is None else before
        self._anywhere = anywhere
        self.token = 0
        self._is_known = False
        self.is_unsure = False
        """Whether a mark was met which may be of this call's or of another's."""

    def put(self, *, again: bool = True) -> Token[tuple[int, ...]]:
        """
        Have what this context calls from now on be known as this call's.

        Args:
            again: Whether an attempt was made before, which has shown what it calls.
        """
        if not self.token:
            self.token = next(_tokens)

        self._is_known = self._is_known or again
        return _AROUND.set((*_AROUND.get()[1 - _MOST_AROUND :], self.token))

    @staticmethod
    def lift(token: Token[tuple[int, ...]]) -> None:
        """Undo `put`; in another context there is nothing to be undone."""
        try:
            _AROUND.reset(token)
        except ValueError:
            return

    def believes(self, mark: Mark | None, name: str = "") -> bool:
        """
        Return whether *mark* was made in this call.

        Args:
            mark: What an error has in the place of one.
            name: Of the retry that asks: calls beside this one make marks of its name.
        """
        if mark is None or mark.number <= self.before:
            return False

        inside = mark.owner == whose() or self.token in mark.around
        if inside or self._anywhere:
            return True

        self.is_unsure = True
        is_elsewhere = self._is_known or (self.token and mark.around)
        return not is_elsewhere and not mark.again and mark.name != name

    def began_before(self, mark: Mark | None) -> bool:
        """Return whether *mark* was made since this call began, whoever made it."""
        return mark is not None and mark.number > self.before


def not_again(error: Exception) -> None:
    """Mark *error* as of a call that can't be made again, whoever would retry it."""
    marked(attributes_of(error), ONCE)


def give_up(error: Exception, name: str, note: str) -> None:
    """Mark *error* as what the policy *name* gave up on, and say so on it."""
    marked(attributes_of(error), MARK, name)
    note_on(error, note)


def note_on(error: Exception, note: str) -> None:
    """Add a note to *error*, once."""
    # Not `add_note`: an exception that is a frozen dataclass refuses to be set.
    attributes = attributes_of(error)
    notes = attributes.get("__notes__")  # as instances have them
    if notes is None:
        attributes["__notes__"] = [note]
    elif isinstance(notes, list) and note not in notes:
        notes.append(note)
