"""
The children: one series each, kept by whoever records and cheap to record on.

Recording takes no lock where CPython has a GIL. There the interpreter lets another
thread (or a signal handler) in only when a function is entered, after a call and at a
backward jump: 3.11 to 3.14 alike. `self._value += amount` with a plain int or float
has none of them between its load and its store: no call, no user's `__radd__` (hence
the check of the exact type) and no allocation that the garbage collector counts, so
it cannot lose anything. Only a tracer of single opcodes comes in between.

Where that does not hold (no GIL, another interpreter) the children with a lock are
taken, decided once when a child is made. Their locks are re-entrant because a
finalizer or signal handler may record while its own thread is recording.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.metrics._instruments import _exemplars
from svcready.metrics._model import Number

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from svcready.metrics._model import Exemplar

__all__ = [
    "MOST",
    "CounterChild",
    "GaugeChild",
    "LockedCounterChild",
    "LockedGaugeChild",
    "LockedUpDownCounterChild",
    "UpDownCounterChild",
    "adds_are_atomic",
    "checked_number",
]

_INTERPRETER: str = sys.implementation.name
_ONE: float = 1
_NUMBERS = frozenset((int, float))
_FAR = 2**30 - 1  # small ints are compared without a call

MOST = 1e300
"""The largest that is recorded: far from overflow, so that no sum of it raises."""


def adds_are_atomic() -> bool:
    """Tell whether a bare `+=` on an attribute is exact under threads here."""
    # A free-threaded build may have its GIL on for a while (during an import), so the
    # build counts beside the present state.
    enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    free_threaded = "t" in getattr(sys, "abiflags", "")
    return _INTERPRETER == "cpython" and enabled() and not free_threaded


class CounterChild:
    """One series of a counter."""

    __slots__ = ("_eager", "_exemplar", "_look_at", "_value")

    def __init__(self) -> None:
        self._value: float = 0
        self._exemplar: Exemplar | None = None
        # The total from which on an increment looks for an exemplar, see _look. It is
        # the total that tells, because there is nothing cheaper to count by.
        self._look_at: float = 0
        self._eager = _exemplars.EAGER_LOOKS

    def inc(self, amount: float = 1) -> None:
        """
        Add *amount*, which must not be negative.

        An amount that is negative, infinite or no number is reported as an internal
        error and not added; nothing is raised.
        """
        if amount is _ONE:
            self._value += 1
        elif type(amount) in _NUMBERS and 0 <= amount <= MOST:
            self._value += amount
        else:
            number = checked_number(amount, lowest=0)
            if number is None:
                return

            amount = number
            self._value += amount

        if self._value >= self._look_at:
            self._look(amount)

    def read(self) -> float:
        """Return the total."""
        return self._value

    def point(self, labels: tuple[str, ...]) -> Number:
        """Return the total as the series of *labels*, and wait for an exemplar."""
        self._eager = _exemplars.EAGER_LOOKS
        self._look_at = 0
        return Number(labels, self.read(), self._exemplar)

    def reset(self) -> None:
        """Start again from zero; for a forked child, which has one thread."""
        self._value = 0
        self._exemplar = None
        self._eager = _exemplars.EAGER_LOOKS
        self._look_at = 0

    def _look(self, amount: float) -> None:
        """Keep *amount* as the exemplar if the current span is sampled."""
        if self._look_at == _FAR:  # a total that large
            self._look_at = math.inf
            return

        found = _exemplars.find(amount)
        if found is not None:
            self._exemplar = found

        if found is None and _exemplars.are_kept():
            self._eager -= 1
            further = 0 if self._eager > 0 else _exemplars.LOOK_EVERY * (amount or 1)
            self._look_at = self._value + further
        else:
            self._look_at = _FAR if self._value < _FAR else math.inf


class _Level:
    """What rises and falls by amounts."""

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value: float = 0

    def inc(self, amount: float = 1) -> None:
        """Add *amount*; what is no finite number is reported and not added."""
        if type(amount) in _NUMBERS and -MOST <= amount <= MOST:
            self._value += amount
        else:
            number = checked_number(amount)
            if number is not None:
                self._value += number

    def dec(self, amount: float = 1) -> None:
        """Subtract *amount*; what is no finite number is reported."""
        if type(amount) in _NUMBERS and -MOST <= amount <= MOST:
            self._value -= amount
        else:
            number = checked_number(amount)
            if number is not None:
                self._value -= number

    def reset(self) -> None:
        """Start again from zero; for a forked child, which has one thread."""
        self._value = 0


class GaugeChild(_Level):
    """One series of a gauge."""

    __slots__ = ("_function",)

    def __init__(self) -> None:
        super().__init__()
        self._function: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        """Set the gauge; what is no number is reported, and nothing is raised."""
        if type(value) in _NUMBERS:
            self._value = value
        else:
            number = checked_number(value, finite=False)
            if number is not None:
                self._value = number

    def set_function(self, function: Callable[[], float]) -> None:
        """
        Observe *function* at each reading instead of what was set.

        Args:
            function: Returns the value; quick, for a scrape waits for it. If it fails
                the fault is reported and the series is left out of that reading.
        """
        self._function = function

    def read(self) -> float | None:
        """Return the value, or None if it cannot be observed now."""
        function = self._function
        if function is None:
            return self._value

        try:
            return float(function())
        except Exception as error:  # noqa: BLE001 - the other series are read on
            report_fault("metrics.gauge", error)
            return None


class UpDownCounterChild(_Level):
    """One series of an up-down counter: a total of what came and went."""

    __slots__ = ()

    def add(self, amount: float) -> None:
        """Add *amount*, which may be negative; OpenTelemetry's word for it."""
        self.inc(amount)

    def read(self) -> float:
        """Return the total."""
        return self._value


