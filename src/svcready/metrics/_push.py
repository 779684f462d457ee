"""Pushing: sends metrics to the sinks that nobody asks, each at its own pace."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready._core.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity

__all__ = ["PushSink", "Pusher"]

_JITTER = 0.1


class PushSink(Protocol):
    """Where metrics are sent to, rather than read by."""

    name: str
    """`emf`, `cloudwatch`, `otlp`."""
    interval_s: float
    """How often `push` is called."""

    def push(self, timeout_s: float) -> bool:
        """
        Send what was recorded since the last time; called by one thread at a time.

        Args:
            timeout_s: For the whole of it, in seconds.

        Returns:
            False if something could not be sent; the sink keeps it for the next time.
        """
        ...

    def identify(self, identity: Identity) -> None:
        """Take a new identity: a forked child's, or what a look-up found."""
        ...

    def reset(self) -> None:
        """Forget what is pending: a forked child's parent sends it."""
        ...

    def close(self) -> None:
        """Let go of connections and files, after the last `push`."""
        ...

    def describe(self) -> dict[str, object]:
        """Return what it does and how it fares, for the start line and operators."""
        ...


class _Lane:
    """One sink, its thread, and the lock that keeps its pushes apart."""

    def __init__(self, sink: PushSink, clock: Clock) -> None:
        self.sink = sink
        self.worker = Worker(f"svcready-{sink.name}", clock)
        self._lock = threading.Lock()
        self.worker.every(
            sink.interval_s, self._push_in_time, name=sink.name, jitter=_JITTER
        )
        fork.reset_in_child(self._after_fork)

    def push(self, timeout_s: float) -> bool:
        """Push now, once another push has ended, within *timeout_s* for both."""
        ends_s = time.monotonic() + timeout_s
        if not self._lock.acquire(timeout=max(0.0, timeout_s)):
            return False

        try:
            return self.sink.push(max(0.0, ends_s - time.monotonic()))
        except Exception as error:  # noqa: BLE001 - the other sinks go on
            report_fault(f"metrics.{self.sink.name}", error)
            return False
        finally:
            self._lock.release()

    def _push_in_time(self) -> None:
        self.push(self.sink.interval_s)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self.sink.reset()


class Pusher:
    """
    Runs every sink that pushes, on a thread of its own.

    Args:
        sinks: Where metrics are sent to.
        clock: Paces them.
    """

    def __init__(self, sinks: Sequence[PushSink], clock: Clock) -> None:
        self._lanes = [_Lane(sink, clock) for sink in sinks]

    @property
    def sinks(self) -> tuple[PushSink, ...]:
        """The sinks, in their order."""
        return tuple(lane.sink for lane in self._lanes)

    def wake(self) -> None:
        """Start pushing in this process; a forked child starts here."""
        for lane in self._lanes:
            lane.worker.wake()

    def flush(self, timeout_s: float) -> bool:
        """
        Push what is pending now.

        Args:
            timeout_s: The one budget that all sinks share.

        Returns:
            False if a sink could not send everything.
        """
        # Real time, whatever the injected clock says: a server waits for us.
        ends_s = time.monotonic() + timeout_s
        sent = [lane.push(max(0.0, ends_s - time.monotonic())) for lane in self._lanes]
        return all(sent)

    def close(self) -> None:
        """Push no more; what is pending was flushed before."""
        for lane in self._lanes:
            lane.worker.stop(0.0)
            try:
                lane.sink.close()
            except Exception as error:  # noqa: BLE001 - the other sinks go on
                report_fault(f"metrics.{lane.sink.name}", error)
