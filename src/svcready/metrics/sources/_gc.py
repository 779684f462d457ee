"""The garbage collector: what it counts itself, and how long it stops the process."""

from __future__ import annotations

import gc
from bisect import bisect_left
from collections import deque
from contextlib import suppress
from functools import partial
from itertools import accumulate, count
from operator import itemgetter, setitem, sub
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready.metrics._model import Distribution, Number
from svcready.metrics.sources._reading import family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.metrics._model import Family

__all__ = ["CollectionCounts", "CollectionPauses"]

_COUNTS = (
    (
        "cpython.gc.collections",
        "python_gc_collections",
        "Number of times this generation was collected",
        "collections",
    ),
    (
        "cpython.gc.collected_objects",
        "python_gc_objects_collected",
        "Objects collected during gc",
        "collected",
    ),
    (
        "cpython.gc.uncollectable_objects",
        "python_gc_objects_uncollectable",
        "Uncollectable objects found during GC",
        "uncollectable",
    ),
)
_GENERATIONS = 3
# A young collection takes some ten microseconds; what hurts begins at milliseconds.
_BOUNDS_S = (0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class CollectionCounts:
    """
    Reads the interpreter's own counts by generation.

    A forked child inherits them: it counts from its fork on, so that workers that add
    up do not count their parent's again.
    """

    def __init__(self) -> None:
        self._before: list[dict[str, int]] = []
        fork.reset_in_child(self._begin_anew)

    def _begin_anew(self) -> None:
        self._before = _stats()

    def __call__(self) -> tuple[Family, ...]:
        """Return the families; none where the interpreter does not count."""
        stats = _stats()
        before = self._before or [dict.fromkeys(each, 0) for each in stats]
        return tuple(
            family(
                name,
                exposition,
                "counter",
                text,
                [
                    Number((str(generation),), float(now[key] - then[key]))
                    for generation, (now, then) in enumerate(
                        zip(stats, before, strict=True)
                    )
                ],
                attributes=("cpython.gc.generation",),
                labels=("generation",),
                workers="sum",
            )
            for name, exposition, text, key in (_COUNTS if stats else ())
        )


class CollectionPauses:
    """
    Times every collection by callbacks of the collector's.

    None of them is Python code. Where that begins, the interpreter runs the handlers of
    signals that have come; and what those raise in a callback of the collector's
    (`KeyboardInterrupt`, the `SystemExit` of many a SIGTERM) is printed and dropped,
    so that the process would go on. So iterators count, of which a step is taken at
    each collection: a busy process has ten thousand a second, and none waits to be
    counted.

    A forked child counts from its fork on.

    Args:
        now: Returns monotonic seconds; a builtin function, or the above holds no more.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._begun: deque[float] = deque((now(),), maxlen=1)
        # Never without an end: an iterator that has once found none is exhausted.
        self._told: dict[str, dict[str, int]] = {"stop": {"generation": 0}}
        self._pauses = [_Pauses(self._lasted(now)) for _ in range(_GENERATIONS)]
        self._before = self._read()
        steps = [pauses.steps for pauses in self._pauses]
        self._callbacks = (
            partial(setitem, self._told),  # self._told[phase] = info
            _at_phases(
                start=map(self._begun.append, iter(now, None)),
                stop=map(next, map(steps.__getitem__, self._generation())),
            ),
        )
        self._installed = False
        fork.reset_in_child(self._begin_anew)

    def _begin_anew(self) -> None:
        self._begun.append(self._now())  # of a collection that runs at this moment
        self._before = self._read()

    def _lasted(self, now: Callable[[], float]) -> Iterator[float]:
        """Return what is asked at a collection's end for the time that it took."""
        begun = iter(partial(self._begun.__getitem__, 0), None)
        return map(sub, iter(now, None), begun)

    def _generation(self) -> Iterator[int]:
        """Return what is asked at a collection's end for its generation."""
        infos = iter(partial(self._told.get, "stop"), None)
        return map(itemgetter("generation"), infos)

    def start(self) -> None:
        """Time collections from now on."""
        if not self._installed:
            self._installed = True
            self._begun.append(self._now())
            gc.callbacks.extend(self._callbacks)

    def close(self) -> None:
        """Time no more; what was counted stays."""
        if self._installed:
            self._installed = False
            for callback in reversed(self._callbacks):
                with suppress(ValueError):  # an application has cleared the list
                    gc.callbacks.remove(callback)

    def _read(self) -> list[tuple[list[int], float]]:
        """Return by generation how many pauses there were, by length, and their sum."""
        return [(each.counts(), each.sum_s()) for each in self._pauses]

    def __call__(self) -> Family:
        """Return the family as it is now."""
        both = zip(self._read(), self._before, strict=True)
        points = [
            Distribution(
                (str(generation),),
                _BOUNDS_S,
                tuple(map(sub, counts, counts_before)),
                sum_s - sum_before_s,
            )
            for generation, ((counts, sum_s), (counts_before, sum_before_s)) in (
                enumerate(both)
            )
        ]
        return family(
            "cpython.gc.duration",
            "python_gc_duration_seconds",
            "histogram",
            "Time for which collections of this generation stopped all Python code.",
            points,
            unit="s",
            attributes=("cpython.gc.generation",),
            labels=("generation",),
            workers="sum",
        )


class _Pauses:
    """
    The pauses of one generation, counted and summed up without any Python code.

    Args:
        lasted: What is asked for each one's length, in seconds.
    """

    def __init__(self, lasted: Iterator[float]) -> None:
        self._sum_s: deque[float] = deque((0.0,), maxlen=1)
        places = range(len(_BOUNDS_S) + 1)
        self._counts: list[deque[int]] = [deque((0,), maxlen=1) for _ in places]
        counting = [map(each.append, count(1)) for each in self._counts]
        # What `tee` makes crashes Python 3.12 at its end.
        last: deque[float] = deque((0.0,), maxlen=1)
        read = partial(last.__getitem__, 0)
        bisected = map(partial(bisect_left, _BOUNDS_S), iter(read, None))
        self.steps: Iterator[object] = zip(
            map(last.append, lasted),
            map(self._sum_s.append, accumulate(iter(read, None))),
            map(next, map(counting.__getitem__, bisected)),
            strict=True,
        )
        """Counts one more at each step."""

    def counts(self) -> list[int]:
        """Return how many there were, by length."""
        return [each[0] for each in self._counts]

    def sum_s(self) -> float:
        """Return how long they took together."""
        return self._sum_s[0]


def _at_phases(**steps: Iterator[object]) -> Callable[[str, dict[str, int]], object]:
    """
    Return a builtin callable that takes a step at each phase, called as callbacks are.

    It reads the attribute called as the phase, for which a property takes the step.
    """
    phases = {phase: property(partial(next, each)) for phase, each in steps.items()}
    return partial(getattr, type("Phases", (), phases)())


def _stats() -> list[dict[str, int]]:
    # Not every interpreter has it.
    read: Callable[[], list[dict[str, int]]] = getattr(gc, "get_stats", list)
    return read()
