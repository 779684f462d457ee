"""Load shedding of HTTP requests as the pillar keeps it: on, off, and how it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready._core.clock import Clock
    from svcready.resilience._limiting._inbound_means import InboundMeans
    from svcready.resilience._shed._shedder import Shedder, SheddingState
    from svcready.resilience._shed._shedding import Shedding

__all__ = ["InboundShedding"]

_KIND = "load_shedding"


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
            from svcready.resilience._shed._shedding import (
                http_shedder,
                shedding_config,
            )

            self._shedder = http_shedder()
            self._shedder.use(shedding_config(http), self._clock)

    def close(self) -> None:
        """Let go."""
        if self._shedder is not None:
            from svcready.resilience._shed._shedding import forget_if_idle

            forget_if_idle()

    def chain(self) -> list[Shedding]:
        """Return what requests are asked of; nothing if it is off."""
        if self._shedder is None or self._means.http is None:
            return []

        from svcready.resilience._shed._shedding import http_shedding

        return [http_shedding(self._shedder, self._means.http())]

    def state(self) -> SheddingState | None:
        """Return how it stands; None: it is off."""
        return None if self._shedder is None else self._shedder.state()

    def counts(self) -> Iterator[tuple[str, str, str, int]]:
        """Yield how many requests there were, by class and outcome."""
        if self._shedder is not None:
            for (priority, outcome), total in self._shedder.counts().items():
                yield _KIND, priority, outcome, total

    def levels(self) -> Iterator[tuple[str, str, int, int, int]]:
        """Yield how many requests are in flight, wait, and may be in flight."""
        state = self.state()
        if state is not None:
            yield _KIND, state.name, state.in_flight, 0, state.limit
