"""Lines that wait for their destination: bounded, the least grave given up first."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Backlog"]


class Backlog:
    """
    A queue of lines, kept in order and within its bounds.

    What is too much is taken from the lowest level that waits, oldest first, so that
    an ERROR outlives any number of DEBUG lines. Each level has a queue of its own and
    each line a number, so that neither taking nor giving up looks at more than the
    heads of a few queues. It has no lock: its owner has one.

    Args:
        max_bytes: Most bytes that wait.
        max_lines: Most lines that wait.
        number: Draws the next line's number; shared by backlogs that are emptied
            together in the order in which their lines came.
    """

    __slots__ = ("_levels", "_max_bytes", "_max_lines", "_number", "bytes", "lines")

    def __init__(
        self, max_bytes: int, max_lines: int, number: Callable[[], int] | None = None
    ) -> None:
        self._max_bytes = max_bytes
        self._max_lines = max_lines
        self._number = number or count().__next__
        self._levels: dict[int, deque[tuple[int, bytes]]] = {}
        self.bytes = 0
        """How many bytes wait."""
        self.lines = 0
        """How many lines wait."""

    def __len__(self) -> int:
        return self.lines

    def push(
        self, line: bytes, level: int, lost_by_level: dict[int, int] | None = None
    ) -> int:
        """
        Put *line* last.

        A line longer than all that may wait is kept, alone: it is the newest.

        Args:
            line: The line.
            level: How grave it is.
            lost_by_level: Here the lines given up for it are added, if given.

        Returns:
            How many lines were given up for it; the line itself may be one of them.
        """
        # A signal handler or a finaliser that logs may run between any two steps, and
        # take what is in the queues. So a queue stays where it is once it is empty,
        # and the sums stand in one expression each.
        size = len(line)
        queue = self._levels.get(level)
        if queue is None:
            queue = self._levels.setdefault(level, deque())

        queue.append((self._number(), line))
        self.bytes += size
        self.lines += 1
        lost = 0
        while self.lines > 1 and (
            self.bytes > self._max_bytes or self.lines > self._max_lines
        ):
            lowest = min(level for level, queue in self._queues() if queue)
            self._take(lowest)
            lost += 1
            if lost_by_level is not None:
                lost_by_level[lowest] = lost_by_level.get(lowest, 0) + 1

        return lost

    def fits(self, size: int) -> bool:
        """Tell whether a line of *size* bytes can wait with nothing given up for it."""
        return not self.lines or (
            self.bytes + size <= self._max_bytes and self.lines < self._max_lines
        )

    def first(self) -> tuple[int, int]:
        """Return the number and the size of the first line; there must be one."""
        number, line = min(queue[0] for _, queue in self._queues() if queue)
        return number, len(line)

    def pop(self) -> tuple[int, bytes]:
        """Take the first line and its level."""
        queues = self._queues()
        level = queues[0][0]
        if len(queues) > 1:
            _, level = min((queue[0][0], level) for level, queue in queues if queue)

        return level, self._take(level)

    def levels(self) -> dict[int, int]:
        """Return how many lines of each level wait."""
        return {level: len(queue) for level, queue in self._queues() if queue}

    def clear(self) -> int:
        """Give up everything; returns how many lines that were."""
        lost = self.lines
        for _, queue in self._queues():
            queue.clear()

        self.bytes = self.lines = 0
        return lost

    def _queues(self) -> tuple[tuple[int, deque[tuple[int, bytes]]], ...]:
        return tuple(self._levels.items())  # at once: there may be one more meanwhile

    def _take(self, level: int) -> bytes:
        line = self._levels[level].popleft()[1]
        size = len(line)
        self.bytes -= size
        self.lines -= 1
        return line
