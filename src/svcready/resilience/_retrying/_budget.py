"""The retry budget: retries are paid for by first attempts."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready.resilience._tally import NEVER, Tally, can_count_unlocked

if TYPE_CHECKING:
    from svcready._core.clock import Clock

__all__ = ["Budget"]

_SLOTS = 10
_RATIO = 0.2
_RESERVE = 10.0  # one retry per second of the ten that deposits live
_CREDIT_S = 60  # after which one retry of the reserve is earned by waiting
_WHOLE = int(_RESERVE) * _CREDIT_S


class Budget:
    """
    How many retries one dependency is owed by one process.

    Each first attempt deposits 0.2 of a retry, which lives for 10 s; a reserve pays for
    one retry per second besides, saved up for 10 s, for services that make few calls.
    A retry withdraws 1. So retries add at most a fifth and 1/s to the load of a
    dependency, where three attempts alone would triple that of one that fails always.

    The reserve must be earned: a call that succeeds earns back one of its ten, a minute
    one more. While nothing succeeds it is used up once, and then a fifth is all that
    many processes together add, however few calls each of them makes.

    Args:
        clock: Tells how old deposits are.
        unlimited: Only count first attempts, and pay for everything.
        unlocked: Successes may count without the lock; None: as the build allows.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_credit",
        "_folded",
        "_lock",
        "_slots",
        "_tick",
        "_unlimited",
        "_unlocked",
        "meter",
    )

    def __init__(
        self, clock: Clock, *, unlimited: bool = False, unlocked: bool | None = None
    ) -> None:
        self._clock = clock
        self._unlimited = unlimited
        self._unlocked = can_count_unlocked() if unlocked is None else unlocked
        self._lock = threading.RLock()  # as the breaker's: finalizers come back
        self._folded = 0
        self._credit = _WHOLE  # of the reserve, in seconds that earn as much
        self._slots = [[0, 0] for _ in range(_SLOTS)]  # deposits, withdrawals
        now_s = clock.monotonic()
        self._tick = math.floor(now_s)
        self.meter = Tally(clock.monotonic)
        """The first attempts that succeeded."""
        with self._lock:
            self._advance(now_s)

        fork.reset_in_child(self._reset)

    @property
    def is_unlimited(self) -> bool:
        """Whether it pays for everything."""
        return self._unlimited

    def use(self, clock: Clock) -> None:
        """Read *clock* from now on; what was deposited counts as deposited now."""
        with self._lock:
            self._advance(self._clock.monotonic())
            sums = [sum(counts) for counts in zip(*self._slots, strict=True)]
            self._clock = clock
            self._tick = math.floor(clock.monotonic())
            self._slots = [[0, 0] for _ in range(_SLOTS)]
            self._slots[self._tick % _SLOTS] = sums
            self.meter.monotonic = clock.monotonic
            self._advance(clock.monotonic())

    def clear(self) -> None:
        """Forget deposits and withdrawals: the reserve is there again."""
        with self._lock:
            self._advance(self._clock.monotonic())
            self._slots = [[0, 0] for _ in range(_SLOTS)]
            self._credit = _WHOLE

    def succeeded(self, now_s: float) -> None:
        """Count a first attempt that succeeded after the meter's edge."""
        with self._lock:
            self._advance(now_s)
            self.meter.ok += 1

    def deposit(self, now_s: float) -> None:
        """Count a first attempt that failed."""
        with self._lock:
            self._advance(now_s)
            self._slots[self._tick % _SLOTS][0] += 1

    def answered(self, now_s: float) -> None:
        """Earn for a call that the dependency answered, if not at its first attempt."""
        with self._lock:
            self._advance(now_s)
            self._earn(_CREDIT_S)

    def withdraw(self, now_s: float) -> bool:
        """Pay for one retry; False if there is nothing to pay it with."""
        with self._lock:
            self._advance(now_s)
            if not self._unlimited and self._deposited() < 1.0:
                if self._credit < _CREDIT_S or _RESERVE + self._deposited() < 1.0:
                    return False

                self._credit -= _CREDIT_S

            self._slots[self._tick % _SLOTS][1] += 1
            return True

    def balance(self) -> float:
        """Return how many retries could be paid for now."""
        with self._lock:
            self._advance(self._clock.monotonic())
            return math.inf if self._unlimited else self._balance()

    def _balance(self) -> float:
        deposited = self._deposited()
        credit = self._credit / _CREDIT_S
        # What was withdrawn from the reserve counts among the withdrawals, too.
        return max(0.0, deposited) + min(credit, _RESERVE + min(0.0, deposited))

    def _deposited(self) -> float:
        deposits = sum(slot[0] for slot in self._slots)
        withdrawals = sum(slot[1] for slot in self._slots)
        return _RATIO * deposits - withdrawals

    def _earn(self, seconds: int) -> None:
        self._credit = min(_WHOLE, self._credit + seconds)

    def _advance(self, now_s: float) -> None:
        ok = self.meter.ok
        self._slots[self._tick % _SLOTS][0] += ok - self._folded
        self._earn((ok - self._folded) * _CREDIT_S)
        self._folded = ok
        tick = math.floor(now_s)
        self._earn(max(0, tick - self._tick))
        for step in range(1, min(tick - self._tick, _SLOTS) + 1):
            self._slots[(self._tick + step) % _SLOTS][:] = (0, 0)

        self._tick = max(tick, self._tick)
        if not self._unlocked:
            self.meter.edge = NEVER
        else:
            self.meter.edge = math.inf if self._unlimited else self._tick + 1.0

    def _reset(self) -> None:
        self._lock = threading.RLock()
