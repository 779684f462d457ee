"""One descriptor and the lines that wait for it."""

from __future__ import annotations

import threading
import time
from itertools import count
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._transport._awaited import Awaited
from svcready._transport._flight import Flight
from svcready._transport._pressure import Pressure
from svcready._transport._queue import Queue
from svcready._transport._sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from svcready._transport._channel import Channel
    from svcready._transport._nonblocking import NonBlocking

__all__ = ["STDOUT", "Outlet"]

_PATIENCE_S = 1.0


class Outlet:
    """
    One descriptor and the lines that wait for it.

    Channels share it: each has its own quota, and lines leave in the order in which
    they came, whichever channel they are of. The lock is held for bookkeeping and for
    writes that can't block; a write that can is done by the one thread that empties
    the queues, or by a caller that asked for it (`write_blocking`). It is re-entrant
    because a signal handler may log while the code that it interrupted does.

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

    def meet_in(self, find_run_dir: Callable[[], Path | None]) -> None:
        """Ask *find_run_dir* where those meet that share the descriptor, if any do."""
        self._turn.find_run_dir = find_run_dir
        self.refresh()

    def refresh(self) -> None:
        """Look at the descriptor again, which may have been replaced."""
        with self.lock:
            self._outdated = True
            self._attempt.whole_bytes = 0  # so that who comes next looks

    def write_or_queue(self, channel: Channel, line: bytes, level: int) -> None:
        """Write *line* at once if nothing waits and nothing blocks, else queue it."""
        # No lock: the kernel takes all of such a line or nothing, and the lines of one
        # thread stay in order, because it sees what it has queued itself.
        attempt = self._attempt
        if self._busy or self._turn.page[0] or len(line) > attempt.whole_bytes:
            self._write_in_order(channel, line, level)
            return

        try:
            sent = attempt.write(line)
        except BlockingIOError:
            self.queue(channel, line, level)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            with self.lock:
                self._refuse(Flight(line, ((channel, level, 0),)), error)

            channel.say()
        else:
            if sent != len(line):  # the disk is full, or almost
                self._finish(channel, line, level, sent)

    def queue(self, channel: Channel, line: bytes, level: int) -> None:
        """Leave *line* to the thread."""
        with self.lock:
            self._push(channel, line, level)
            self._call_thread()

        channel.say()

    def write_blocking(self, channel: Channel, line: bytes, level: int) -> None:
        """Write *line* now, however long that takes; after what waits already."""
        with self.lock:
            if self._busy:
                self._push(channel, line, level)
            else:
                self._busy = True
                self._flight = Flight(line, ((channel, level, 0),))
                try:
                    while self._flight is not None:
                        self._work_on(self._flight, _PATIENCE_S, may_block=True)
                finally:
                    self._settle()

            self._call_thread()

        channel.say()

    def put(self, channel: Channel, line: bytes, level: int, timeout_s: float) -> bool:
        """Do what `Channel.put` says."""
        ends_s = time.monotonic() + timeout_s
        with self.lock:
            taken = None if self._busy else self._try_now(channel, line, level)
            waits = taken is True and self._flight is not None
            while taken is None:
                if channel.fits(line):
                    self._push(channel, line, level)
                    taken = waits = True
                elif not self._wait_for_change(ends_s - time.monotonic()):
                    channel.count("queue_full", level)
                    taken = False

            if waits:
                taken = self._awaited.wait(
                    self._number,
                    lambda: self._wait_for_change(ends_s - time.monotonic()),
                )

            self._call_thread()

        channel.say()
        return taken

    def flush(self, timeout_s: float) -> bool:
        """Wait for what is queued; False if some was left after *timeout_s* s."""
        ends_s = time.monotonic() + timeout_s
        with self.lock:
            if self.pressure:
                self._hurry = self._busy = True

            while self._busy:
                if not self._wait_for_change(ends_s - time.monotonic()):
                    return False

        return True

    def abandon(self, channel: Channel) -> None:
        """Drop what waits of *channel*."""
        with self.lock:
            channel.give_up(self._flight)
            self._queue.remove(channel)
            self.pressure.forget(channel)
            self._changed.notify_all()

    def _write_in_order(self, channel: Channel, line: bytes, level: int) -> None:
        with self.lock:
            if self._busy or self._try_now(channel, line, level) is None:
                self._push(channel, line, level)

            self._call_thread()

        channel.say()

    def _finish(self, channel: Channel, line: bytes, level: int, sent: int) -> None:
        """Leave to the thread what is left of *line*, before all that waits."""
        with self.lock:
            if self._flight is None:
                self._busy = True
                self._flight = Flight(line, ((channel, level, 0),), sent)
                self._call_thread()
            else:
                channel.count("write_error", level)

        channel.say()

    def _push(self, channel: Channel, line: bytes, level: int) -> None:
        self._queue.push(channel, line, level)
        self._busy |= bool(self._queue)

    def _try_now(self, channel: Channel, line: bytes, level: int) -> bool | None:
        """Write without waiting; None if nothing of it could be written."""
        self._busy = True  # for a signal handler that logs within
        self._look_again()
        flight = Flight(line, ((channel, level, self.draw()),))
        try:
            self.sender.send(flight)
        except BlockingIOError:
            self.pressure.blocked()
            if not flight.sent:
                self._turn.release()
                return None

            self._flight = flight  # begun is accepted: the thread ends it
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            self._refuse(flight, error)
            self._turn.release()
            return False
        else:
            self.pressure.landed()
            self._turn.release()
        finally:
            self._settle()

        return True

    def _wait_for_change(self, left_s: float) -> bool:
        """Let go of the lock until something is written; False if the time is up."""
        self._call_thread()
        if left_s <= 0:
            return False

        if self._thread is not None:
            self._changed.wait(min(left_s, _PATIENCE_S))
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
                    self._changed.wait(_PATIENCE_S if self.pressure else None)
                    self._busy |= bool(self.pressure)

            self._work(_PATIENCE_S, may_block=True)

    def _work(self, most_s: float, *, may_block: bool) -> None:
        """Write what is next, or wait for it to be possible."""
        with self.lock:
            flight = self._flight = self._flight or self._next()
            told = []
            if self.pressure:
                told = self.pressure.due(empty=flight is None, hurry=self._hurry)

            if flight is None and not told:
                self._settle()
                return

        for channel, recovered in told:  # a line of it waits behind what waits
            channel.tell(recovered)

        if flight is not None:
            self._work_on(flight, most_s, may_block=may_block)

    def _next(self) -> Flight | None:
        self._look_again()
        return self._queue.take(self.sender.batch_bytes())

    def _look_again(self) -> None:
        if self._outdated:
            self._outdated = False
            self.sender.look_again()

    def _work_on(self, flight: Flight, most_s: float, *, may_block: bool) -> None:
        try:
            self.sender.send(flight, may_block=may_block)
        except BlockingIOError:
            with self.lock:
                self.pressure.blocked()

            self.sender.wait(most_s)
            return
        except Exception as error:  # noqa: BLE001 - the thread must go on
            with self.lock:
                self._refuse(flight, error)
                self._turn.release()
        else:
            with self.lock:
                self.pressure.landed()
                self._awaited.answer(flight, written=True)
                self.sender.landed(len(flight.data), more=bool(self._queue))

        with self.lock:
            self._flight = None
            if not self.pressure:  # else there may be a summary to write
                self._settle()

            self._changed.notify_all()  # there may be room for who waits for it

        for channel in {entry[0] for entry in flight.lines}:
            channel.say()

    def _refuse(self, flight: Flight, error: Exception) -> None:
        """Count lines that the descriptor refused; under the lock."""
        self.pressure.refused = True
        for channel, level, _ in flight.lines:
            channel.count_refused(error, level)

        self._awaited.answer(flight, written=False)

    def _settle(self) -> None:
        if self._flight is None and not self._queue:
            self._busy = self._hurry = False
            self._changed.notify_all()


STDOUT = Outlet(1)
"""The process's standard output."""
