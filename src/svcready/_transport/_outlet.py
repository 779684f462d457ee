"""One descriptor and the lines that wait for it."""

from __future__ import annotations

import threading
import time
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from svcready._core import fork
from svcready._transport._flight import Flight
from svcready._transport._pressure import Pressure
from svcready._transport._sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from svcready._transport._channel import Channel
    from svcready._transport._nonblocking import NonBlocking

__all__ = ["STDOUT", "Outlet"]

T = TypeVar("T")

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
        self._sender = Sender(fd, attempt)
        self._attempt = self._sender.attempt
        self._turn = self._sender.turn
        self._monotonic = monotonic
        self._reset()
        fork.reset_in_child(self._after_fork)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._numbers = count(1).__next__
        self._number = 0
        self._waiting: list[Channel] = []
        self._flight: Flight | None = None
        self._busy = False
        """Something waits or is being written: whoever comes waits behind it."""
        self._working = self._hurry = False
        self._thread: threading.Thread | None = None
        self._awaited: dict[int, bool | None] = {}
        self._pressure = Pressure(self._monotonic)

    def _after_fork(self) -> None:
        # What waits here is the parent's to write; the child starts with nothing.
        self._reset()
        self._sender.look_again()

    def draw(self) -> int:
        """Return the number of a line that comes to wait; under the lock."""
        self._number = self._numbers()
        return self._number

    def locked(self, call: Callable[[], T]) -> T:
        """Return what *call* returns under the lock; it must be quick."""
        with self._lock:
            return call()

    def meet_in(self, find_run_dir: Callable[[], Path | None]) -> None:
        """
        Say where the processes that share the descriptor meet.

        Args:
            find_run_dir: Called when the descriptor turns out to be shared.
        """
        with self._lock:
            self._turn.find_run_dir = find_run_dir
            self.refresh()

    def refresh(self) -> None:
        """Look at the descriptor again, which may have been replaced."""
        with self._lock:
            self._sender.look_again()

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
            with self._lock:
                self._refuse(((channel, level, 0),), error)

            channel.say()
        else:
            if sent != len(line):  # the disk is full, or almost
                self._finish(channel, line, level, sent)

    def queue(self, channel: Channel, line: bytes, level: int) -> None:
        """Leave *line* to the thread."""
        with self._lock:
            self._push(channel, line, level)
            self._call_thread()

        channel.say()

    def write_blocking(self, channel: Channel, line: bytes, level: int) -> None:
        """Write *line* now, however long that takes; after what waits already."""
        with self._lock:
            if self._busy:
                self._push(channel, line, level)
            else:
                self._busy = True
                self._flight = Flight(line, ((channel, level, 0),))
                try:
                    while self._flight is not None:
                        self._work_on(self._flight, _PATIENCE_S)
                finally:
                    self._settle()

            self._call_thread()

        channel.say()

    def put(self, channel: Channel, line: bytes, level: int, timeout_s: float) -> bool:
        """Write *line* now or have it wait; see `Channel.put`."""
        ends_s = time.monotonic() + timeout_s
        with self._lock:
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
                taken = self._await(self._number, ends_s)

            self._call_thread()

        channel.say()
        return taken

    def flush(self, timeout_s: float) -> bool:
        """
        Wait until everything that was queued is written.

        Returns:
            False if something was left after *timeout_s* seconds.
        """
        ends_s = time.monotonic() + timeout_s
        with self._lock:
            if self._pressure:
                self._hurry = self._busy = True

            while self._busy:
                if not self._wait_for_change(ends_s - time.monotonic()):
                    return False

        return True

    def abandon(self, channel: Channel) -> None:
        """Drop what waits of *channel*."""
        with self._lock:
            for level, lines in channel.backlog.levels().items():
                channel.count("deadline", level, lines)

            channel.backlog.clear()
            if channel in self._waiting:
                self._waiting.remove(channel)

            if self._flight is not None:
                for level in self._flight.give_up(channel):
                    channel.count("deadline", level)

            self._pressure.forget(channel)
            self._changed.notify_all()

    def has_dropped(self, channel: Channel) -> None:
        """Note that lines of *channel* were dropped; under the lock."""
        self._pressure.press(channel)

    def _write_in_order(self, channel: Channel, line: bytes, level: int) -> None:
        with self._lock:
            if self._busy or self._try_now(channel, line, level) is None:
                self._push(channel, line, level)

            self._call_thread()

        channel.say()

    def _finish(self, channel: Channel, line: bytes, level: int, sent: int) -> None:
        """Leave to the thread what is left of *line*, before all that waits."""
        with self._lock:
            if self._flight is None:
                self._busy = True
                self._flight = Flight(line, ((channel, level, 0),), sent)
                self._call_thread()
            else:
                channel.count("write_error", level)

        channel.say()

    def _push(self, channel: Channel, line: bytes, level: int) -> None:
        self._busy = True
        if channel not in self._waiting:
            self._waiting.append(channel)

        channel.push(line, level)

    def _try_now(self, channel: Channel, line: bytes, level: int) -> bool | None:
        """Write without waiting; None if nothing of it could be written."""
        self._busy = True  # for a signal handler that logs within
        flight = Flight(line, ((channel, level, self.draw()),))
        try:
            self._sender.send(flight)
        except BlockingIOError:
            self._pressure.blocked()
            if not flight.sent:
                self._turn.release()
                return None

            self._flight = flight  # begun is accepted: the thread ends it
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            self._refuse(flight.lines, error)
            self._turn.release()
            return False
        else:
            self._turn.release()
        finally:
            self._settle()

        return True

    def _await(self, number: int, ends_s: float) -> bool:
        """Wait until the line *number* is written; False only if it was refused."""
        self._awaited[number] = None
        try:
            while self._awaited[number] is None:
                if not self._wait_for_change(ends_s - time.monotonic()):
                    break

            return self._awaited[number] is not False
        finally:
            del self._awaited[number]

    def _wait_for_change(self, left_s: float) -> bool:
        """Let go of the lock until something is written; False if the time is up."""
        self._call_thread()
        if left_s <= 0:
            return False

        if self._thread is not None or self._working:
            self._changed.wait(min(left_s, _PATIENCE_S))
            return True

        # No thread can start, as at interpreter exit: the caller does its work.
        self._work(left_s)
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
            with self._lock:
                while not self._busy:
                    self._changed.wait(_PATIENCE_S if self._pressure else None)
                    self._busy |= bool(self._pressure)

            self._work(_PATIENCE_S)

    def _work(self, most_s: float) -> None:
        """Write what is next, or wait for it to be possible."""
        with self._lock:
            flight = self._flight = self._flight or self._take()
            told = []
            if self._pressure:
                told = self._pressure.due(empty=flight is None, hurry=self._hurry)

            if flight is None and not told:
                self._settle()
                return

        for channel, recovered in told:  # a line of it waits behind what waits
            channel.tell(recovered)

        if flight is not None:
            self._work_on(flight, most_s)

    def _work_on(self, flight: Flight, most_s: float) -> None:
        try:
            self._sender.send(flight, may_block=True)
        except BlockingIOError:
            with self._lock:
                self._pressure.blocked()

            self._sender.wait(most_s)
            return
        except Exception as error:  # noqa: BLE001 - the thread must go on
            with self._lock:
                self._refuse(flight.lines, error)
                self._turn.release()
        else:
            with self._lock:
                self._pressure.landed()
                self._answer(flight.lines, written=True)
                self._sender.landed(len(flight.data), more=bool(self._waiting))

        with self._lock:
            self._flight = None
            self._settle()
            self._changed.notify_all()  # there may be room for who waits for it

        for channel in {entry[0] for entry in flight.lines}:
            channel.say()

    def _take(self) -> Flight | None:
        """Take from what waits as much as is written at once; under the lock."""
        lines: list[tuple[Channel, int, int]] = []
        parts: list[bytes] = []
        left = self._sender.batch_bytes()
        waiting = self._waiting
        while waiting:
            channel = waiting[0]
            if len(waiting) > 1:
                channel = min(waiting, key=lambda each: each.backlog.first())

            number, size = channel.backlog.first()
            left -= size
            if left < 0 and parts:
                break

            level, line = channel.backlog.pop()
            lines.append((channel, level, number))
            parts.append(line)
            if not channel.backlog.lines:
                waiting.remove(channel)

        return Flight(b"".join(parts), lines) if parts else None

    def _refuse(
        self, lines: Iterable[tuple[Channel, int, int]], error: Exception
    ) -> None:
        """Count lines that the descriptor refused; under the lock."""
        self._pressure.refused = True
        for channel, level, _ in lines:
            channel.count_refused(error, level)

        self._answer(lines, written=False)

    def _answer(
        self, lines: Iterable[tuple[Channel, int, int]], *, written: bool
    ) -> None:
        if self._awaited:
            for _, _, number in lines:
                if number in self._awaited:
                    self._awaited[number] = written

    def _settle(self) -> None:
        if self._flight is None and not self._waiting:
            self._busy = self._hurry = False
            self._changed.notify_all()


STDOUT = Outlet(1)
"""The process's standard output."""
