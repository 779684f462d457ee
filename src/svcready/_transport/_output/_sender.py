"""Writing lines to a descriptor that others share, so that none tears another."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING

from svcready._transport._output._nonblocking import ATOMIC_BYTES, NonBlocking
from svcready._transport._output._turn import Turn

if TYPE_CHECKING:
    from svcready._transport._output._flight import Flight

__all__ = ["Sender"]

_SHORTEST_WAIT_S = 0.002
_LONGEST_WAIT_S = 0.05
_POLL_S = 0.2


class Sender:
    """
    Writes what is in flight as far as that needs no waiting, and waits when told to.

    One piece of data is sent at a time.

    Args:
        fd: The descriptor.
        attempt: How to write without blocking.
    """

    def __init__(self, fd: int, attempt: NonBlocking | None = None) -> None:
        self._fd = fd
        self.attempt = attempt or NonBlocking(fd)
        self.turn = Turn(fd)
        self._pause_s = 0.0
        self._torn = False
        self._whole_bytes = 0

    def look_again(self) -> None:
        """Look at the descriptor again at the next write, as a child must."""
        self.attempt.choose()
        self.turn.close()
        self._pause_s = 0.0
        self._torn = False

    def tear(self) -> None:
        """Note that a line was given up half-written: the next must not go on in it."""
        if not self._torn:
            self._torn = True
            # Nobody writes past us until that line is ended.
            self._whole_bytes, self.attempt.whole_bytes = self.attempt.whole_bytes, 0

    def look(self) -> None:
        """
        Look at the descriptor, unless that was done.

        Raises:
            OSError: It is closed.
        """
        attempt = self.attempt
        if not attempt.looked:
            attempt.look()
            self.turn.join(is_pipe=attempt.is_pipe, is_shared=attempt.is_shared)

    def is_torn_by_others(self) -> bool:
        """Tell whether our processes' lines may stand within a long one."""
        return self.attempt.is_shared and self.turn.is_lonely()

    def is_quick(self) -> bool:
        """Tell whether `send` surely waits for nothing."""
        return self.attempt.is_shared and not self.attempt.never

    def batch_bytes(self) -> int:
        """Return how much may be written together."""
        return ATOMIC_BYTES if self.attempt.is_shared else 16 * ATOMIC_BYTES

    def send(self, flight: Flight, *, may_block: bool = False) -> None:
        """
        Write all of *flight* that can be written now.

        Args:
            flight: The lines; what is out of them is noted there.
            may_block: Wait for a descriptor that can't be written to without.

        Raises:
            BlockingIOError: Something is left.
            OSError: The descriptor refused.
        """
        attempt = self.attempt
        self.look()
        if attempt.is_shared and not flight.sent:
            self._ask(flight)

        write = attempt.write
        if attempt.never and may_block:
            write = self._write_blocking

        if self._torn and not flight.sent:
            write(b"\n")
            self._torn = False
            attempt.whole_bytes = self._whole_bytes

        size = len(flight.data)
        while flight.sent < size:
            flight.sent += write(flight.rest())
            self.turn.step()

        self._pause_s = 0.0

    def wait(self, most_s: float) -> None:
        """Wait until trying again may help, but at most *most_s* seconds."""
        if self._pause_s or self.attempt.never or not hasattr(select, "poll"):
            time.sleep(min(self._pause_s or _LONGEST_WAIT_S, most_s))
        else:
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            poll.poll(min(_POLL_S, most_s) * 1000)

    def landed(self, size: int, *, more: bool) -> None:
        """Give the turn back, unless *more* may go out in it."""
        if self.turn.held and not (more and self.turn.lasts(size)):
            self.turn.release()

    def _ask(self, flight: Flight) -> None:
        """Wait in line for as long as somebody writes a long line."""
        turn = self.turn
        if turn.held:
            allowed = turn.allows(len(flight.data))
        elif len(flight.data) > ATOMIC_BYTES:
            allowed = turn.take() and turn.allows(len(flight.data))
        else:
            allowed = not turn.page[0] or turn.take()

        if not allowed and not turn.held:
            allowed = turn.is_stuck(len(flight.data), writable=self._is_writable())

        if not allowed:
            self._pause_s = min(_LONGEST_WAIT_S, 2 * self._pause_s or _SHORTEST_WAIT_S)
            raise BlockingIOError

        self._pause_s = 0.0
        if turn.torn:  # its writer was killed: what is left of it ends here
            self.attempt.write(b"\n")
            turn.torn = False

    def _is_writable(self) -> bool:
        if not hasattr(select, "poll"):
            return False

        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(0))

    def _write_blocking(self, data: bytes | memoryview) -> int:
        return os.write(self._fd, data[:ATOMIC_BYTES])
