"""
The histogram's child: one series, recorded into a buffer that is folded later.

`observe` appends to a list. The list is folded (sorted, counted by bucket, summed and,
if somebody takes sketches, sketched) when it is full or the series is read. There is
no lock where CPython has a GIL; why nothing is lost or counted twice:

- The interpreter lets another thread, signal handler or finalizer in only when a
  function is entered, after a call and at a backward jump (3.11 to 3.14; in 3.11 also
  when a container is made, by the garbage collector). So `self._pending.append(value)`
  cannot be parted between the load of the list and the append.
- Everything folded is one immutable tuple, `_state`. It changes by computing another
  from it, and storing that if `_state` is still the one it was computed from; the
  comparison and the store, and that of `_pending` with it, have nothing between them
  that lets others in. Who comes too late computes again, so somebody always gets on.
- A full list moves from `_pending` to `_state.full` by such a step and is never
  appended to again. Whoever comes first folds it: a reader sees every recording that
  ended before it began, even if the thread that filled the list has not gone on.
- A reader takes one tuple, so its counts, sum and sketch are of the same values.

Only a debugger or profiler written in Python comes in between. `LockedHistogramChild`
does the same under a lock, for interpreters of which the first point is not true.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.guard import report_fault
from svcready.metrics._instruments import _exemplars
from svcready.metrics._instruments._children import MOST, checked_number
from svcready.metrics._instruments._sketch import Sketch
from svcready.metrics._model import Distribution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready.metrics._model import Exemplar

__all__ = ["HistogramChild", "LockedHistogramChild"]

# A value that waits takes 32 bytes, in every series that nobody reads. For buckets
# alone a longer buffer is no cheaper: sorting takes what folding less often saves. A
# sketch is cheaper the more is folded at once, and whoever takes it empties the buffer.
_MOST_PENDING = 256
_MOST_PENDING_SKETCHED = 4096
_NOTHING = Sketch()  # shared and never changed: folding makes another


class _State(NamedTuple):
    """All that was folded, and the full buffers that are to be."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float = 0.0
    sketch: Sketch | None = None
    """What was recorded since the last take; None if nobody takes."""
    full: tuple[list[float], ...] = ()
    retired: tuple[tuple[tuple[float, ...], tuple[int, ...]], ...] = ()
    """What was counted in other buckets."""


class HistogramChild:
    """
    One series of a histogram: counts by bucket, a sum, and for CloudWatch a sketch.

    Args:
        bounds: Finite upper bounds, inclusive and rising.
    """

    __slots__ = (
        "_armed",
        "_attend_at",
        "_eager",
        "_exemplars",
        "_limit",
        "_pending",
        "_state",
    )

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._state = _State(bounds, (0,) * (len(bounds) + 1))
        self._pending: list[float] = []
        self._limit = _MOST_PENDING
        self._exemplars: dict[int, Exemplar] | None = None
        # How long the buffer is when `observe` has more to do than to append: look
        # for an exemplar, or fold.
        self._arm()

    def observe(self, value: float) -> None:
        """Record *value*; what is no finite number is reported and left out."""
        if type(value) is float and -MOST <= value <= MOST:
            self._pending.append(value)
            if len(self._pending) >= self._attend_at:
                self._attend(value)
        else:
            number = checked_number(value)
            if number is not None:
                self.observe(float(number))

    def read(self, labels: tuple[str, ...]) -> Distribution:
        """Return what was recorded so far, as the series of *labels*."""
        state = self._fold()
        counts = state.counts
        for bounds, retired in state.retired:
            counts = _moved(bounds, retired, state.bounds, counts)

        kept = self._exemplars
        self._arm()
        if kept is None:
            return Distribution(labels, state.bounds, counts, state.sum)

        # By value, not by key: the buckets may have changed since.
        placed: list[Exemplar | None] = [None] * len(counts)
        for exemplar in kept.copy().values():
            placed[bisect_left(state.bounds, exemplar.value)] = exemplar

        return Distribution(labels, state.bounds, counts, state.sum, tuple(placed))

    def keep_sketch(self, *, on: bool) -> None:
        """
        Sketch what is folded from now on, for `take`; or no longer.

        What still waits in the buffer (up to 256 values) counts as recorded after.
        """
        self._limit = _MOST_PENDING_SKETCHED if on else _MOST_PENDING
        self._arm()
        while True:
            state = self._state
            if on == (state.sketch is not None):
                return

            new = state._replace(sketch=_NOTHING if on else None)
            if self._state is state:
                self._state = new
                return

    def take(self) -> Sketch | None:
        """
        Return what was recorded since the last take, which is the caller's from now on.

        Returns:
            The sketch; None if nothing was recorded.
        """
        self.keep_sketch(on=True)
        while True:
            state = self._fold()
            new = state._replace(sketch=_NOTHING)
            if self._state is state:
                self._state = new
                break

        return state.sketch if state.sketch is not None and state.sketch.count else None

    def rebucket(self, bounds: tuple[float, ...]) -> None:
        """
        Count in other buckets from now on.

        What was counted before stays counted, each old bucket at its upper bound; what
        still waits in the buffer is counted in the new ones.
        """
        empty = (0,) * (len(bounds) + 1)
        while True:
            state = self._state
            if bounds == state.bounds:
                return

            retired = state.retired
            if any(state.counts):
                retired = (*retired, (state.bounds, state.counts))

            new = state._replace(bounds=bounds, counts=empty, retired=retired)
            if self._state is state:
                self._state = new
                return

    def reset(self) -> None:
        """Start again from zero; for a forked child, which has one thread."""
        bounds, sketch = self._state.bounds, self._state.sketch
        self._pending = []
        self._state = _State(
            bounds, (0,) * (len(bounds) + 1), 0.0, None if sketch is None else _NOTHING
        )
        self._exemplars = None
        self._arm()

    def _attend(self, value: float) -> None:
        """Do what is due after *value* was recorded."""
        try:
            if self._armed:
                self._look(value)

            if len(self._pending) >= self._limit:
                self._fold()
        except Exception as error:  # noqa: BLE001 - recording never raises
            report_fault("metrics", error)

        further = 1 if self._eager > 0 else _exemplars.LOOK_EVERY
        look_at = len(self._pending) + further
        self._attend_at = min(look_at, self._limit) if self._armed else self._limit

    def _arm(self) -> None:
        """Look for an exemplar from the next recording on."""
        self._armed = True
        self._eager = _exemplars.EAGER_LOOKS
        self._attend_at = 1

    def _look(self, value: float) -> None:
        found = _exemplars.find(value)
        if found is None:
            self._eager -= 1
            self._armed = _exemplars.are_kept()
            return

        self._armed = False
        if self._exemplars is None:
            self._exemplars = {}

        self._exemplars[bisect_left(self._state.bounds, value)] = found

    def _fold(self) -> _State:
        """Fold all that was recorded before, and return it."""
        fresh: list[float] = []
        while True:
            state, pending = self._state, self._pending
            if not pending:
                break

            new = state._replace(full=(*state.full, pending))
            if self._state is state and self._pending is pending:
                self._state = new
                self._pending = fresh
                break

        while True:
            state = self._state
            if not state.full:
                return state

            new = _folded(state)
            if self._state is state:
                self._state = new
                return new


