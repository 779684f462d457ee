"""What waits for one descriptor, and who writes it."""

from __future__ import annotations

import threading
import time
from itertools import count
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready._transport._output._awaited import Awaited
from svcready._transport._output._pressure import Pressure
from svcready._transport._output._queue import Queue
from svcready._transport._output._sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._transport._output._channel import Channel
    from svcready._transport._output._drops import Recovered
    from svcready._transport._output._flight import Flight
    from svcready._transport._output._nonblocking import NonBlocking

__all__ = ["PATIENCE_S", "Writer"]

PATIENCE_S = 1.0
"""For how many seconds nothing looks again by itself."""


class Writer:
    """
    Writes what waits for one descriptor, on a thread of its own or a caller's.

    The lock is held for bookkeeping and for writes that can't block; a write that can
    is done outside it. It is re-entrant because a signal handler may log while the
    code that it interrupted does.

    Args:
        fd: The descriptor.
        attempt: How to write without blocking.
        monotonic: Seconds, for how long the descriptor was blocked.
    """

    def __init__(
        self,
        fd: int,
        attempt: NonBlocking | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sender = Sender(fd, attempt)
        self._attempt = self.sender.attempt
        self._turn = self.sender.turn
        self._monotonic = monotonic
        self._reset()
        fork.reset_in_child(self._after_fork)

    def _reset(self) -> None:
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self._numbers = count(1).__next__
        self._number = 0
        self._queue = Queue()
        self._flight: Flight | None = None
        self._busy = False
        """Something waits or is being written: whoever comes waits behind it."""
        self._hurry = self._outdated = False
        self._thread: threading.Thread | None = None
        self._awaited = Awaited()
        self.pressure = Pressure(self._monotonic)

    def _after_fork(self) -> None:
        # What waits here is the parent's to write; the child starts with nothing.
        self._reset()
        self.sender.look_again()

    def draw(self) -> int:
        """Return the number of a line that comes to wait; under the lock."""
        self._number = self._numbers()
        return self._number

    def _next(self) -> Flight | None:
        self._look_again()
        return self._queue.take(self.sender.batch_bytes())

    def _look_again(self) -> None:
        if self._outdated:
            self._outdated = False
            self.sender.look_again()

    def _push(self, channel: Channel, line: bytes, level: int) -> None:
        self._queue.push(channel, line, level)
        self._busy |= bool(self._queue)

    def _wait_for_change(self, left_s: float) -> bool:
        """Let go of the lock until something is written; False if the time is up."""
        self._call_thread()
        if left_s <= 0:
            return False

        if self._thread is not None:
            self._changed.wait(min(left_s, PATIENCE_S))
            return True

        # No thread can start, as at interpreter exit: the caller does its work.
        self._work(left_s, may_block=False)
        return True

    def _call_thread(self) -> None:
        """Have the thread look, which is made if need be; under the lock."""
        if not self._busy:
            return

        self._changed.notify_all()
        if self._thread is not None:
            return

        thread = threading.Thread(target=self._run, name="svcready-stdout", daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # none start any more at interpreter exit
            self._thread = None

    def _run(self) -> None:
        while True:
            with self.lock:
                while not self._busy:
                    self._changed.wait(PATIENCE_S if self.pressure else None)
                    self._busy |= bool(self.pressure)

            try:
                self._work(PATIENCE_S, may_block=True)
            except Exception as error:  # noqa: BLE001 - without it nothing is written
                report_fault("transport.stdout", error)
                time.sleep(PATIENCE_S)

    def _work(self, most_s: float, *, may_block: bool) -> None:
        """Write what is next, or wait for it to be possible."""
        told: list[tuple[Channel, Recovered]] = []
        done = quick = False
        with self.lock:
            flight = self._flight = self._flight or self._next()
            if self.pressure:
                told = self.pressure.due(empty=flight is None, hurry=self._hurry)

            if flight is None and not told:
                self._settle()
            elif flight is not None and self.sender.is_quick():
                # Who brings lines waits for the lock meanwhile, and so leaves the
                # interpreter to us: else threads that compute would starve us of it.
                quick, done = True, self._send(flight, may_block=False)

        for channel, recovered in told:  # a line of it waits behind what waits
            channel.tell(recovered)

        if flight is not None:
            if not quick:
                done = self._send(flight, may_block=may_block)

            self._end(flight, most_s, done=done)

    def _send(self, flight: Flight, *, may_block: bool) -> bool:
        """Write *flight*; False if it would have to wait."""
        try:
            self.sender.send(flight, may_block=may_block)
        except BlockingIOError:
            with self.lock:
                self.pressure.blocked()

            return False
        except Exception as error:  # noqa: BLE001 - the thread must go on
            with self.lock:
                self._refuse(flight, error)
                self._turn.release()
                self._land()
        else:
            with self.lock:
                self.pressure.landed()
                self._awaited.answer(flight)
                self.sender.landed(len(flight.data), more=bool(self._queue))
                self._land()

        return True

    def _land(self) -> None:
        self._flight = None
        if not self.pressure:  # else there may be a summary to write
            self._settle()

        self._changed.notify_all()  # there may be room for who waits for it

    def _end(self, flight: Flight, most_s: float, *, done: bool) -> None:
        if not done:
            self.sender.wait(most_s)
            return

        for channel in {entry[0] for entry in flight.lines}:
            channel.say()

    def _refuse(self, flight: Flight, error: Exception) -> None:
        """Count lines that the descriptor refused; under the lock."""
        self.pressure.refused = True
        for channel, level in flight.left():
            channel.count_refused(error, level)

        if flight.is_within_line():
            self.sender.tear()

        self._awaited.answer(flight)

    def _settle(self) -> None:
        if self._flight is None and not self._queue:
            self._busy = self._hurry = False
            self._changed.notify_all()
