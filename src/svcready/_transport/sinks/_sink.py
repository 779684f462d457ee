"""Lines on their way to one destination: bounded, by a thread that never gives up."""

from __future__ import annotations

import random
import threading
import time
from contextlib import nullcontext
from threading import get_ident
from typing import TYPE_CHECKING

from svcready._core import events, fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.guard import guard, report_fault
from svcready._transport._output._drops import Drops
from svcready._transport.sinks._delivering import delivering
from svcready._transport.sinks._destination import Outcome, Quota
from svcready._transport.sinks._outage import Outage
from svcready._transport.sinks._waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready._transport.sinks._destination import Destination, Entry

__all__ = ["Sink"]

_WARNING = 30
_HURRIED_TRIES = 3
_A_MOMENT_S = 0.05


class Sink:
    """
    Takes lines to one destination without ever making their writer wait.

    A daemon thread, started by the first line and again after a fork, delivers them.
    When that fails they stay, within the quota, and are tried again after growing
    waits with full jitter; `DestinationFailed` and `DestinationRecovered` are
    published once per outage. What is given up is counted by reason and published as
    `ItemsDropped`, at most once a second.

    What is logged by the delivery (an AWS client's own lines) is not fed back.

    Args:
        component: Whose lines they are, for the drop counts: `logging.file`.
        destination: Where they go.
        quota: How much may wait, besides the one batch that is on its way.
        keep: When that is full, refuse the newest line rather than give up older
            ones by their level.
        clock: Stamps the lines.
        quiet: Makes a context in which the delivery's own calls are not traced.
        uniform: Draws the jitter of waits between two bounds.
    """

    def __init__(
        self,
        component: str,
        destination: Destination,
        *,
        quota: Quota = Quota(),  # noqa: B008 - a frozen value
        keep: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        quiet: Callable[[], AbstractContextManager[object]] = nullcontext,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.component = component
        self.destination = destination
        self.aside: Callable[[bytes, int], None] | None = None
        """Takes what else nobody would see, from WARNING on: the delivery's own."""
        self._quota = quota
        self._keep = keep
        self._time_ns = clock.time_ns
        self._quiet = quiet
        self._uniform = uniform
        self._closed = False
        self._reset()
        fork.reset_in_child(self._after_fork)

    def _reset(self) -> None:
        # Re-entrant: a signal handler may log while the code that it interrupted does.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._waiting = Waiting(self._quota, self.destination)
        self._thread: threading.Thread | None = None
        self._ident = 0
        self._sleeps = self._tells = False
        self._due_s: float | None = None
        self._retry_at_s = 0.0
        self._hurry_until_s = float("-inf")
        self._tries_left = self._flushes = 0
        self._drops = Drops(self.component)
        self._outage = Outage(self.component, self.destination.name, self._uniform)

    def _after_fork(self) -> None:
        # What waits here is the parent's to deliver; the child starts with nothing.
        self._reset()
        self.destination.forget()

    def __call__(self, line: bytes, level: int, /) -> None:
        """Take *line*, which ends in a newline; never raises and never waits."""
        own = get_ident() == self._ident
        if (own or self._closed) and level >= _WARNING and self.aside is not None:
            self.aside(line, level)

        if own and not self._tells:
            return

        try:
            with self._lock:
                self._take(line, level, keep=self._keep)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault(self.component, error)

        if self._drops.unsaid:
            self._say()

    def put(self, line: bytes, level: int, timeout_s: float) -> bool:
        """
        Take *line*, waiting for room if there is none; never raises.

        Args:
            line: The line with its newline.
            level: Its level.
            timeout_s: How long to wait, in seconds; 0 not at all.

        Returns:
            True if it was taken, and then with `keep` only a deadline at the end or
            the destination can still refuse it; False is counted as dropped.
        """
        if get_ident() == self._ident:
            return False

        ends_s = time.monotonic() + timeout_s
        with self._changed:
            while not self._closed and not self._waiting.has_room(line):
                left_s = ends_s - time.monotonic()
                if left_s <= 0:
                    break

                self._changed.wait(left_s)

            taken = self._take(line, level, keep=True)

        if self._drops.unsaid:
            self._say()

        return taken

    def hurry(self, timeout_s: float) -> None:
        """Have the thread deliver at once for *timeout_s* seconds; does not wait."""
        with self._changed:
            now_s = time.monotonic()
            self._hurry_until_s = max(self._hurry_until_s, now_s + timeout_s)
            self._retry_at_s = now_s
            self._tries_left = _HURRIED_TRIES
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """
        Wait until all is delivered; False if something is left, which stays.

        Once a destination that fails has failed another three times, no more.
        """
        if get_ident() == self._ident:
            return False

        ends_s = time.monotonic() + timeout_s
        with self._changed:
            self.hurry(timeout_s)
            self._flushes += 1

        while True:
            with self._changed:
                left_s = ends_s - time.monotonic()
                if not self._waiting or left_s <= 0 or self._tries_left <= 0:
                    break

                if self._is_alive():
                    self._changed.wait(left_s)
                    continue

                due_s = self._due(time.monotonic())  # None: another caller delivers
                wait_s = _A_MOMENT_S if due_s is None else due_s - time.monotonic()
                if wait_s > 0:
                    self._changed.wait(min(left_s, wait_s))
                    continue

                batch = self._next_batch()

            self._deliver(batch, ends_s)

        with self._changed:
            self._flushes -= 1
            if not self._flushes:
                self._hurry_until_s = float("-inf")

        self._say(now=True)
        return not self._waiting

    def close(self, timeout_s: float) -> bool:
        """Flush, count as dropped what is left, and end the thread."""
        done = self.flush(timeout_s)
        with self._changed:
            self._closed = True
            # What is on its way has not arrived.
            self._drops.count("deadline", 0, lost := self._waiting.clear())
            self._changed.notify_all()
            alone = not self._is_alive()

        self._say(now=True)
        if lost:
            of, reason = self.destination.name, f"{lost} lines are lost at the end"
            events.publish(events.DestinationFailed(self.component, of, reason))

        if alone:
            self._close_destination()

        return done

    @property
    def dropped(self) -> dict[str, int]:
        """How many lines this process dropped for which reason."""
        with self._lock:
            return self._drops.by_reason()

    def _take(self, line: bytes, level: int, *, keep: bool) -> bool:
        if self._closed or (keep and not self._waiting.has_room(line)):
            self._drops.count("closed" if self._closed else "queue_full", 0)
            return False

        lost = self._waiting.push(line, level, self._time_ns() // 1_000_000)
        if lost:
            self._drops.count("queue_full", 0, lost)

        if self._thread is None:
            self._start()
        elif self._sleeps and (self._due_s is None or self._waiting.makes_a_batch):
            self._sleeps = False
            self._changed.notify_all()

        return True

    def _is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _start(self) -> None:
        name = f"svcready-{self.component}"
        thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # none start any more at interpreter exit; flush delivers
            self._thread = None

    def _run(self) -> None:
        while True:
            with self._changed:
                batch = self._wait_for_batch()

            if not batch:
                break

            self._deliver(batch, float("inf"))

        self._close_destination()

    def _wait_for_batch(self) -> list[Entry]:
        while not self._closed:
            now_s = time.monotonic()
            due_s = self._due(now_s)
            if due_s is not None and due_s <= now_s:
                return self._next_batch()

            self._sleeps = True
            self._changed.wait(None if due_s is None else due_s - now_s)
            self._sleeps = False

        return []

    def _due(self, now_s: float) -> float | None:
        """Return when the next batch is to go; None if there is nothing to go."""
        if self._waiting.held:
            self._due_s = self._retry_at_s
        elif self._waiting.empty:
            self._due_s = None
        elif self._waiting.makes_a_batch or now_s < self._hurry_until_s:
            self._due_s = now_s
        elif self._due_s is None:
            self._due_s = now_s + self.destination.linger_s

        return self._due_s

    def _next_batch(self) -> list[Entry]:
        self._due_s = None
        batch = self._waiting.take_batch()
        self._changed.notify_all()  # there is room again
        return batch

    def _deliver(self, batch: list[Entry], deadline_s: float) -> None:
        self._ident = get_ident()
        try:
            with delivering(), self._quiet():
                outcome = self.destination.deliver(batch, deadline_s)
        except Exception as error:  # noqa: BLE001 - the same lines would fail again
            report_fault(self.component, error)
            outcome = Outcome(lost=(("internal_error", len(batch)),))

        self._tells = True  # of an outage, once: that comes here as well
        for event in self._settle(outcome):
            events.publish(event)

        self._tells = False
        self._ident = 0
        self._say()

    def _settle(self, outcome: Outcome) -> list[object]:
        """Note what became of a batch, and return what is to be published of it."""
        with self._changed:
            if self._closed:  # its lines have been counted as lost already
                return []

            self._waiting.settle(list(outcome.left))
            for reason, lines in outcome.lost:
                self._drops.count(reason, 0, lines)

            now_s = time.monotonic()
            news = self._outage.judge(outcome, now_s, self._drops.total)
            if outcome.fault:
                self._tries_left -= 1
                hurried = now_s < self._hurry_until_s
                self._retry_at_s = now_s + self._outage.wait_s(hurried=hurried)

            self._changed.notify_all()
            return news

    def _close_destination(self) -> None:
        with guard(self.component):
            self.destination.close()

    def _say(self, *, now: bool = False) -> None:
        with self._lock:
            unsaid = self._drops.take_unsaid(now=now)

        self._drops.publish(unsaid)
