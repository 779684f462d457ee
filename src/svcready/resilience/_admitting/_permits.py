"""Permits of which there are so many, and the queue for them."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from svcready.resilience._admitting._blocks import blocks

if TYPE_CHECKING:
    from svcready.resilience._admitting._waiters import Waiter

__all__ = ["Level", "Permit", "Permits"]


class Level(NamedTuple):
    """How full something is."""

    in_use: int
    """How many are in it."""
    waiting: int
    """How many wait for it."""
    limit: int
    """How many may be in it."""


class Permit:
    """
    The right to be one of so many; used again and again.

    Args:
        home: Where it belongs.
    """

    __slots__ = ("depth", "home", "owner", "resting")

    def __init__(self, home: Permits) -> None:
        self.home = home
        self.depth = 0
        """How often its owner has entered; 0: nobody has it."""
        self.owner: object = None
        """Who enters again with it, as `whose` tells; None: nobody."""
        self.resting = 0
        """How many of its entries nobody is in now: streams between items, blocks."""

    def rest(self) -> None:
        """Have nobody enter again by an entry that goes on, but is left for now."""
        home = self.home
        with home.lock:
            home.resting += 1
            self.resting += 1
            home.disown(self)

    def go_on(self, owner: object) -> None:
        """End a `rest`, in which *owner* comes back; None: to leave."""
        home = self.home
        with home.lock:
            home.resting -= 1
            self.resting -= 1
            if owner is not None and self.owner is None and owner not in home.holders:
                self.owner = owner
                home.holders[owner] = self


class Permits:
    """
    All permits of one bulkhead in one process.

    With the interpreter's lock nobody takes `lock` while there are permits: taking
    one is `free.pop()`, and giving it back `free.append()`, each atomic. Whoever
    changes `calm` to False does so before looking for permits, and whoever gives one
    back looks at `calm` afterwards, so one of the two sees the other.

    Args:
        limit: How many.
        unlocked: They may be taken and given back without `lock`.
    """

    __slots__ = (
        "_is_off",
        "_totals",
        "_unmade",
        "admitted",
        "calm",
        "debt",
        "free",
        "holders",
        "limit",
        "lock",
        "resting",
        "unlocked",
        "waiters",
        "woken",
    )

    def __init__(self, limit: int, *, unlocked: bool) -> None:
        self.limit = limit
        self.unlocked = unlocked
        # Reentrant: a finalizer or signal handler may give a permit back meanwhile.
        self.lock = threading.RLock()
        self.free: list[Permit] = []
        """Those that nobody has, as far as they are made."""
        self.holders: dict[object, Permit] = {}
        """Those that their owners are in now, and enter again with."""
        self.resting = 0
        """How many entries nobody is in, although they go on."""
        self.waiters: OrderedDict[Waiter, None] = OrderedDict()
        self.debt = 0
        """How many more permits there are than the limit says."""
        self.admitted = 0
        """How many calls got one without a wait, or had one already."""
        self._totals: Counter[str] = Counter()
        self._is_off = False
        self._unmade = limit
        self.calm = unlocked
        """Nobody waits, nothing is owed: permits go without asking."""
        self.woken: OrderedDict[Waiter, None] = OrderedDict()
        """Who was granted a permit, and hasn't gone on yet."""

    def take(self, owner: object) -> Permit | None:
        """
        Return a permit for *owner* if none is to be waited for; `lock` is held.

        Who has one already gets the same once more.
        """
        permit = self.holders.get(owner)
        if permit is None and self.resting:
            permit = self._around(owner)

        # Others may have given it back and taken it meanwhile, without the lock.
        if permit is not None and permit.owner == owner and permit.depth:
            permit.depth += 1
            self.admitted += 1
            return permit

        self._pay()
        permit = None if self.waiters else self._pop()
        if permit is not None:
            self._hand(permit, owner)
            self.admitted += 1

        return permit

    def add(self, owner: object) -> Permit:
        """Return one more than there are, which is owed from now on; `lock` is held."""
        self.calm = False
        self.debt += 1
        permit = Permit(self)
        self._hand(permit, owner)
        return permit

    def give_back(self, permit: Permit) -> None:
        """End what `take` began; a permit that its owner entered again stays."""
        with self.lock:
            if permit.depth:
                permit.depth -= 1
                self.disown(permit)
                if not permit.depth:
                    self.free.append(permit)

        self.settle()

    def disown(self, permit: Permit) -> None:
        """Have nobody enter again with *permit* if nobody is in; `lock` is held."""
        if permit.resting == permit.depth and permit.owner is not None:
            if self.holders.get(permit.owner) is permit:
                del self.holders[permit.owner]

            permit.owner = None

    def join(self, waiter: Waiter) -> None:
        """Let *waiter* wait at the end of the queue; `lock` is held."""
        self.calm = False
        self.waiters[waiter] = None

    def gone(self, waiter: Waiter) -> Permit | None:
        """
        Return what *waiter* was granted, to one caller only, or let it wait no more.

        Returns:
            None: nothing was, or somebody has it already.
        """
        with self.lock:
            permit, waiter.permit = waiter.permit, None
            self.woken.pop(waiter, None)
            if permit is None:
                self.waiters.pop(waiter, None)
                self._set_calm()

            return permit

    def resize(self, limit: int, *, is_off: bool) -> None:
        """
        Have another limit; permits that are in use count on.

        Args:
            limit: How many.
            is_off: Nobody is to take one without asking first.
        """
        with self.lock:
            self._is_off = is_off
            self.calm = False
            owed = self.debt - (limit - self.limit)
            self.limit = limit
            self.debt = max(0, owed)
            self._unmade += max(0, -owed)

        self.settle()

    def admit_all(self) -> None:
        """Let everybody go on who waits, whatever the limit."""
        with self.lock:
            self.calm = False
            waiting = tuple(self.waiters)
            for waiter in waiting:
                self.waiters.pop(waiter, None)
                self.woken[waiter] = None
                waiter.permit = self.add(waiter.owner)

        for waiter in waiting:
            self._wake(waiter)

        self.settle()

    def settle(self) -> None:
        """Hand free permits to who waits, and pay what is owed; then tell them."""
        while not self.calm:
            with self.lock:
                served = self._serve()

            for waiter in served:
                self._wake(waiter)

            if not served:
                return

    def reclaim(self) -> None:
        """Forget tasks whose loop was closed, and take back what they were granted."""
        if not self.woken and not self.waiters:
            return

        with self.lock:
            lost = [waiter for waiter in self.woken if waiter.is_lost]
            for waiter in self.waiters:
                if not waiter.is_lost:
                    break  # the others' turn to be looked at comes

                lost.append(waiter)

        for waiter in lost:
            self._drop(waiter)

    def level(self) -> Level:
        """Return how full it is."""
        with self.lock:
            there = len(self.free) + self._unmade
            in_use = self.limit + self.debt - there
            return Level(in_use, len(self.waiters), self.limit)

    def count(self, outcome: str) -> None:
        """Count a call that ended so."""
        with self.lock:
            self._totals[outcome] += 1

    def counts(self) -> dict[str, int]:
        """Return how many calls had each outcome."""
        with self.lock:
            return {"admitted": self.admitted, **self._totals}

    def orphan(self) -> None:
        """Be nobody's: the bulkhead of a forked child has permits of its own."""
        self.lock = threading.RLock()
        self.waiters = OrderedDict()
        self.woken = OrderedDict()

    def _around(self, owner: object) -> Permit | None:
        """Return the permit of the block that *owner* is in, in this context."""
        for permit in blocks(owner):
            if permit.home is self and permit.depth and permit.owner is None:
                permit.owner = owner
                self.holders[owner] = permit
                return permit

        return None

    def _hand(self, permit: Permit, owner: object) -> None:
        permit.owner = owner
        permit.depth = 1
        self.holders[owner] = permit

    def _serve(self) -> list[Waiter]:
        served: list[Waiter] = []
        self._pay()
        while self.waiters:
            permit = self._pop()
            if permit is None:
                break

            try:
                waiter, _ = self.waiters.popitem(last=False)
            except KeyError:  # a finalizer's turn came between
                self.free.append(permit)
                break

            self.woken[waiter] = None
            self._hand(permit, waiter.owner)
            waiter.permit = permit
            served.append(waiter)

        self._set_calm()
        return served

    def _pop(self) -> Permit | None:
        try:
            return self.free.pop()
        except IndexError:
            if not self._unmade:
                return None

        self._unmade -= 1
        return Permit(self)

    def _pay(self) -> None:
        unmade = min(self.debt, self._unmade)
        self._unmade -= unmade
        self.debt -= unmade
        while self.debt and self.free:
            try:
                self.free.pop()
            except IndexError:
                return

            self.debt -= 1

    def _set_calm(self) -> None:
        may = self.unlocked and not self._is_off
        self.calm = may and not self.waiters and not self.debt

    def _wake(self, waiter: Waiter) -> None:
        if not waiter.wake():
            self._drop(waiter)

    def _drop(self, waiter: Waiter) -> None:
        permit = self.gone(waiter)
        if permit is not None:
            self.give_back(permit)
