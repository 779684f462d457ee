"""The settings in force: one frozen value per section, with origins and problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from svcready.config._named import Named
from svcready.config._origins import DEFAULT_ORIGIN
from svcready.config._sections import (
    AdminSettings,
    AuditSettings,
    CloudwatchSettings,
    CoreSettings,
    HealthSettings,
    HttpSettings,
    LifecycleSettings,
    LogSettings,
    MetricsSettings,
    OtlpSettings,
    PrometheusSettings,
    ResilienceSettings,
    ServiceSettings,
    TracingSettings,
    XraySettings,
)
from svcready.config._table import entries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.config._origins import Origin
    from svcready.config._problems import Problem

__all__ = ["RELAXED", "Inputs", "Settings"]


class Inputs(NamedTuple):
    """What settings were read from, kept so that they can be read again."""

    environ: Mapping[str, str]
    """Our variables and the standard ones, copied."""
    arguments: Mapping[str, object]
    """By dotted key, `service=` and its like included."""
    read_file: Callable[[str], bytes]
    """Reads the configuration file."""
    resolve_secret: Callable[[str], str]
    """Resolves one reference to a secret."""

    def __repr__(self) -> str:
        return f"Inputs({', '.join(sorted({*self.environ, *self.arguments}))})"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    Everything that is configured, as it is in force.

    Two of them are equal if all values are, wherever they were said.
    """

    core: CoreSettings = field(default_factory=CoreSettings)
    service: ServiceSettings = field(default_factory=ServiceSettings)
    log: LogSettings = field(default_factory=LogSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    cloudwatch: CloudwatchSettings = field(default_factory=CloudwatchSettings)
    prometheus: PrometheusSettings = field(default_factory=PrometheusSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)
    xray: XraySettings = field(default_factory=XraySettings)
    otlp: OtlpSettings = field(default_factory=OtlpSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    lifecycle: LifecycleSettings = field(default_factory=LifecycleSettings)
    resilience: ResilienceSettings = field(default_factory=ResilienceSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    admin: AdminSettings = field(default_factory=AdminSettings)
    named: Named = field(default_factory=Named)
    """What is said of policies, checks, groups, buckets and limits by name."""
    origins: Mapping[str, Origin] = field(
        default_factory=lambda: MappingProxyType({}), compare=False, repr=False
    )
    """Where each value was said, by key; a key that is missing has its default."""
    problems: tuple[Problem, ...] = field(default=(), compare=False)
    """Everything that is wrong; empty if all is well."""
    pinned: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), compare=False
    )
    """Keys that the file sets in vain, each with the variable that decides."""
    inputs: Inputs | None = field(default=None, compare=False, repr=False)
    """What they were read from; None if they were made by hand."""

    def values(self) -> dict[str, object]:
        """Return every value in force by its key, secrets included."""
        flat = {
            entry.key: getattr(getattr(self, entry.key.partition(".")[0]), entry.field)
            for entry in entries()
        }
        return {**flat, **self.named.flat()}

    def origin(self, key: str) -> Origin:
        """Return where the value of *key* was said."""
        return self.origins.get(key, DEFAULT_ORIGIN)

    def changed_from(self, other: Settings) -> tuple[str, ...]:
        """Return the keys whose values differ from those of *other*, sorted."""
        mine, theirs = self.values(), other.values()
        missing = object()
        return tuple(
            key
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key, missing) != theirs.get(key, missing)
        )

    @property
    def relaxed(self) -> bool:
        """True where the environment is one that relaxes defaults."""
        return self.service.environment in RELAXED


RELAXED = frozenset({"development", "dev", "local", "test"})
"""The only environments that relax anything."""