class LockedCounterChild(CounterChild):
    """One series of a counter where a bare `+=` may lose something."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()

    def inc(self, amount: float = 1) -> None:
        """Add *amount*, which must not be negative."""
        number = checked_number(amount, lowest=0)
        if number is not None:
            with self._lock:
                self._value += number

            if self._value >= self._look_at:
                self._look(number)

    def reset(self) -> None:
        """Start again from zero, with a lock that nobody holds."""
        self._lock = threading.RLock()
        super().reset()


class _LockedLevel(_Level):
    """What rises and falls where a bare `+=` may lose something."""

    __slots__ = ()

    _lock: AbstractContextManager[bool]

    def inc(self, amount: float = 1) -> None:
        """Add *amount*; what is no finite number is reported."""
        number = checked_number(amount)
        if number is not None:
            with self._lock:
                self._value += number

    def dec(self, amount: float = 1) -> None:
        """Subtract *amount*; what is no finite number is reported."""
        number = checked_number(amount)
        if number is not None:
            with self._lock:
                self._value -= number


class LockedGaugeChild(_LockedLevel, GaugeChild):
    """One series of a gauge where a bare `+=` may lose something."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()

    def set(self, value: float) -> None:
        """Set the gauge; what is no number is reported."""
        number = checked_number(value, finite=False)
        if number is not None:
            with self._lock:
                self._value = number

    def reset(self) -> None:
        """Start again from zero, with a lock that nobody holds."""
        self._lock = threading.RLock()
        super().reset()


class LockedUpDownCounterChild(_LockedLevel, UpDownCounterChild):
    """One series of an up-down counter where a bare `+=` may lose something."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()

    def reset(self) -> None:
        """Start again from zero, with a lock that nobody holds."""
        self._lock = threading.RLock()
        super().reset()


def checked_number(
    value: object, *, lowest: float = -MOST, finite: bool = True
) -> float | None:
    """Return *value* as a plain number, or report why it is none, and who gave it."""
    try:
        number: float = value if type(value) in _NUMBERS else float(value)  # type: ignore[arg-type, assignment]
        if finite and not lowest <= number <= MOST:
            raise ValueError
    except Exception:  # noqa: BLE001 - recording never raises
        report_fault("metrics", _no_number(value, lowest))
        return None

    return number


def _no_number(value: object, lowest: float) -> DeclarationError:
    try:
        shown = f"{value!r:.200}"
    except Exception:  # noqa: BLE001 - it is anybody's object
        shown = f"a {type(value).__name__}"

    least = "" if lowest == -MOST else f" from {lowest:g}"
    return DeclarationError(
        f"{shown} was recorded at {calling_place()}, and is no finite number{least}"
    )
