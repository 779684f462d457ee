"""Whose turn it is to write a long line to an output that several processes share."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from svcready._transport._output._nonblocking import ATOMIC_BYTES
from svcready._transport._output._page import Page
from svcready._transport._output._room import Room

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Turn"]

_FREE, _TAKEN, _BEGUN = range(3)
_STATE, _WANTED, _TICK = range(3)  # which byte of the page says what
_NOBODY = bytes(3)

_ROOM_WAIT_S = 1.0
_GRACE_S = 0.01
_YIELD_S = 0.005
_STUCK_S = 3.0  # longer than any wait for room
_MOST_BYTES = 256 * 1024
_SOCKET_BYTES = 32 * 1024  # what Linux puts into one buffer of a stream socket


class Turn:
    """
    Keeps long lines in one piece among processes that write to one pipe or socket.

    A pipe takes up to 4 096 bytes in one piece or not at all, so short lines need no
    order. Longer ones do, and three things give it:

    - A lock of the kernel's, `flock` on an own description of the pipe (so that
      forked siblings exclude each other too), lets one process at a time write a long
      line. It ends with its holder, killed or not.
    - A byte in memory that the processes share says that the lock is held. Whoever
      has a short line looks at it, which costs a few nanoseconds where a lock would
      double the price of the line, and leaves the line to his thread while it is set.
      One line per thread can still be on its way then: it is given 10 ms.
    - A write into a pipe that has room for all of it comes out in one piece, whoever
      else writes, because the kernel holds the pipe's mutex meanwhile. So a long line
      waits for room, up to a second, in a pipe that is enlarged for it. This protects
      it also from programs that know nothing of us. What can't fit is written in
      pieces, in turn.

    Whoever has the turn counts its steps on the page. If there are none for three
    seconds although the pipe takes data, that process is stopped (a debugger, a
    frozen container): the others then write what comes out in one piece anyway.

    Only one thread uses it at a time, but `page` may be read by any.

    Args:
        fd: The shared descriptor.
        monotonic: Seconds.
    """

    __slots__ = (
        "_fd",
        "_idle",
        "_lock_fd",
        "_looked_s",
        "_monotonic",
        "_page",
        "_passed",
        "_released_s",
        "_room",
        "_spent",
        "_taken_s",
        "find_run_dir",
        "held",
        "page",
        "torn",
    )

    page: bytes
    """Its first byte is not 0 while somebody writes a long line."""

    def __init__(
        self, fd: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._fd = fd
        self._monotonic = monotonic
        self.find_run_dir: Callable[[], Path | None] = _nowhere
        self._page: Page | None = None
        self._lock_fd: int | None = None
        self._forget()

    def _forget(self) -> None:
        self.page = _NOBODY
        self._room: Room | None = None
        self._spent = 0
        self._taken_s = 0.0
        self._released_s = float("-inf")
        self._idle = (-1, 0.0)
        self._looked_s = float("-inf")
        self._passed = -1
        self.held = False
        """It is this process's turn."""
        self.torn = False
        """Whoever had the turn before was killed within a line."""

    def join(self, *, is_pipe: bool, is_shared: bool) -> None:
        """Meet the others that write to the descriptor; never raises."""
        if not is_shared:
            return

        if is_pipe and hasattr(os, "sysconf"):
            self._room = Room(self._fd)

        if self._page is None:
            self._page = Page.open(self._fd, self.find_run_dir())
            if self._page is not None:
                self.page = self._page.memory  # type: ignore[assignment]

    def close(self) -> None:
        """
        Leave the others, as a child does before it joins them anew.

        The lock is not given back: if it was held, a parent holds it.
        """
        lock_fd, self._lock_fd = self._lock_fd, None
        page, self._page = self._page, None
        self._forget()
        if page is not None:
            page.close()

        if lock_fd is not None:
            os.close(lock_fd)

    def is_lonely(self) -> bool:
        """Tell whether there was no place to meet the others."""
        return self._page is None and self.find_run_dir is not _nowhere

    def take(self) -> bool:
        """Take the turn, if nobody has it."""
        if self.held:
            return True

        now_s = self._monotonic()
        if self.page[_WANTED] and now_s - self._released_s < _YIELD_S:
            return False  # we had it just now: whoever waits comes first

        lock_fd = self._find_lock()
        if lock_fd is not None:
            import fcntl

            try:
                fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._mark(_WANTED, 1)
                return False
            except OSError:  # no locks on this file system: as without one
                pass

        self.torn = self.page[_STATE] == _BEGUN
        self._step(_TAKEN)
        self._mark(_WANTED, 0)
        self.held = True
        self._taken_s = now_s
        self._spent = 0
        return True

    def allows(self, size: int) -> bool:
        """
        Tell whether *size* bytes may be written now; we must have the turn.

        Args:
            size: How many bytes the lines take.
        """
        if size <= ATOMIC_BYTES:
            return True

        has_room = None if self._room is None else self._room.has(size)
        if has_room:
            return True

        if self._room is None and size <= _SOCKET_BYTES:
            self._step(_BEGUN)
            return True

        had_for_s = self._monotonic() - self._taken_s
        if had_for_s < (_GRACE_S if has_room is None else _ROOM_WAIT_S):
            return False

        self._step(_BEGUN)
        return True

    def is_stuck(self, size: int, *, writable: bool) -> bool:
        """
        Tell whether *size* bytes may go out although another has the turn.

        Args:
            size: How many bytes the lines take.
            writable: The descriptor takes something now.
        """
        state, tick = self.page[_STATE], self.page[_TICK]
        now_s = self._monotonic()
        looked_s, self._looked_s = self._looked_s, now_s
        # A step that was seen long ago may have the same number.
        goes_on = tick != self._idle[0] or now_s - looked_s > _ROOM_WAIT_S
        if not writable or not state or goes_on:
            self._idle = (tick, now_s)
            return False

        whole = size <= ATOMIC_BYTES or (self._room and self._room.has(size))
        if not whole or now_s - self._idle[1] < _STUCK_S:
            return False

        if self._passed != tick:  # what is out of its line ends here, once
            self._passed, self.torn = tick, state == _BEGUN

        return True

    def step(self) -> None:
        """Note on the page that whoever has the turn goes on."""
        if self.held:
            self._step(self.page[_STATE])

    def lasts(self, size: int) -> bool:
        """Note that *size* bytes were written, and tell whether more may be."""
        self._spent += size
        self._step(_TAKEN)
        return self._spent < _MOST_BYTES

    def release(self) -> None:
        """Give the turn back, if we have it."""
        if not self.held:
            return

        self.held = False
        self._released_s = self._monotonic()
        self._mark(_STATE, _FREE)
        if self._lock_fd is not None:
            import fcntl

            try:
                fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
            except OSError:
                pass

    def _step(self, state: int) -> None:
        self._mark(_STATE, state)
        self._mark(_TICK, (self.page[_TICK] + 1) % 256)

    def _mark(self, index: int, value: int) -> None:
        if self._page is not None:
            self._page.memory[index] = value

    def _find_lock(self) -> int | None:
        if self._lock_fd is None:
            try:
                self._lock_fd = os.open(
                    f"/proc/self/fd/{self._fd}",
                    os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC,
                )
            except (OSError, AttributeError):  # a socket, another's pipe, no reader
                if self._page is not None:
                    self._lock_fd = os.dup(self._page.fd)

        return self._lock_fd


def _nowhere() -> Path | None:
    return None
