"""The runner's agenda: which check is due when, and which run is out of time."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.health._running._runs import Run
    from svcready.health._running._state import CheckState

__all__ = ["NEVER", "Agenda"]

NEVER = float("inf")
_JITTER = 0.1


class Agenda:
    """
    Two queues by time; a check has one place in the first, the last it was given.

    Args:
        uniform: Draws the jitter between two bounds.
        repeats: Whether checks come again by themselves.
    """

    def __init__(
        self, uniform: Callable[[float, float], float], *, repeats: bool = True
    ) -> None:
        self._uniform = uniform
        self._repeats = repeats
        self._order = count()
        self._due: list[tuple[float, int, CheckState]] = []
        self._deadlines: list[tuple[float, int, Run]] = []

    def plan(self, state: CheckState, due_s: float) -> None:
        """Run the check at *due_s* and not at any time planned before."""
        state.planned = next(self._order)
        heappush(self._due, (due_s, state.planned, state))

    def plan_next(self, state: CheckState, now_s: float) -> None:
        """Run the check an interval from now, give or take 10 %, if it repeats."""
        if not self._repeats:
            return

        interval_s = state.tuning.interval_s
        spread_s = interval_s * _JITTER
        self.plan(state, now_s + interval_s + self._uniform(-spread_s, spread_s))

    def watch(self, run: Run, until_s: float) -> None:
        """Look at the run again at *until_s*."""
        heappush(self._deadlines, (until_s, next(self._order), run))

    def pop_due(self, now_s: float) -> Iterator[CheckState]:
        """Take out the checks that are due."""
        while self._due and self._due[0][0] <= now_s:
            _, number, state = heappop(self._due)
            if state.planned == number:
                state.planned = -1
                yield state

    def pop_watched(self, now_s: float) -> Iterator[Run]:
        """Take out the runs to look at that are not over."""
        while self._deadlines and self._deadlines[0][0] <= now_s:
            run = heappop(self._deadlines)[2]
            if run.state.run is run and not run.timed_out:
                yield run

    def next_at_s(self) -> float:
        """Return when to look again."""
        return min(
            self._due[0][0] if self._due else NEVER,
            self._deadlines[0][0] if self._deadlines else NEVER,
        )
