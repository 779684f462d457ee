"""The runner's book: takes down what runs said, lets it age and tells of changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core import events
from svcready.health._events import CheckChanged, CheckRan
from svcready.health._running._agenda import NEVER
from svcready.health._running._state import Transition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from svcready._core.clock import Clock
    from svcready.health._result import CheckResult
    from svcready.health._running._state import CheckState

__all__ = ["Book"]

_SOON_S = 1.0
_SHARE = 9.0
_LONGEST_S = 0.1


class Book:
    """
    What the runs of all checks said; only the runner's thread writes in it.

    Args:
        clock: Stamps results.
        hide: Hides the secrets in what a check says, and cuts it.
        on_change: Called when something changed that a probe may show.
        ttl_s: How long a result is fresh where checks run on demand; None where they
            repeat, and every result ages from when it was made.
    """

    def __init__(
        self,
        clock: Clock,
        hide: Callable[[str], str],
        on_change: Callable[[], None],
        ttl_s: float | None,
    ) -> None:
        self._clock = clock
        self._hide = hide
        self._on_change = on_change
        self._ttl_s = ttl_s
        self.stale_at_s = NEVER
        """No check turns stale before this time on the monotonic clock."""
        self.look_at_s = NEVER
        """When to look at the age of all results again."""
        self.show_at_s = NEVER
        """When to have the probes' answers made anew."""
        self._shown_s = self._took_s = 0.0
        self._news: list[object] = []

    def record(
        self, state: CheckState, result: CheckResult, ran_s: float | None
    ) -> None:
        """
        Take down a result.

        Args:
            state: The check's.
            result: What it said.
            ran_s: How long the run took; None if there was none.
        """
        before = state.status.status
        result = result._replace(output=self._hide(result.output))
        now_s = self._clock.monotonic()
        latency_s = state.tuning.timeout_s if ran_s is None else ran_s
        state.record(result, latency_s, now_s, self._clock.time_ns())
        if self._ttl_s is None:
            self._heed(state, now_s)
        else:  # it ages from when somebody asks for the next one
            state.stale_at_s = NEVER
            state.fresh_until_s = now_s + self._ttl_s

        if ran_s is not None:
            self._news.append(CheckRan(state.check.name, result.status, ran_s))

        self._tell(state, before)

    def age(
        self, states: Iterable[CheckState], now_s: float, *, now: bool = False
    ) -> None:
        """Mark the results that are too old, if it is time to look or *now* is."""
        if now_s < self.look_at_s and not now:
            return

        earliest_s = NEVER
        for state in states:
            if state.stale_at_s <= now_s:
                before = state.status.status
                state.mark_stale()
                self._tell(state, before)

            earliest_s = min(earliest_s, state.stale_at_s)

        self._bound_staleness(earliest_s, now_s)

    def expect(self, state: CheckState, now_s: float) -> None:
        """Take down that a result was asked for, and let the old one age."""
        state.asked_s = now_s
        state.expect(now_s)
        self._heed(state, now_s)

    def show(self, now_s: float, *, at_once: bool) -> None:
        """
        Have the probes' answers made anew if something changed.

        Args:
            now_s: The monotonic time.
            at_once: Not to wait for more changes. Else many that come one by one share
                an answer, so that making them takes a tenth of the time at most.
        """
        if not at_once and now_s < self.show_at_s:
            return

        if self.show_at_s != NEVER:
            self.show_at_s = NEVER
            begun_s = self._clock.monotonic()
            self._on_change()
            self._shown_s = self._clock.monotonic()
            self._took_s = self._shown_s - begun_s

    def tell(self) -> None:
        """Publish what happened, once probes show it."""
        if self.show_at_s != NEVER:
            return

        news, self._news = self._news, []
        for event in news:
            events.publish(event)

    def _heed(self, state: CheckState, now_s: float) -> None:
        if state.stale_at_s < self.stale_at_s:
            self._bound_staleness(state.stale_at_s, now_s)

    def _change(self) -> None:
        wait_s = min(_SHARE * self._took_s, _LONGEST_S)
        self.show_at_s = min(self.show_at_s, self._shown_s + wait_s)

    def _tell(self, state: CheckState, before: str) -> None:
        now = state.status
        if now.status != before:
            self._change()
            reason = "no result for too long" if now.stale else now.output
            state.keep(Transition(self._clock.time_ns(), before, now.status, reason))
            self._news.append(
                CheckChanged(now.name, before, now.status, reason, now.criticality)
            )

    def _bound_staleness(self, earliest_s: float, now_s: float) -> None:
        # Probes trust the bound even if this thread is dead, so it is moved on long
        # before it is reached, and not at every result.
        self.stale_at_s = earliest_s
        half_way_s = max((now_s + earliest_s) / 2, now_s + _SOON_S)
        self.look_at_s = min(earliest_s, half_way_s)
        self._change()
