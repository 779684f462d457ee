"""The only writer of file descriptor 1: whole lines, one after another."""

from __future__ import annotations

import errno
import os
import stat
import time
from functools import partial
from typing import TYPE_CHECKING

from svcready._core import events
from svcready._core.guard import report_fault
from svcready._transport._outlet import Outlet

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

__all__ = ["STDOUT", "Channel", "columns", "is_stream", "is_terminal", "write"]

_STDOUT_FD = 1
_REPORT_EVERY_S = 1.0


class Channel:
    """
    The lines of one component on their way to an outlet, with its own quota.

    `write` never raises. What can't be written is counted and published as
    `ItemsDropped`, at most once a second.

    Args:
        component: Whose lines they are, for the drop counts.
        outlet: Where they go.
        delivery: `hybrid`: the caller writes unless that would block, then a thread
            does; `async`: always the thread; `sync`: always the caller, blocking.
        max_bytes: Most bytes that wait.
        max_lines: Most lines that wait; beyond either the oldest are dropped.
    """

    write: Callable[[bytes, int], None]
    """Bring a line, which ends in a newline, on its way, by its level; never raises."""

    def __init__(
        self,
        component: str,
        outlet: Outlet | None = None,
        *,
        delivery: str = "hybrid",
        max_bytes: int = 8 * 1024**2,
        max_lines: int = 10_000,
    ) -> None:
        self._component = component
        self._outlet = STDOUT if outlet is None else outlet
        self._max_bytes = max_bytes
        self._max_lines = max_lines
        self.queued_bytes = 0
        self.queued_lines = 0
        self.dropped: dict[str, int] = {}
        """How many lines were dropped for which reason, in this process."""
        self._unsaid: dict[str, int] = {}
        self._said_s = float("-inf")
        self.write = partial(
            {
                "hybrid": self._outlet.write_or_queue,
                "async": self._outlet.queue,
                "sync": self._outlet.write_blocking,
            }[delivery],
            self,
        )

    def flush(self, timeout_s: float) -> bool:
        """Wait for what is queued; False if some was left after *timeout_s* s."""
        done = self._outlet.flush(timeout_s)
        self.say(now=True)
        return done

    def close(self, timeout_s: float) -> bool:
        """Flush, and count as dropped what was left after *timeout_s* seconds."""
        done = self.flush(timeout_s)
        if not done:
            self._outlet.abandon(self)
            self.say(now=True)

        return done

    def push(
        self, queue: deque[tuple[Channel, bytes]], line: bytes, _level: int
    ) -> None:
        """Queue *line* and drop our oldest ones beyond the quota; under the lock."""
        queue.append((self, line))
        self.queued_bytes += len(line)
        self.queued_lines += 1
        while (
            self.queued_bytes > self._max_bytes or self.queued_lines > self._max_lines
        ) and self.queued_lines > 1:
            for index, (channel, oldest) in enumerate(queue):
                if channel is self:
                    del queue[index]
                    self.taken(oldest)
                    self._count("queue_full", 1)
                    break

    def taken(self, line: bytes) -> None:
        """Note that *line* has left the queue; under the lock."""
        self.queued_bytes -= len(line)
        self.queued_lines -= 1

    def give_up(self, in_flight: int) -> None:
        """Count what waits and what is being written as dropped; under the lock."""
        lines = self.queued_lines + in_flight
        if lines:
            self._count("deadline", lines)
            self.queued_bytes = self.queued_lines = 0

    def lose(self, error: Exception, lines: int = 1) -> None:
        """Count *lines* that the descriptor refused; under no lock."""
        if not isinstance(error, OSError):
            report_fault("transport.stdout", error)

        gone = getattr(error, "errno", None) in {errno.EPIPE, errno.EBADF}
        self._count("closed" if gone else "write_error", lines)
        self.say()

    def _count(self, reason: str, lines: int) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + lines
        self._unsaid[reason] = self._unsaid.get(reason, 0) + lines

    def say(self, *, now: bool = False) -> None:
        """Publish what was dropped, at most once a second; under no lock."""
        if not self._unsaid:
            return

        now_s = time.monotonic()
        if now or now_s - self._said_s >= _REPORT_EVERY_S:
            self._said_s = now_s
            unsaid, self._unsaid = self._unsaid, {}
            for reason, lines in unsaid.items():
                events.publish(events.ItemsDropped(self._component, reason, lines))


STDOUT = Outlet(_STDOUT_FD)
"""The process's standard output."""

_direct = Channel("stdout", STDOUT, delivery="sync")


def write(line: bytes) -> None:
    """Write one line to standard output now; never raises."""
    _direct.write(line, 0)


def is_terminal() -> bool:
    """
    Tell whether a person reads what `write` writes.

    The descriptor is asked, not `sys.stdout`, which may be closed, replaced or None.
    """
    return os.isatty(_STDOUT_FD)


def is_stream() -> bool:
    """Tell whether standard output is a pipe or socket, as in a container."""
    try:
        mode = os.fstat(_STDOUT_FD).st_mode
    except OSError:  # closed
        return False

    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def columns() -> int:
    """Return the width of the terminal that standard output is; 0 if not known."""
    try:
        return os.get_terminal_size(_STDOUT_FD).columns
    except OSError:  # none, or closed
        return 0
