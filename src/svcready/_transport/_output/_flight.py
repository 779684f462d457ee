"""What is being written: one or more whole lines and whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready._transport._output._channel import Channel

__all__ = ["Flight"]


class Flight:
    """
    Lines that are being written together.

    Args:
        data: The lines.
        lines: Of each line its channel, its level, its number (0: nobody waits for it)
            and where in the data it ends.
        sent: How many bytes of it are out already.
    """

    __slots__ = ("data", "lines", "sent")

    def __init__(
        self,
        data: bytes,
        lines: Iterable[tuple[Channel, int, int, int]],
        sent: int = 0,
    ) -> None:
        self.data = data
        self.lines = list(lines)
        self.sent = sent

    @classmethod
    def of_one(
        cls, line: bytes, channel: Channel, level: int, number: int = 0, sent: int = 0
    ) -> Flight:
        """Return a flight of a single line."""
        return cls(line, ((channel, level, number, len(line)),), sent)

    def rest(self) -> bytes | memoryview:
        """Return what is still to be written."""
        return memoryview(self.data)[self.sent :] if self.sent else self.data

    def left(self) -> list[tuple[Channel, int]]:
        """Return channel and level of the lines that are not wholly out."""
        return [(each[0], each[1]) for each in self.lines if each[3] > self.sent]

    def is_within_line(self) -> bool:
        """Tell whether a line has begun to be written and has not ended."""
        return self.sent > 0 and self.data[self.sent - 1 : self.sent] != b"\n"

    def give_up(self, channel: Channel) -> list[int]:
        """Count nothing more for *channel*; returns the levels of its lines."""
        levels = [level for owner, level in self.left() if owner is channel]
        self.lines = [entry for entry in self.lines if entry[0] is not channel]
        return levels
