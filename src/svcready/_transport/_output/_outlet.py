"""One descriptor and the channels whose lines go there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from svcready._transport._output._flight import Flight
from svcready._transport._output._writer import PATIENCE_S, Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from svcready._transport._output._channel import Channel

__all__ = ["STDOUT", "Outlet"]


class Outlet(Writer):
    """
    One descriptor and the channels whose lines go there.

    Each channel has its own quota, and lines leave in the order in which they came,
    whichever channel they are of.
    """

    def meet_in(self, find_run_dir: Callable[[], Path | None]) -> None:
        """Ask *find_run_dir* where those meet that share the descriptor, if any do."""
        self._turn.find_run_dir = find_run_dir
        self.refresh()

    def refresh(self) -> None:
        """Look at the descriptor again, which may have been replaced."""
        with self.lock:
            self._outdated = True
            self._attempt.whole_bytes = 0  # so that who comes next looks

    def look_again(self) -> None:
        """Take note of a descriptor that was replaced; asked about once a second."""
        if self._attempt.is_replaced():
            self.refresh()

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
                self._refuse(Flight.of_one(line, channel, level), error)

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
                flight = self._flight = Flight.of_one(line, channel, level)
                try:
                    while not self._send(flight, may_block=True):
                        self.sender.wait(PATIENCE_S)
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
                if self._flight is None and not self.pressure.is_blocked:
                    self._help()

            self._call_thread()

        channel.say()

    def _help(self) -> None:
        """Write what is next on behalf of the thread, which computing ones starve."""
        flight = self._next() if self.sender.is_quick() else None
        if flight is not None:
            self._flight = flight
            self._send(flight, may_block=False)

    def _finish(self, channel: Channel, line: bytes, level: int, sent: int) -> None:
        """Leave to the thread what is left of *line*, before all that waits."""
        with self.lock:
            if self._flight is None:
                self._busy = True
                self._flight = Flight.of_one(line, channel, level, 0, sent)
                self._call_thread()
            else:
                channel.count("write_error", level)
                self.sender.tear()

        channel.say()

    def _try_now(self, channel: Channel, line: bytes, level: int) -> bool | None:
        """Write without waiting; None if nothing of it could be written."""
        self._busy = True  # for a signal handler that logs within
        self._look_again()
        flight = Flight.of_one(line, channel, level, self.draw())
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


STDOUT = Outlet(1)
"""The process's standard output."""
