"""Pushing: sends metrics to the sinks that nobody asks, each at its own pace."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready._core.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready._core.worker import Job

__all__ = ["OftenSink", "PushSink", "Pusher", "RequestSink"]

_JITTER = 0.1
_EARLIEST = 0.5
_BUDGET_S = 30.0
_FIRST_WAIT_S = 2.0
_LONGEST_WAIT_S = 60.0
_MOST_DOUBLINGS = 10
_A_MOMENT_S = 0.05


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
        """
        Let go of connections and files, after the last `push`.

        A `push` that hangs may still be on its way on another thread.
        """
        ...

    def describe(self) -> dict[str, object]:
        """
        Return what it does and how it fares, for the start line and operators.

        What it gave up ever is under `dropped`: how many items for which reason.
        """
        ...


@runtime_checkable
class OftenSink(PushSink, Protocol):
    """A sink of which a part is sent more often than the rest."""

    often_s: float
    """How often `push_often` is called; 0 never."""

    def push_often(self, timeout_s: float) -> bool:
        """Send that part alone; otherwise as `push`, and never together with it."""
        ...


@runtime_checkable
class RequestSink(PushSink, Protocol):
    """A sink that can write what a request has brought when the request ends."""

    per_request: bool
    """Whether it is asked to."""

    def flush_request(self, properties: Mapping[str, str]) -> bool:
        """
        Write what was recorded up to the end of a request.

        Args:
            properties: The request's ids, to search for.

        Returns:
            False if something is kept for the next time.
        """
        ...


class _Lane:
    """
    One sink, its thread, and what keeps its pushes apart.

    Args:
        sink: Where to push.
        clock: Paces the thread.
        uniform: Draws jitter between two bounds.
    """

    def __init__(
        self, sink: PushSink, clock: Clock, uniform: Callable[[float, float], float]
    ) -> None:
        self.sink = sink
        self.worker = Worker(f"svcready-{sink.name}", clock, uniform)
        self._clock = clock
        self._uniform = uniform
        self._closed = False
        self._reset()
        self._jobs = [self._every(sink.interval_s, sink.push, full=True)]
        if isinstance(sink, OftenSink) and sink.often_s:
            self._jobs.append(self._every(sink.often_s, sink.push_often, full=False))

        fork.reset_in_child(self._after_fork)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._busy = self._went_well = False
        self._asked = self._served = 0

    def _every(
        self, interval_s: float, push: Callable[[float], bool], *, full: bool
    ) -> Job:
        faults = 0

        def run() -> None:
            nonlocal faults
            sent = self._push(push, max(_BUDGET_S, interval_s), full=full)
            faults = 0 if sent else faults + 1
            job.interval_s = self._wait_s(faults, interval_s) if faults else interval_s

        # A fleet that is deployed at once must not push at once.
        first_s = interval_s * self._uniform(_EARLIEST, 1.0)
        job = self.worker.every(
            interval_s, run, name=self.sink.name, jitter=_JITTER, first_s=first_s
        )
        return job

    def _wait_s(self, faults: int, interval_s: float) -> float:
        """
        Draw how long to wait after *faults* pushes in a row that failed.

        Exponential, half of it jitter (Marc Brooker, "Exponential Backoff And
        Jitter", AWS Architecture Blog, 2015).
        """
        longest_s = max(_LONGEST_WAIT_S, interval_s)
        doublings = min(faults - 1, _MOST_DOUBLINGS)
        wait_s = min(longest_s, _FIRST_WAIT_S * 2.0**doublings)
        return self._uniform(wait_s / 2, wait_s)

    def ask(self) -> int:
        """Have the thread push at once; 0 if it does not run in this process."""
        with self._changed:
            self._asked += 1
            ticket = self._asked

        return ticket if self.worker.soon(self._jobs[0]) else 0

    def wait_for(self, ticket: int, ends_s: float) -> bool:
        """Wait for the push that was asked for, until *ends_s*, and say how it went."""
        with self._changed:
            while self._served < ticket:
                left_s = ends_s - time.monotonic()
                if left_s <= 0 or self._closed:
                    return False

                self._changed.wait(left_s)

            return self._went_well

    def push(self, timeout_s: float) -> bool:
        """Push now, once another push has ended, within *timeout_s* for both."""
        return self._push(self.sink.push, timeout_s, full=True)

    def _push(
        self, push: Callable[[float], bool], timeout_s: float, *, full: bool
    ) -> bool:
        ends_s = time.monotonic() + timeout_s
        with self._changed:
            while self._busy and not self._closed:
                left_s = ends_s - time.monotonic()
                if left_s <= 0:
                    return False

                self._changed.wait(left_s)

            if self._closed:
                return False

            self._busy, sent = True, False
            asked = self._asked if full else self._served

        try:
            sent = push(max(0.0, ends_s - time.monotonic()))
        except Exception as error:  # noqa: BLE001 - the other sinks go on
            report_fault(f"metrics.{self.sink.name}", error)
        finally:
            with self._changed:
                self._busy = False
                if full:
                    self._served, self._went_well = asked, sent

                self._changed.notify_all()

        return sent

    def close(self) -> None:
        """Push no more, and close the sink, however a push of it hangs."""
        self.worker.stop(0.0)
        ends_s = time.monotonic() + _A_MOMENT_S
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while self._busy and time.monotonic() < ends_s:
                self._changed.wait(_A_MOMENT_S)

        try:
            self.sink.close()
        except Exception as error:  # noqa: BLE001 - the other sinks go on
            report_fault(f"metrics.{self.sink.name}", error)

    def _after_fork(self) -> None:
        self._reset()
        now_s = self._clock.monotonic()
        for job in self._jobs:  # they may be long overdue in a server's master
            job.plan(now_s, self._uniform)

        self.sink.reset()


class Pusher:
    """
    Runs every sink that pushes, on a thread of its own.

    A sink that fails is tried again after growing waits with jitter.

    Args:
        sinks: Where metrics are sent to.
        clock: Paces them.
        uniform: Draws jitter between two bounds.
    """

    def __init__(
        self,
        sinks: Sequence[PushSink],
        clock: Clock,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._lanes = [_Lane(sink, clock, uniform) for sink in sinks]

    @property
    def sinks(self) -> tuple[PushSink, ...]:
        """The sinks, in their order."""
        return tuple(lane.sink for lane in self._lanes)

    @property
    def lost(self) -> dict[str, int]:
        """How many items the sinks gave up in this process, by reason."""
        lost: Counter[str] = Counter()
        for lane in self._lanes:
            dropped = lane.sink.describe().get("dropped")
            if isinstance(dropped, Mapping):
                lost.update(dropped)

        return {reason: items for reason, items in lost.items() if items}

    def wake(self) -> None:
        """Start pushing in this process; a forked child starts here."""
        for lane in self._lanes:
            lane.worker.wake()

    def hurry(self) -> None:
        """Have the threads that run push at once, and wait for none of them."""
        for lane in self._lanes:
            lane.ask()

    def flush(self, timeout_s: float) -> bool:
        """
        Push what is pending now, to all sinks at once.

        Each sink's own thread pushes, so that one that hangs takes nothing from the
        others. Where the threads don't run, the caller pushes: to one sink after
        another, each with an equal part of what is left.

        Args:
            timeout_s: The one budget that all sinks share.

        Returns:
            False if a sink could not send everything.
        """
        # Real time, whatever the injected clock says: a server waits for us.
        ends_s = time.monotonic() + timeout_s
        asked = [(lane, lane.ask()) for lane in self._lanes]
        here = [lane for lane, ticket in asked if not ticket]
        sent = True
        for index, lane in enumerate(here):
            left_s = max(0.0, ends_s - time.monotonic())
            sent &= lane.push(left_s / (len(here) - index))

        for lane, ticket in asked:
            if ticket:
                sent &= lane.wait_for(ticket, ends_s)

        return sent

    def close(self) -> None:
        """Push no more; what is pending was flushed before, or is given up."""
        for lane in self._lanes:
            lane.close()
