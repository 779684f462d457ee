"""The histograms: instruments whose children keep a distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from svcready.metrics._instruments._children import adds_are_atomic
from svcready.metrics._instruments._histogram_child import (
    HistogramChild,
    LockedHistogramChild,
)
from svcready.metrics._instruments._instrument import Instrument

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from svcready.metrics._instruments._instrument import Child, Spec
    from svcready.metrics._instruments._sketch import Sketch
    from svcready.metrics._model import Distribution, Family

    class ReadableHistogram(Child, Protocol):
        """A histogram's child, whatever it keeps values in."""

        def observe(self, value: float, /) -> None:
            """Record one value."""
            ...

        def read(self, labels: tuple[str, ...]) -> Distribution:
            """Return what was recorded so far, as the series of *labels*."""
            ...

        def rebucket(self, bounds: tuple[float, ...]) -> None:
            """Count in other buckets from now on."""
            ...

        def keep_sketch(self, *, on: bool) -> None:
            """Sketch what is recorded from now on, for `take`; or no longer."""
            ...

        def take(self) -> Sketch | None:
            """Return what was recorded since the last take; None if nothing was."""
            ...


__all__ = ["BucketInstrument", "Histogram", "histogram_child"]


H = TypeVar("H", bound="ReadableHistogram")


class BucketInstrument(Instrument[H]):
    """
    A distribution of values over buckets, for children of any storage.

    Args:
        spec: What it was declared with.
        bounds: Finite upper bounds, inclusive and rising.
        make: Makes a child for bounds.
    """

    __slots__ = ("_sketched", "bounds", "declared_bounds", "observe")

    observe: Callable[[float], None]
    """Record a value; for a histogram that was declared without labels."""

    def __init__(
        self,
        spec: Spec,
        bounds: tuple[float, ...],
        make: Callable[[tuple[float, ...]], H],
    ) -> None:
        self.bounds = self.declared_bounds = bounds
        self._sketched = False

        def child() -> H:
            made = make(self.bounds)
            made.keep_sketch(on=self._sketched)
            return made

        super().__init__(spec, child)
        unlabelled = not spec.labels
        self.observe = (
            self._children[()].observe if unlabelled else self.unlabelled("observe")
        )

    def rebucket(self, bounds: tuple[float, ...]) -> None:
        """Count in other buckets from now on; what was counted stays counted."""
        self.bounds = bounds
        self._lost.rebucket(bounds)
        for child in self.children().values():
            child.rebucket(bounds)

    def keep_sketches(self, on: bool) -> None:  # noqa: FBT001
        """
        Sketch what is recorded from now on, for `take`; or no longer.

        What was recorded before (at import, before the service is initialised) is in
        the first take as far as nobody has read it and it is among the last 256 values
        of its series.
        """
        self._sketched = on
        for child in self.children().values():
            child.keep_sketch(on=on)

    def take(self) -> list[tuple[tuple[str, ...], Sketch]]:
        """
        Return what was recorded since the last take, by label values.

        Every value is in exactly one take, whoever records meanwhile. The sketches are
        the caller's from now on; series without a new value are left out.
        """
        if not self._sketched:
            return []

        taken = [(key, child.take()) for key, child in self.children().items()]
        return [(key, sketch) for key, sketch in taken if sketch is not None]

    def read(self) -> Family:
        """Return all series as they are now."""
        points = [child.read(key) for key, child in self.children().items()]
        return self.family("histogram", tuple(points))


class Histogram(BucketInstrument[HistogramChild]):
    """A distribution of values over buckets."""

    __slots__ = ()

    def __init__(self, spec: Spec, bounds: tuple[float, ...]) -> None:
        super().__init__(spec, bounds, histogram_child())


def histogram_child() -> type[HistogramChild]:
    """Return the kind of child that is exact on this interpreter."""
    return HistogramChild if adds_are_atomic() else LockedHistogramChild
