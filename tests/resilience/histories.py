"""What threads did and saw, and whether some order of it explains all that they saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["History", "Oracle"]

T = TypeVar("T")


class Oracle(Protocol):
    """What one thread alone would see."""

    def copy(self) -> Oracle:
        """Return another one in the same state."""
        ...

    def do(self, who: int, what: str, *arguments: object) -> object:
        """Do something and return what is seen of it."""
        ...


class _Deed(NamedTuple):
    what: str
    arguments: tuple[object, ...]
    began: int
    ended: int
    seen: object


class History:
    """
    What each of them, known by a number, did, and when that began and ended.

    It is linearisable (Herlihy and Wing, 1990) if every deed can be given one moment
    between its beginning and its end so that, done in that order by one thread, each
    sees what was seen.
    """

    def __init__(self) -> None:
        self._deeds: list[list[_Deed]] = []
        self._begun: dict[int, tuple[str, tuple[object, ...], int]] = {}
        self._now = 0

    def begin(self, who: int, what: str, *arguments: object) -> None:
        """Note that somebody begins to do something."""
        while len(self._deeds) <= who:
            self._deeds.append([])

        self._now += 1
        self._begun[who] = (what, arguments, self._now)

    def end(self, who: int, seen: object = None) -> None:
        """Note that it is done, and what was seen of it."""
        self._now += 1
        what, arguments, began = self._begun.pop(who)
        self._deeds[who].append(_Deed(what, arguments, began, self._now, seen))

    def doing(self, who: int) -> str:
        """Return what somebody has begun to do."""
        return self._begun[who][0]

    def is_anybody(self, what: str, *arguments: object) -> bool:
        """Return whether somebody has begun to do just that."""
        return any(begun[:2] == (what, arguments) for begun in self._begun.values())

    def told(self, who: int, seen: object) -> None:
        """Note that it is done, and that whoever did it had chosen to see that."""
        what, _, began = self._begun[who]
        self._begun[who] = (what, (seen,), began)
        self.end(who, seen)

    def did(self, who: int, what: str, do: Callable[[], T], *arguments: object) -> T:
        """Do something, noted as a whole."""
        self.begin(who, what, *arguments)
        seen = do()
        self.end(who, seen)
        return seen

    def __len__(self) -> int:
        return sum(map(len, self._deeds))

    def __str__(self) -> str:
        lines = [
            f"{deed.began:3}-{deed.ended:3} {who}: "
            f"{deed.what}{deed.arguments} -> {deed.seen}"
            for who, deeds in enumerate(self._deeds)
            for deed in deeds
        ]
        return "\n".join(sorted(lines))

    def is_explained_by(self, oracle: Oracle) -> bool:
        """Return whether it is linearisable, where *oracle* is how it all began."""
        return self._search(oracle, [0] * len(self._deeds))

    def _search(self, oracle: Oracle, at: list[int]) -> bool:
        heads = [
            (deeds[position], who)
            for who, (deeds, position) in enumerate(zip(self._deeds, at, strict=True))
            if position < len(deeds)
        ]
        if not heads:
            return True

        first_end = min(deed.ended for deed, _ in heads)
        for deed, who in sorted(heads, key=lambda head: head[0].ended):
            if deed.began > first_end:
                continue

            then = oracle.copy()
            if then.do(who, deed.what, *deed.arguments) == deed.seen:
                at[who] += 1
                if self._search(then, at):
                    return True

                at[who] -= 1

        return False
