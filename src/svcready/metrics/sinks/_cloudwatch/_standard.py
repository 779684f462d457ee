"""The standard set of HTTP metrics: requests, their time, errors and faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics.sinks._cloudwatch._dimensions import ENDPOINT
from svcready.metrics.sinks._cloudwatch._texts import dimension_value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from svcready.metrics._instruments._sketch import Sketch
    from svcready.metrics.sinks._cloudwatch._aggregate import Aggregate
    from svcready.metrics.sinks._cloudwatch._data import Key
    from svcready.metrics.sinks._cloudwatch._dimensions import Dimensions, Dims

__all__ = ["Standard", "is_error", "is_fault"]

_STATUS = "http_response_status_code"
_ERROR = "error_type"
_MS_PER_S = 1000.0


def is_error(status: str) -> bool:
    """Tell whether a status is the client's error, 4xx."""
    return len(status) == 3 and status.startswith("4")


def is_fault(status: str, error: str) -> bool:
    """Tell whether the service failed: 5xx, or an exception that nobody handled."""
    if len(status) == 3 and status.startswith("5"):
        return True

    # A folded series says `__other__` everywhere, which is no class of exception.
    return bool(error) and not is_error(status) and not error.startswith("__")


class Standard:
    """
    Makes the standard set from the durations of HTTP requests.

    Where a set has no endpoint, errors and faults are 0 in every interval that had
    requests, so that rates can be computed; for an endpoint they begin with the first
    one, because each metric is billed.

    Args:
        names: Those of the standard set that are sent.
        dimensions: Their dimension sets; labels don't join them.
    """

    def __init__(self, names: Collection[str], dimensions: Dimensions) -> None:
        self._names = frozenset(names)
        self._dimensions = dimensions
        self._failed: set[Key] = set()

    def reset(self) -> None:
        """Forget which endpoints had errors: a forked child's have had none."""
        self._failed.clear()

    def read(
        self,
        labels: tuple[str, ...],
        taken: Iterable[tuple[tuple[str, ...], Sketch]],
        resolution: int,
        into: Aggregate,
    ) -> None:
        """
        Add what requests took.

        Args:
            labels: The label names.
            taken: Label values in their order, and durations in seconds.
            resolution: How the set is stored, in seconds.
            into: Where it goes.
        """
        mapper = self._dimensions.mapper(labels, join=False)
        status_at, error_at = labels.index(_STATUS), labels.index(_ERROR)
        for values, sketch in taken:
            status, error = values[status_at], values[error_at]
            for dims in mapper(values):
                self._time(dims, sketch, resolution, into)
                failed = (is_error(status), is_fault(status, error))
                self._fail(dims, sketch.count, failed, resolution, into)

            if error and is_fault(status, error) and "RequestErrorCount" in self._names:
                fixed = self._dimensions.fixed("Environment")
                typed = ("ErrorType", dimension_value(error))
                dims = tuple(sorted((*fixed, typed)))
                key = ("RequestErrorCount", dims, "Count", resolution)
                into.count(key, sketch.count)

    def _time(
        self, dims: Dims, sketch: Sketch, resolution: int, into: Aggregate
    ) -> None:
        if "RequestCount" in self._names:
            into.count(("RequestCount", dims, "Count", resolution), sketch.count)

        if "ResponseTime" in self._names:
            key = ("ResponseTime", dims, "Milliseconds", resolution)
            into.distribute(key, sketch, _MS_PER_S)

    def _fail(
        self,
        dims: Dims,
        count: int,
        failed: tuple[bool, bool],
        resolution: int,
        into: Aggregate,
    ) -> None:
        always = all(name != ENDPOINT for name, _ in dims)
        for name, has in zip(("ErrorCount", "FaultCount"), failed, strict=True):
            key = (name, dims, "Count", resolution)
            if has and not always:
                self._failed.add(key)

            if name in self._names and (has or always or key in self._failed):
                into.count(key, count if has else 0)
