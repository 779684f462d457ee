"""The retry budget: retries are paid for by first attempts."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready.resilience._tally import NEVER, Tally, can_count_unlocked

if TYPE_CHECKING:
    from svcready._core.clock import Clock

__all__ = ["RATIO", "RESERVE_PER_S", "Budget"]

_SLOTS = 10  # seconds that deposits live
RATIO = 0.2
RESERVE_PER_S = 1.0
_EARNED_S = 60  # a retry of the reserve is back after so long, whatever happens


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
        ratio: How much of a retry a first attempt deposits; None: only count first
            attempts, and pay for everything.
        reserve_per_s: How many retries a second are there anyway.
        unlocked: Successes may count without the lock; None: as the build allows.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_folded",
        "_lock",
        "_ratio",
        "_reserve",
        "_slots",
        "_spent",
        "_tick",
        "_unlocked",
        "meter",
    )

    def __init__(
        self,
        clock: Clock,
        *,
        ratio: float | None = RATIO,
        reserve_per_s: float = RESERVE_PER_S,
        unlocked: bool | None = None,
    ) -> None:
        self._clock = clock
        self._ratio = ratio
        self._reserve = reserve_per_s * _SLOTS
        self._unlocked = can_count_unlocked() if unlocked is None else unlocked
        self._lock = threading.RLock()  # as the breaker's: finalizers come back
        self._folded = 0
        self._spent = 0  # of the reserve, in seconds that bring as much back
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
        return self._ratio is None

    def tune(self, ratio: float | None, reserve_per_s: float) -> None:
        """Have first attempts and seconds pay for so much, those of late included."""
        with self._lock:
            if self._ratio is None:  # successes were not folded, whenever they were
                self._folded = self.meter.ok

            self._ratio = ratio
            self._reserve = reserve_per_s * _SLOTS
            self._spent = min(self._spent, math.ceil(self._reserve * _EARNED_S))
            self._advance(self._clock.monotonic())

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
            self._spent = 0

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
            self._earn(_EARNED_S)

    def withdraw(self, now_s: float) -> bool:
        """Pay for one retry; False if there is nothing to pay it with."""
        with self._lock:
            self._advance(now_s)
            if self._ratio is not None and self._deposited(self._ratio) < 1.0:
                if self._kept(self._ratio) < 1.0:
                    return False

                self._spent += _EARNED_S

            self._slots[self._tick % _SLOTS][1] += 1
            return True

    def balance(self) -> float:
        """Return how many retries could be paid for now."""
        with self._lock:
            self._advance(self._clock.monotonic())
            return self._balance()

    def _balance(self) -> float:
        if self._ratio is None:
            return math.inf

        return max(0.0, self._deposited(self._ratio)) + self._kept(self._ratio)

    def _deposited(self, ratio: float) -> float:
        """Return what deposits have left over of what was withdrawn; negative: owed."""
        deposits = sum(slot[0] for slot in self._slots)
        withdrawals = sum(slot[1] for slot in self._slots)
        return ratio * deposits - withdrawals

    def _kept(self, ratio: float) -> float:
        """Return what there is of the reserve: earned, and not withdrawn just now."""
        earned = max(0.0, self._reserve - self._spent / _EARNED_S)
        return min(earned, self._reserve + min(0.0, self._deposited(ratio)))

    def _earn(self, seconds: int) -> None:
        self._spent = max(0, self._spent - seconds)

    def _advance(self, now_s: float) -> None:
        ok = self.meter.ok
        self._slots[self._tick % _SLOTS][0] += ok - self._folded
        self._earn((ok - self._folded) * _EARNED_S)
        self._folded = ok
        tick = math.floor(now_s)
        self._earn(max(0, tick - self._tick))
        for step in range(1, min(tick - self._tick, _SLOTS) + 1):
            self._slots[(self._tick + step) % _SLOTS][:] = (0, 0)

        self._tick = max(tick, self._tick)
        if not self._unlocked:
            self.meter.edge = NEVER
        else:
            self.meter.edge = math.inf if self._ratio is None else self._tick + 1.0

    def _reset(self) -> None:
        self._lock = threading.RLock()
