"""Entries that are the same and many: the first is written, the others are counted."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, TypeAlias

from svcready._core import fork

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Repeats"]

_WINDOW_S = 60.0
_MOST = 256
_OTHERS = {"type": "peer", "id": "others"}


class _Record(Protocol):
    """Records one entry."""

    def __call__(
        self,
        action: str,
        resource: Mapping[str, object],
        actor: Mapping[str, object],
        outcome: str,
        details: Mapping[str, object],
    ) -> None:
        """Record it."""
        ...


_Fields: TypeAlias = "Mapping[str, object]"
_Said: TypeAlias = "tuple[str, _Fields, _Fields, str, _Fields]"


class _Seen:
    """One entry that may come again."""

    __slots__ = ("again", "said", "until_s")

    def __init__(self, said: _Said, until_s: float) -> None:
        self.said = said
        self.until_s = until_s
        self.again = 0


class Repeats:
    """
    Writes the first of entries that are the same, and later how many followed.

    So a scanner that is refused a thousand times a second makes two entries a minute.
    At most 256 different ones are told apart; what comes beyond that counts as of one
    actor, `others`.

    Args:
        record: Records an entry.
        now: A monotonic clock, in seconds.
    """

    def __init__(self, record: _Record, now: Callable[[], float]) -> None:
        self._record = record
        self._now = now
        self._reset()
        fork.reset_in_child(self._reset)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._seen: dict[tuple[str, ...], _Seen] = {}

    def record(
        self,
        action: str,
        resource: Mapping[str, object],
        actor: Mapping[str, object],
        outcome: str,
        details: Mapping[str, object],
    ) -> None:
        """Record an entry, or count it as one more of those that were recorded."""
        self.sweep()
        now_s = self._now()
        key: tuple[str, ...] = (
            action,
            repr(resource),
            repr(actor),
            outcome,
            repr(details),
        )
        with self._lock:
            seen = self._seen.get(key)
            if seen is None and len(self._seen) >= _MOST:
                key, actor = (action, outcome, "others"), _OTHERS
                details = {}
                seen = self._seen.get(key)

            if seen is not None:
                seen.again += 1
                return

            said = (action, resource, actor, outcome, details)
            self._seen[key] = _Seen(said, now_s + _WINDOW_S)

        self._record(action, resource, actor, outcome, details)

    def sweep(self, *, now: bool = False) -> None:
        """
        Write how many followed those whose minute is over.

        Args:
            now: Do so for all of them.
        """
        now_s = self._now()
        with self._lock:
            over = [k for k, seen in self._seen.items() if now or seen.until_s <= now_s]
            told = [self._seen.pop(key) for key in over]

        for seen in told:
            if seen.again:
                self._tell(seen)

    def _tell(self, seen: _Seen) -> None:
        action, resource, actor, outcome, details = seen.said
        self._record(action, resource, actor, outcome, {**details, "again": seen.again})
