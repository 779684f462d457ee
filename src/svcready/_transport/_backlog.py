"""Lines that wait for their destination: bounded, the least grave given up first."""

from __future__ import annotations

from collections import deque

__all__ = ["Backlog"]


class Backlog:
    """
    A queue of lines, kept in order and within its bounds.

    What is too much is taken from the lowest level that waits, oldest first, so that
    an ERROR outlives any number of DEBUG lines. It has no lock: its owner has one.

    Args:
        max_bytes: Most bytes that wait.
        max_lines: Most lines that wait.
    """

    __slots__ = ("_lines", "_max_bytes", "_max_lines", "_of_level", "bytes")

    def __init__(self, max_bytes: int, max_lines: int) -> None:
        self._max_bytes = max_bytes
        self._max_lines = max_lines
        self._lines: deque[tuple[int, bytes]] = deque()
        self._of_level: dict[int, int] = {}
        self.bytes = 0
        """How many bytes wait."""

    def __len__(self) -> int:
        return len(self._lines)

    def push(self, line: bytes, level: int) -> int:
        """
        Put *line* last.

        Returns:
            How many lines were given up for it; the line itself may be one of them.
        """
        self._lines.append((level, line))
        self._of_level[level] = self._of_level.get(level, 0) + 1
        self.bytes += len(line)
        lost = 0
        while len(self._lines) > 1 and (
            self.bytes > self._max_bytes or len(self._lines) > self._max_lines
        ):
            self._give_up()
            lost += 1

        return lost

    def pop(self) -> tuple[int, bytes]:
        """Take the first line and its level."""
        level, line = self._lines.popleft()
        self._forget(level, line)
        return level, line

    def clear(self) -> int:
        """Give up everything; returns how many lines that were."""
        lost = len(self._lines)
        self._lines.clear()
        self._of_level.clear()
        self.bytes = 0
        return lost

    def _give_up(self) -> None:
        lowest = min(self._of_level)
        for index, (level, line) in enumerate(self._lines):
            if level == lowest:
                del self._lines[index]
                self._forget(level, line)
                return

    def _forget(self, level: int, line: bytes) -> None:
        self.bytes -= len(line)
        self._of_level[level] -= 1
        if not self._of_level[level]:
            del self._of_level[level]
