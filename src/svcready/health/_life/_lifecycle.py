"""The life of a service: starting, ready, draining, stopped, and whether it broke."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from svcready._core import events
from svcready.health._events import LifecycleChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock

__all__ = ["STATES", "Lifecycle"]

_ORDER = ("starting", "ready", "draining", "stopped")
_BROKEN = "broken"
STATES = (*_ORDER, _BROKEN)
"""All that a lifecycle can show."""


class Lifecycle:
    """
    Where in its life the service is; by itself it only ever goes on.

    That it is broken lies over the state, which goes on beneath: once what broke is
    well again, the service is where it would have been without.

    Args:
        clock: Stamps the transitions.
        on_change: Called after each transition, before its event is published, on the
            thread that asked for it.
        holds: Tells whether something holds the start, which then ends by `proceed`.
    """

    def __init__(
        self,
        clock: Clock,
        on_change: Callable[[], None],
        holds: Callable[[], bool] = lambda: False,
    ) -> None:
        self.state = _ORDER[0]
        """`starting`, `ready`, `draining` or `stopped`."""
        self.broken = ""
        """Why the process is broken; empty while it is not."""
        self.since_ns = clock.time_ns()
        """Wall time since when what `shown` says is so."""
        self._moved_ns = self.since_ns
        self._is_wanted = False
        self._clock = clock
        self._on_change = on_change
        self._holds = holds
        # Re-entrant: the handler of SIGTERM drains on the thread that it interrupted.
        self._lock = threading.RLock()

    @property
    def shown(self) -> str:
        """The state, or `broken` if it is."""
        state = self.state
        return _BROKEN if self.broken and state != _ORDER[-1] else state

    def ready(self) -> bool:
        """Take requests from now on; False if that was so, is over or has to wait."""
        self._is_wanted = True
        return self.proceed()

    def proceed(self) -> bool:
        """Take requests if that was asked for, and nothing holds the start any more."""
        return self._is_wanted and not self._holds() and self._go_on_to("ready")

    def drain(self) -> bool:
        """Take no more new requests; False if that was so or is over."""
        return self._go_on_to("draining")

    def revive(self) -> bool:
        """Start again after a drain, as an application can in one process."""
        if not self._go_on_to("starting", before=("draining",)):
            return False

        self._is_wanted = False
        return True

    def resume(self) -> bool:
        """Take a drain back, and go on where the service would be without it."""
        if not self._go_on_to("starting", before=("draining",)):
            return False

        self.proceed()
        return True

    def wait(self) -> bool:
        """Start after all: requests come later than was thought; False if they did."""
        self._is_wanted = False
        return self._go_on_to("starting", before=("ready",))

    def stop(self) -> bool:
        """Do nothing any more; False if that was so."""
        return self._go_on_to("stopped")

    def judge(self, reason: str) -> None:
        """
        Take note of whether the process is broken.

        Args:
            reason: Why it is; empty if it is not.
        """
        now_ns = self._clock.time_ns()
        with self._lock:
            was, state = self.broken, self.state
            self.broken = reason
            if bool(was) is bool(reason):
                return

            self.since_ns = now_ns if reason else self._moved_ns

        self._on_change()
        if state == _ORDER[-1]:
            return

        if reason:
            events.publish(LifecycleChanged(state, _BROKEN, reason))
        else:
            events.publish(LifecycleChanged(_BROKEN, state))

    def after_fork(self) -> None:
        """Make the lock anew in a child, which inherits the state, and no fault."""
        self._lock = threading.RLock()
        self.broken = ""
        self.since_ns = self._moved_ns

    def _go_on_to(self, state: str, before: tuple[str, ...] | None = None) -> bool:
        allowed = _ORDER[: _ORDER.index(state)] if before is None else before
        since_ns = self._clock.time_ns()
        with self._lock:
            # No call from here to the last line: a signal handler that goes further
            # comes before or after all of it.
            was = self.state
            if was not in allowed:
                return False

            self.state = state
            self.since_ns = self._moved_ns = since_ns

        self._on_change()
        events.publish(LifecycleChanged(was, state))
        return True
