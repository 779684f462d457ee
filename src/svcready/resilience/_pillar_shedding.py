"""Load shedding of HTTP requests as the pillar keeps it: on, off, and how it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcready._core.clock import Clock
    from svcready.resilience._inbound_means import InboundMeans
    from svcready.resilience._shedder import Shedder, SheddingState
    from svcready.resilience._shedding import Shedding

__all__ = ["InboundShedding"]


class InboundShedding:
    """
    The load shedding of one runtime; nothing of it is loaded while it is off.

    Args:
        means: What the operator says.
        clock: Monotonic time.
    """

    def __init__(self, means: InboundMeans, clock: Clock) -> None:
        self._means = means
        self._clock = clock
        self._shedder: Shedder | None = None

    def start(self) -> None:
        """Put the operator's numbers in force, keeping what was learnt."""
        self._shedder = None
        http = None if self._means.http is None else self._means.http()
        if http is not None and http.shedding != "off":
            from svcready.resilience._shedding import http_shedder, shedding_config

            self._shedder = http_shedder()
            self._shedder.use(shedding_config(http), self._clock)

    def close(self) -> None:
        """Let go."""
        if self._shedder is not None:
            from svcready.resilience._shedding import forget_if_idle

            forget_if_idle()

    def admission(self) -> Shedding | None:
        """Return what requests are asked of; None: it is off."""
        if self._shedder is None or self._means.http is None:
            return None

        from svcready.resilience._shedding import http_shedding

        return http_shedding(self._shedder, self._means.http())

    def state(self) -> SheddingState | None:
        """Return how it stands; None: it is off."""
        return None if self._shedder is None else self._shedder.state()

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many requests there were by class and outcome."""
        return {} if self._shedder is None else self._shedder.counts()
