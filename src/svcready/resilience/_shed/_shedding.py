"""Load shedding as an admission of inbound requests: 503 before the application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.config._priorities_text import EXEMPT
from svcready.resilience._limiting._pressure import GAUGE
from svcready.resilience._limiting._problem import REDUCED_CAPACITY, refusal
from svcready.resilience._shed._gradient import GradientConfig
from svcready.resilience._shed._priorities import Priorities
from svcready.resilience._shed._shedder import Shedder, SheddingConfig

if TYPE_CHECKING:
    from svcready.config._sections.http import HttpSettings
    from svcready.resilience._limiting._inbound import Inbound, Refusal

__all__ = [
    "Shedding",
    "forget_if_idle",
    "http_shedder",
    "http_shedding",
    "shedding_config",
]

_CLIENT_CLOSED = 499
_REFUSALS = {
    wait_s: refusal(503, REDUCED_CAPACITY, retry_after_s=wait_s) for wait_s in (1, 2, 3)
}

_SHEDDER: Shedder | None = None


def http_shedder() -> Shedder:
    """Return the process's shedder of HTTP requests, which outlives runtimes."""
    global _SHEDDER  # noqa: PLW0603 - what is in flight stays so when a runtime goes
    if _SHEDDER is None:
        _SHEDDER = Shedder("http", SheddingConfig(), press=_press)

    return _SHEDDER


def _press(priority: str, level: float) -> None:
    if _SHEDDER is not None:
        GAUGE.note("shedding", priority, level, _SHEDDER.clock)


def forget_if_idle() -> None:
    """Begin anew with the next runtime, unless requests are in flight."""
    global _SHEDDER  # noqa: PLW0603 - as above
    if _SHEDDER is not None and not _SHEDDER.state().in_flight:
        _SHEDDER = None


def shedding_config(settings: HttpSettings) -> SheddingConfig:
    """Return a shedder's numbers as the section HTTP has them."""
    least = settings.shedding_min_limit
    most = max(least, settings.shedding_max_limit)
    return SheddingConfig(
        settings.shedding,
        GradientConfig(
            max(least, min(most, settings.shedding_initial_limit)),
            least,
            most,
            settings.shedding_tolerance,
            settings.shedding_smoothing,
        ),
        settings.shedding_window_s,
    )


class _Place:
    """One request's place among those in flight, but while its client is waited for."""

    __slots__ = ("_admission", "_paused_s", "_priority", "_shedder", "_waited_s")

    late = False

    def __init__(self, shedder: Shedder, admission: int, priority: str) -> None:
        self._shedder = shedder
        self._admission = admission
        self._priority = priority
        self._paused_s: float | None = None
        self._waited_s = 0.0

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return nothing: a limit on concurrency is no client's own."""
        return ()

    def left(
        self,
        status: int,
        error: BaseException | None,
        duration_s: float,
        *,
        streamed: bool,
    ) -> None:
        """Make room; how long it took counts, unless somebody else decided that."""
        others = streamed or status == _CLIENT_CLOSED
        others = others or not (error is None or isinstance(error, Exception))
        self._leave(None if others else duration_s)

    def at_route(self) -> None:
        """Refuse nothing: that was decided before."""

    async def at_route_async(self) -> None:
        """Refuse nothing: that was decided before."""

    def streams(self) -> None:
        """Make room: a stream stays as long as its client likes."""
        self._leave(None)

    def dropped(self) -> None:
        """Make room."""
        self._leave(None)

    def pause(self) -> None:
        """Make room while the client is waited for, who may be slow or mean."""
        if self._admission and self._paused_s is None:
            self._paused_s = self._shedder.clock.monotonic()
            self._shedder.pause(self._admission)

    def resume(self) -> None:
        """Be in flight again, whether there is room or not."""
        paused_s, self._paused_s = self._paused_s, None
        if paused_s is not None:
            self._waited_s += self._shedder.clock.monotonic() - paused_s
            self._shedder.resume(self._admission)

    def readmit(self) -> Refusal | None:
        """Be in flight again if there is room: bodies may all come at once."""
        paused_s, self._paused_s = self._paused_s, None
        if paused_s is None:
            return None

        shedder = self._shedder
        if not shedder.readmit(self._admission, self._priority):
            self._admission = 0
            return _REFUSALS[shedder.retry_after_s()]

        self._waited_s += shedder.clock.monotonic() - paused_s
        return None

    def _leave(self, elapsed_s: float | None) -> None:
        if self._paused_s is not None:
            self.resume()

        admission, self._admission = self._admission, 0
        if admission:
            served_s = None if elapsed_s is None else elapsed_s - self._waited_s
            self._shedder.leave(admission, served_s)


def http_shedding(shedder: Shedder, settings: HttpSettings) -> Shedding:
    """Return the admission that the section HTTP asks for."""
    return Shedding(shedder, Priorities(settings.priorities))


class Shedding:
    """
    Refuses requests over the limit, the least important first.

    Args:
        shedder: Who counts.
        priorities: Tells their classes.
    """

    __slots__ = ("_priorities", "_shedder")

    waits = False

    def __init__(self, shedder: Shedder, priorities: Priorities) -> None:
        self._shedder = shedder
        self._priorities = priorities

    def enter(self, request: Inbound) -> _Place | Refusal | None:
        """Decide; it never waits."""
        priority = self._priorities.of(request)
        if priority == EXEMPT:
            return None

        admission = self._shedder.enter(priority)
        if admission:
            return _Place(self._shedder, admission, priority)

        return _REFUSALS[self._shedder.retry_after_s()]

    async def enter_async(self, request: Inbound) -> _Place | Refusal | None:
        """Decide; it never waits."""
        return self.enter(request)
