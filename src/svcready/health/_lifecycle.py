"""The life of a service: starting, ready, draining, stopped."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from svcready._core import events
from svcready.health._events import LifecycleChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock

__all__ = ["Lifecycle"]

_ORDER = ("starting", "ready", "draining", "stopped")


class Lifecycle:
    """
    Where in its life the service is; it only ever goes on.

    Args:
        clock: Stamps the transitions.
        on_change: Called after each transition, before its event is published, on the
            thread that asked for it.
    """

    def __init__(self, clock: Clock, on_change: Callable[[], None]) -> None:
        self.state = _ORDER[0]
        """`starting`, `ready`, `draining` or `stopped`."""
        self.since_ns = clock.time_ns()
        """Wall time of the last transition."""
        self._clock = clock
        self._on_change = on_change
        # Re-entrant: the handler of SIGTERM drains on the thread that it interrupted.
        self._lock = threading.RLock()

    def ready(self) -> bool:
        """Take requests from now on; False if that was so or is over."""
        return self._go_on_to("ready")

    def drain(self) -> bool:
        """Take no more new requests; False if that was so or is over."""
        return self._go_on_to("draining")

    def revive(self) -> bool:
        """Start again after a drain, as an application can in one process."""
        return self._go_on_to("starting", before=("draining",))

    def stop(self) -> bool:
        """Do nothing any more; False if that was so."""
        return self._go_on_to("stopped")

    def after_fork(self) -> None:
        """Make the lock anew in a child; the state is inherited."""
        self._lock = threading.RLock()

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
            self.since_ns = since_ns

        self._on_change()
        events.publish(LifecycleChanged(was, state))
        return True
