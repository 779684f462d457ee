"""Where limiters keep what was taken: the protocol, and the store in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple, Protocol

from svcready._core import fork
from svcready.resilience._admitting._gcra import gcra
from svcready.resilience._limiting._overflow import Overflow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready._core.clock import Clock
    from svcready.resilience._admitting._gcra import Rate

__all__ = ["Decision", "Left", "MemoryStore", "Store", "Want", "folded", "spread"]

_MOST_KEYS = 10_000
"""How many keys of each limit the store in memory keeps."""


class Want(NamedTuple):
    """What a request wants of one limit."""

    key: str
    """Which bucket; no secret, and up to 160 characters long."""
    rate: Rate
    """The rate in force."""
    cost: int = 1
    """How much of it; 0 only asks, below 0 gives back."""
    limit: str = ""
    """The limit's name: only its own buckets can push this one out of a store."""
    lasting: bool = False
    """Whether even those may not: what there is no room for is kept as a sketch."""


class Left(NamedTuple):
    """How one bucket stands after a decision."""

    allowed: bool
    """Whether this bucket had enough."""
    remaining: int
    """How much more could be taken now."""
    retry_after_s: float
    """Until it has enough, in seconds; 0 if it had, inf if it never will."""
    full_after_s: float
    """Until it is whole again, in seconds."""


class Decision(NamedTuple):
    """What came of asking for all that a request wants."""

    allowed: bool
    """Whether all buckets had enough; if not, nothing was taken of any."""
    left: tuple[Left, ...]
    """How each stands, in the order of the wants."""
    blind: bool = False
    """Whether that is not known: the store is lost, and the operator's word decides."""


class Store(Protocol):
    """
    What keeps the buckets.

    All that a request wants is decided at once, and taken of every bucket or of none.
    """

    def take(self, wants: Sequence[Want]) -> Decision:
        """Decide, in a thread."""
        ...

    async def take_async(self, wants: Sequence[Want]) -> Decision:
        """Decide, on an event loop."""
        ...


class MemoryStore:
    """
    Keeps the buckets of this process: one number each, the oldest forgotten first.

    Args:
        clock: Monotonic time.
        most_keys: How many buckets it keeps of each limit; beyond, the one that was
            asked of longest ago goes, which is whole again by then unless keys are
            being made up; of wants that are `lasting` it goes into an `Overflow`.
    """

    def __init__(self, clock: Clock, most_keys: int = _MOST_KEYS) -> None:
        self.clock = clock
        self._most_keys = most_keys
        self._tats_s: dict[str, OrderedDict[str, float]] = {}
        self._overflows: dict[str, Overflow] = {}
        self._lock = threading.Lock()
        fork.reset_in_child(self._reset)

    def __len__(self) -> int:
        return sum(map(len, self._tats_s.values()))

    def take(self, wants: Sequence[Want]) -> Decision:
        """Decide; takes its lock for as long as the arithmetic lasts."""
        now_s = self.clock.monotonic()
        with self._lock:
            taken = [
                gcra(want.rate, self._tat_s(want, now_s), now_s, want.cost)
                for want in wants
            ]
            allowed = all(one.allowed for one in taken)
            if allowed:
                for want, one in zip(wants, taken, strict=True):
                    self._keep(want, one.tat_s, now_s)
            else:  # how those stand of which nothing was taken
                taken = [
                    gcra(want.rate, self._tat_s(want, now_s), now_s, 0)._replace(
                        allowed=True, retry_after_s=0.0
                    )
                    if one.allowed
                    else one
                    for want, one in zip(wants, taken, strict=True)
                ]

        return Decision(
            allowed,
            tuple(
                Left(one.allowed, one.remaining, one.retry_after_s, one.full_after_s)
                for one in taken
            ),
        )

    async def take_async(self, wants: Sequence[Want]) -> Decision:
        """Decide as `take` does, which waits for nobody."""
        return self.take(wants)

    def forget(self) -> None:
        """Let all buckets be whole."""
        with self._lock:
            self._tats_s.clear()
            self._overflows.clear()

    def _tat_s(self, want: Want, now_s: float) -> float:
        """Return what is kept of a bucket, empty at worst; the lock is held."""
        tats_s = self._tats_s.get(want.limit)
        kept_s = None if tats_s is None else tats_s.get(want.key)
        empty_s = now_s + want.rate.burst / want.rate.per_s
        if tats_s is None or kept_s is None:
            overflow = self._overflows.get(want.limit)
            if overflow is None or not want.lasting:
                return now_s

            return min(empty_s, max(now_s, overflow.tat_s(want.key)))

        tats_s.move_to_end(want.key)  # who is refused is not forgotten for asking
        if kept_s <= empty_s:
            return kept_s

        # Kept at a lower rate than the one in force by now.
        tats_s[want.key] = empty_s
        return empty_s

    def _keep(self, want: Want, tat_s: float, now_s: float) -> None:
        """Keep what was taken of a bucket, unless it is whole; the lock is held."""
        tats_s = self._tats_s.setdefault(want.limit, OrderedDict())
        if tat_s <= now_s:
            tats_s.pop(want.key, None)
            return

        tats_s[want.key] = tat_s
        if len(tats_s) > self._most_keys:
            key, gone_s = tats_s.popitem(last=False)
            if want.lasting:
                self._overflow(want.limit, key, gone_s, now_s)

    def _overflow(self, limit: str, key: str, tat_s: float, now_s: float) -> None:
        """Keep what there is no room for as far as can be; the lock is held."""
        overflow = self._overflows.get(limit)
        if overflow is not None and overflow.until_s <= now_s:
            del self._overflows[limit]
            overflow = None

        if tat_s > now_s:
            if overflow is None:
                overflow = self._overflows[limit] = Overflow()

            overflow.keep(key, tat_s, now_s)

    def _reset(self) -> None:
        # What the parent's clients took, they took: the counts stay.
        self._lock = threading.Lock()


def folded(wants: Sequence[Want]) -> Sequence[Want]:
    """Return *wants* with each bucket once, for a store computes each from what is."""
    if len(wants) == 1:
        return wants

    by_key: dict[str, Want] = {}
    for want in wants:
        known = by_key.get(want.key)
        cost = want.cost if known is None else known.cost + want.cost
        by_key[want.key] = want._replace(cost=cost)

    return wants if len(by_key) == len(wants) else tuple(by_key.values())


def spread(wants: Sequence[Want], decision: Decision) -> Decision:
    """Return what was decided of the folded *wants* for each of them."""
    if len(wants) == len(decision.left):
        return decision

    keys = dict.fromkeys(want.key for want in wants)
    by_key = dict(zip(keys, decision.left, strict=True))
    return decision._replace(left=tuple(by_key[want.key] for want in wants))