class LockedHistogramChild(HistogramChild):
    """One series of a histogram where the bare one may lose something."""

    __slots__ = ("_lock",)

    def __init__(self, bounds: tuple[float, ...]) -> None:
        super().__init__(bounds)
        self._lock = threading.RLock()

    def observe(self, value: float) -> None:
        """Record *value*; what is no finite number is reported and left out."""
        number = checked_number(value)
        if number is not None:
            with self._lock:
                super().observe(float(number))

    def read(self, labels: tuple[str, ...]) -> Distribution:
        """Return what was recorded so far, as the series of *labels*."""
        with self._lock:
            return super().read(labels)

    def keep_sketch(self, *, on: bool) -> None:
        """Sketch what is folded from now on, for `take`; or no longer."""
        with self._lock:
            super().keep_sketch(on=on)

    def take(self) -> Sketch | None:
        """Return what was recorded since the last take."""
        with self._lock:
            return super().take()

    def rebucket(self, bounds: tuple[float, ...]) -> None:
        """Count in other buckets from now on."""
        with self._lock:
            super().rebucket(bounds)

    def reset(self) -> None:
        """Start again from zero, with a lock that nobody holds."""
        self._lock = threading.RLock()
        super().reset()


def _folded(state: _State) -> _State:
    """Return *state* with its full buffers counted."""
    bounds, counts, total = state.bounds, list(state.counts), state.sum
    sketch = None if state.sketch is None else state.sketch.copy()
    for values in state.full:
        # In place, which another thread that folds the same at the same time does too:
        # floats are sorted without a step of Python in between.
        values.sort()
        added = sum(values)
        total += added
        _count(values, bounds, counts)
        if sketch is not None:
            sketch.add_sorted(values, added)

    return state._replace(counts=tuple(counts), sum=total, sketch=sketch, full=())


def _count(
    values: Sequence[float], bounds: tuple[float, ...], counts: list[int]
) -> None:
    """Count rising *values* by bucket, with one search for each that is occupied."""
    at, end = 0, len(values)
    while at < end:
        place = bisect_left(bounds, values[at])
        if place == len(bounds):
            counts[place] += end - at
            break

        after = bisect_right(values, bounds[place], at, end)
        counts[place] += after - at
        at = after


def _moved(
    old: tuple[float, ...],
    added: tuple[int, ...],
    bounds: tuple[float, ...],
    counts: tuple[int, ...],
) -> tuple[int, ...]:
    """Return *counts* with *added*, each at the upper bound of its *old* bucket."""
    moved = list(counts)
    for bound, count in zip((*old, None), added, strict=True):
        moved[-1 if bound is None else bisect_left(bounds, bound)] += count

    return tuple(moved)
