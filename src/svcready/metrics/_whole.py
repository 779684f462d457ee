"""The whole service: what a scrape of any of its processes is answered with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready.metrics._model import Snapshot
from svcready.metrics._names import sample_names
from svcready.metrics._workers._buckets import with_distributions
from svcready.metrics._workers._layout import TOTALS
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

_INCREMENTED = frozenset(("counter", "gauge", "histogram", "summary"))


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
    """

    def __init__(
        self,
        group: Group | None,
        reading: Reading,
        clock: Clock,
    ) -> None:
        self._reading = reading
        self._clock = clock
        self._together: Together | None = None
        # Ours is prepared for a fork first: it publishes what the child goes without.
        if group is not None:
            self._together = Together(group, self._shared, self._counted, clock)

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

            joined = tuple(self._shared())

        families: list[Family] = []
        occupied: set[str] = set()
        for family in (*self._single(directory), *joined):
            names = sample_names(family.kind, family.exposition)
            if occupied.isdisjoint(names):
                occupied.update(names)
                families.append(family)

        return Snapshot(self._clock.time_ns(), tuple(families))

    def _single(self, directory: str | None) -> Iterator[Family]:
        """Return what can't be joined: collectors' results, and what already is."""
        if directory is not None:
            yield from _from_files(directory)

        for registry in self._reading.registries():
            yield from registry_families(registry, standard=False)

    def _shared(self) -> Iterator[Family]:
        """Return what this process has and others join."""
        in_files = _multiprocess_directory() is not None
        occupied: set[str] = set()
        for family in self._standard():
            if in_files and family.workers != "pid" and family.kind in _INCREMENTED:
                continue

            occupied.update(sample_names(family.kind, family.exposition))
            yield _joinable(family)

        for family in self._reading.ours():
            names = sample_names(family.kind, family.exposition)
            if family.points and occupied.isdisjoint(names):
                occupied.update(names)
                yield family

    def _counted(self) -> Iterator[Family]:
        """Return what this process has counted and a fork does not take with it."""
        in_files = _multiprocess_directory() is not None
        for family in () if in_files else self._standard():
            if family.kind in TOTALS and family.workers == "sum":
                yield _joinable(family)

        # Not of our other sources: one may wait for a lock, and who forks must not.
        yield from declared_families()

    def _standard(self) -> Iterator[Family]:
        for registry in self._reading.registries():
            for family in registry_families(registry, custom=False):
                yield self._reading.inherited.without(family)

    def _before_fork(self) -> None:
        if _multiprocess_directory() is None:  # its files know whose they are
            self._reading.inherited.note(self._reading.registries())


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
