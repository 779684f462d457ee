"""The garbage collector: what it counts itself, and how long it stops the process."""

from __future__ import annotations

import gc
from bisect import bisect_left
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready.metrics._model import Distribution, Number
from svcready.metrics.sources._reading import family

if TYPE_CHECKING:
    from collections.abc import Callable

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
    Times every collection by a callback of the collector's.

    The callback runs in whichever thread collects, while that one may hold any lock;
    so it takes none and only adds to numbers. One collection runs at a time, hence one
    cell for its beginning and plain lists for the counts.

    Args:
        now: Returns monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._installed = False
        self._begin_anew()
        fork.reset_in_child(self._begin_anew)

    def _begin_anew(self) -> None:
        self._begun_s: float | None = None
        self._counts = [[0] * (len(_BOUNDS_S) + 1) for _ in range(_GENERATIONS)]
        self._sums_s = [0.0] * _GENERATIONS

    def start(self) -> None:
        """Time collections from now on."""
        if not self._installed:
            self._installed = True
            gc.callbacks.append(self._told)

    def close(self) -> None:
        """Time no more; what was counted stays."""
        if self._installed:
            self._installed = False
            gc.callbacks.remove(self._told)

    def _told(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._begun_s = self._now()
        elif self._begun_s is not None:
            took_s = self._now() - self._begun_s
            generation = info["generation"]
            self._counts[generation][bisect_left(_BOUNDS_S, took_s)] += 1
            self._sums_s[generation] += took_s

    def __call__(self) -> Family:
        """Return the family as it is now."""
        points = [
            Distribution((str(generation),), _BOUNDS_S, tuple(counts), sum_s)
            for generation, (counts, sum_s) in enumerate(
                zip(self._counts, self._sums_s, strict=True)
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


def _stats() -> list[dict[str, int]]:
    # Not every interpreter has it.
    read: Callable[[], list[dict[str, int]]] = getattr(gc, "get_stats", list)
    return read()
