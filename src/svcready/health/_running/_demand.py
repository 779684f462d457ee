"""Checks that run when somebody asks, and those who wait for them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from svcready.health._running._agenda import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from svcready.config._sections.health import HealthSettings
    from svcready.health._running._state import CheckState

__all__ = ["Demand", "Demands", "OnDemand", "on_demand"]


class OnDemand(NamedTuple):
    """How checks run that run only when asked for."""

    ttl_s: float
    """A result this young is not asked for again."""
    total_s: float
    """How long who asks waits for all checks together."""


def on_demand(settings: HealthSettings) -> OnDemand | None:
    """Return what *settings* say of it; None if checks run in the background."""
    if settings.mode != "on_demand":
        return None

    return OnDemand(settings.ttl_s, settings.total_timeout_s)


class Demand:
    """
    Checks that are to have a result of late; all who ask meanwhile share it.

    Args:
        states: The checks that have none.
    """

    def __init__(self, states: Iterable[CheckState]) -> None:
        self.states = tuple(states)
        """The checks to run, unless they do already."""
        self.awaited: list[CheckState] = []
        """Those that are waited for and were not back when last looked at."""
        self.is_whole = True
        """Whether those are all that have no fresh result."""
        self.until_s = NEVER
        """When to wait no longer, on the monotonic clock."""
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._told: list[Callable[[], None]] = []

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._over.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is over; False if a check was not back in time."""
        return self._over.wait(timeout_s) and self.is_whole and not self.awaited

    def tell(self, then: Callable[[], None]) -> None:
        """Call *then*, which never raises, when it is over; at once if it is."""
        with self._lock:
            if not self.is_over:
                self._told.append(then)
                return

        then()

    def end(self) -> None:
        """Let everyone go on who waits."""
        with self._lock:
            self._over.set()
            told, self._told = self._told, []

        for then in told:
            then()


class Demands:
    """
    What is asked for by several at a time, once.

    Args:
        total_s: How long anyone waits for all checks together. A check that is longer
            under way is waited for by nobody.
    """

    def __init__(self, total_s: float) -> None:
        self.total_s = total_s
        self._lock = threading.Lock()
        self._asked: dict[str, Demand] = {}
        self._open: list[Demand] = []

    def ask(self, key: str, states: Iterable[CheckState]) -> tuple[Demand, bool]:
        """
        Return what is under way for *key*, or what to begin, and which of the two.

        Args:
            key: Who asks for the same checks has the same key.
            states: The checks to run.
        """
        made = Demand(states)
        with self._lock:
            known = self._asked.get(key)
            if known is not None and not known.is_over:
                return known, False

            self._asked[key] = made

        return made, True

    def begin(self, demand: Demand, now_s: float) -> None:
        """Wait from now on for those of its checks that are worth it."""
        missing = [s for s in demand.states if s.counts() and s.asked_s != NEVER]
        demand.awaited = [s for s in missing if now_s < s.asked_s + self.total_s]
        demand.is_whole = len(missing) == len(demand.awaited)
        asked_s = [state.asked_s for state in demand.awaited]
        demand.until_s = max(asked_s, default=now_s) + self.total_s
        self._open.append(demand)

    def take_over(self, now_s: float) -> list[Demand]:
        """Take out those that are over: everything is back, or time is up."""
        over = []
        for demand in self._open:
            awaited = demand.awaited
            while awaited and awaited[-1].asked_s == NEVER:
                awaited.pop()

            if not awaited or now_s >= demand.until_s:
                over.append(demand)

        if over:
            self._open = [demand for demand in self._open if demand not in over]

        return over

    def next_at_s(self) -> float:
        """Return when the first of them is over at the latest."""
        return min((demand.until_s for demand in self._open), default=NEVER)

    def close(self) -> None:
        """Let everyone go on who waits, with what there is."""
        with self._lock:
            asked = tuple(self._asked.values())

        for demand in asked:
            if not demand.is_over:
                demand.is_whole = False
                demand.end()
