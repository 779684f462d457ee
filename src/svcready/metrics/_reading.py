"""Reading: what the application's registries and our own sources have, in one."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from svcready._core.events import publish
from svcready._core.guard import report_fault
from svcready.metrics._events import FamilyShadowed
from svcready.metrics._model import Snapshot
from svcready.metrics._precedence import without_doubles
from svcready.metrics.sources._declared import declared_families
from svcready.metrics.sources._host import HostSource
from svcready.metrics.sources._otel._meters import MeterSource
from svcready.metrics.sources._own import OwnSource
from svcready.metrics.sources._process import ProcessSource
from svcready.metrics.sources._prometheus_client import (
    Inherited,
    default_registry,
    registry_families,
)
from svcready.metrics.sources._runtime import RuntimeSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready.config._sections.metrics import MetricsSettings
    from svcready.metrics._instruments._register import Declarer
    from svcready.metrics._model import Family
    from svcready.metrics.sources._prometheus_client import Collects

    Source = Callable[[], Iterable[Family]]
    """What is asked for its families at each snapshot; may fail, must not wait."""

__all__ = ["Reading"]


class Reading:
    """
    Reads every source of this process into one neutral snapshot.

    Args:
        settings: The section METRICS, which says what is read.
        declare: Declares the sources' own instruments.
        identity: Who this process is.
        clock: Tells the time, and when a reading is old.
        config_errors: Returns how many settings are wrong.
    """

    def __init__(
        self,
        settings: MetricsSettings,
        declare: Declarer,
        *,
        identity: Identity,
        clock: Clock,
        config_errors: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._registries: tuple[Collects, ...] = ()
        self._told: set[str] = set()
        self.inherited = Inherited()
        """What a forked child's parent had counted with prometheus_client."""
        self.meters = MeterSource()
        self.own = OwnSource(identity, config_errors)
        self.runtime = RuntimeSource(clock, declare) if settings.runtime else None
        self._sources: tuple[Source, ...] = (declared_families, self.own)
        if settings.process:
            self._sources += (ProcessSource(clock),)

        if self.runtime is not None:
            self._sources += (self.runtime,)

        if settings.host:
            self._sources += (HostSource(clock),)

    @property
    def shadowed(self) -> list[str]:
        """Which families of ours the application exposes itself."""
        return sorted(self._told)

    def include(self, registry: Collects) -> None:
        """Read a further prometheus_client registry at each snapshot."""
        if all(known is not registry for known in self._registries):
            self._registries = (*self._registries, registry)

    def add(self, source: Source) -> None:
        """Read a further source at each snapshot, after our own."""
        self._sources += (source,)

    def registries(self) -> tuple[Collects, ...]:
        """Return the prometheus_client registries that are read."""
        registries = self._registries
        default = default_registry() if self._settings.application_registry else None
        if default is not None and all(known is not default for known in registries):
            registries = (default, *registries)

        return registries

    def ours(self) -> Iterator[Family]:
        """Read everything but prometheus_client's registries."""
        for source in (*self._sources, self.meters.families):
            try:
                yield from source()
            except Exception as error:  # noqa: BLE001 - the other sources are read on
                report_fault("metrics", error)

    def snapshot(self) -> Snapshot:
        """
        Read every source once.

        A family that the application exposes through prometheus_client wins over one
        of ours that would have a name in common with it, and ours over one that was
        recorded by OpenTelemetry's meters.
        """
        everything = chain(self.theirs(), self.ours())
        families = without_doubles(everything, self.tell_shadowed)
        return Snapshot(self._clock.time_ns(), families)

    def theirs(self, *, standard: bool = True, custom: bool = True) -> Iterator[Family]:
        """
        Read prometheus_client's registries.

        What that library registers by being loaded is left out where we read the same:
        it is nothing that the application chose.

        Args:
            standard: Whether to read the library's own metrics and collectors.
            custom: Whether to read the application's collectors.
        """
        defaults = not self._settings.process
        for registry in self.registries():
            for family in registry_families(
                registry, standard=standard, custom=custom, defaults=defaults
            ):
                yield self.inherited.without(family)

    def tell_shadowed(self, family: Family) -> None:
        """Tell once that a family is left out, because another has its name."""
        # prometheus_client registers process metrics of its own just by being loaded:
        # that those win is no news.
        if family.origin != "process" and family.name not in self._told:
            self._told.add(family.name)
            whose = "otel" if family.origin == "otel" else "svcready"
            publish(FamilyShadowed(family.name, family.exposition, whose))
