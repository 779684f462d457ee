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
        # The sums stand in one expression each, between whose parts no signal handler
        # can run that logs as well.
        size = len(line)
        queue = self._levels.get(level)
        if queue is None:
            queue = self._levels[level] = deque()

        queue.append((self._number(), line))
        self.bytes += size
        self.lines += 1
        lost = 0
        while self.lines > 1 and (
            self.bytes > self._max_bytes or self.lines > self._max_lines
        ):
            lowest = min(self._levels)
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
        number, line = min(queue[0] for queue in self._levels.values())
        return number, len(line)

    def pop(self) -> tuple[int, bytes]:
        """Take the first line and its level."""
        levels = self._levels
        level = (
            next(iter(levels))
            if len(levels) == 1
            else min(levels, key=lambda level: levels[level][0][0])
        )
        return level, self._take(level)

    def levels(self) -> dict[int, int]:
        """Return how many lines of each level wait."""
        return {level: len(queue) for level, queue in self._levels.items()}

    def clear(self) -> int:
        """Give up everything; returns how many lines that were."""
        lost = self.lines
        self._levels = {}
        self.bytes = self.lines = 0
        return lost

    def _take(self, level: int) -> bytes:
        queue = self._levels[level]
        line = queue.popleft()[1]
        if not queue:
            del self._levels[level]

        size = len(line)
        self.bytes -= size
        self.lines -= 1
        return line
