"""What is wired together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from svcready._core.clock import Clock
    from svcready.health._pillar import HealthPillar
    from svcready.logging._pillar import LogPillar
    from svcready.metrics._pillar import MetricsPillar
    from svcready.resilience._pillar import ResiliencePillar
    from svcready.tracing._pillar import TracePillar

__all__ = ["Pillars"]


class Pillars(Protocol):
    """What is wired together; a pillar that is switched off is None."""

    @property
    def clock(self) -> Clock: ...
    @property
    def logging(self) -> LogPillar | None: ...
    @property
    def metrics(self) -> MetricsPillar | None: ...
    @property
    def tracing(self) -> TracePillar: ...
    @property
    def health(self) -> HealthPillar | None: ...
    @property
    def resilience(self) -> ResiliencePillar | None: ...
