"""The whole service: what a scrape of any of its processes is answered with."""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready.metrics._instruments._levels import Gauge
from svcready.metrics._instruments._register import REGISTER
from svcready.metrics._model import Snapshot
from svcready.metrics._precedence import without_doubles
from svcready.metrics._workers._buckets import with_distributions
from svcready.metrics._workers._layout import TOTALS, Published
from svcready.metrics._workers._service import Together
from svcready.metrics.sources._declared import declared_families
from svcready.metrics.sources._prometheus_client import registry_families

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready._core.clock import Clock
    from svcready._transport.group import Group
    from svcready.metrics._model import Family
    from svcready.metrics._reading import Reading

__all__ = ["WholeService"]

_IN_FILES = frozenset(("counter", "gauge", "histogram", "summary"))


class WholeService:
    """
    Joins what all processes of a service have recorded, for the page.

    What other libraries' collectors compute cannot be joined: it is shown as the
    process has it that answers. What prometheus_client keeps in files of its own
    (PROMETHEUS_MULTIPROC_DIR) is read from there.

    Args:
        group: The processes of the service; None if each is to stand alone.
        reading: Reads what this process has.
        clock: Tells the time.
        most_series: Of how many series of a metric the totals of processes that are
            gone are kept apart.
    """

    def __init__(
        self,
        group: Group | None,
        reading: Reading,
        clock: Clock,
        most_series: int,
    ) -> None:
        self._reading = reading
        self._clock = clock
        self._together: Together | None = None
        # Ours is prepared for a fork first: it publishes what the child goes without.
        if group is not None and hasattr(os, "pread"):  # there is none on Windows
            self._together = Together(
                group, self._shared, self._counted, clock, most_series
            )

        fork.before_fork(self._before_fork)
        fork.reset_in_child(reading.inherited.take)

    def wake(self) -> None:
        """Publish what this process records, if there is somebody to publish for."""
        if self._together is not None:
            self._together.wake()

    def flush(self) -> None:
        """Publish what was counted up to now."""
        if self._together is not None:
            self._together.flush()

    def close(self) -> None:
        """Publish for the last time."""
        if self._together is not None:
            self._together.close()

    def snapshot(self) -> Snapshot:
        """Return the families of the whole service."""
        directory = _multiprocess_directory()
        joined = None if self._together is None else self._together.families()
        if joined is None:
            if directory is None:
                return self._reading.snapshot()

            joined = tuple([family for family, _ in self._shared()])

        everything = (*self._single(directory), *joined)
        families = without_doubles(everything, self._reading.tell_shadowed)
        return Snapshot(self._clock.time_ns(), families)

    def _single(self, directory: str | None) -> Iterator[Family]:
        """Return what can't be joined: collectors' results, and what already is."""
        if directory is not None:
            yield from _from_files(directory)

        yield from self._reading.theirs(standard=False)

    def _shared(self) -> Iterator[Published]:
        """Return what this process has and others join."""
        in_files = _multiprocess_directory() is not None
        standard = (
            _joinable(family)
            for family in self._reading.theirs(custom=False)
            if not (in_files and family.workers != "pid" and family.kind in _IN_FILES)
        )
        everything = chain(standard, self._reading.ours())
        for family in without_doubles(everything, self._reading.tell_shadowed):
            if family.points:
                yield _dated(family)

    def _counted(self) -> Iterator[Published]:
        """Return what this process has counted and a fork does not take with it."""
        in_files = _multiprocess_directory() is not None
        for family in () if in_files else self._reading.theirs(custom=False):
            if family.kind in TOTALS and family.workers == "sum":
                yield Published(_joinable(family))

        # Not of our other sources: one may wait for a lock, and who forks must not.
        yield from map(_dated, declared_families())

    def _before_fork(self) -> None:
        if _multiprocess_directory() is None:  # its files know whose they are
            self._reading.inherited.note(self._reading.registries())


def _dated(family: Family) -> Published:
    """Say when each series was set, where the latest counts and somebody knows."""
    if family.workers == "latest":
        for metric in REGISTER.things():
            if isinstance(metric, Gauge) and metric.spec.name == family.name:
                dates = metric.dates()
                labels = (point.labels for point in family.points)
                return Published(family, tuple([dates.get(key, 0.0) for key in labels]))  # type: ignore[arg-type]

    return Published(family)


def _joinable(family: Family) -> Family:
    return with_distributions(family) if family.kind == "histogram" else family


def _multiprocess_directory() -> str | None:
    """Return where prometheus_client keeps its values, if not in memory."""
    for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        path = os.environ.get(name)
        if path:
            return path

    return None


def _from_files(directory: str) -> Iterator[Family]:
    """Read what all processes recorded with prometheus_client's multiprocess mode."""
    from prometheus_client.multiprocess import MultiProcessCollector
    from prometheus_client.registry import CollectorRegistry

    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry, directory)  # type: ignore[no-untyped-call]
    except ValueError as error:
        report_fault("metrics.application", error)
        return

    yield from registry_families(registry, standard=False)
