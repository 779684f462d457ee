"""What is being written: one or more whole lines and whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready._transport._channel import Channel

__all__ = ["Flight"]


class Flight:
    """
    Lines that are being written together.

    Args:
        data: The lines.
        lines: Of each line its channel, level and number; 0: nobody waits for it.
        sent: How many bytes of it are out already.
    """

    __slots__ = ("data", "lines", "sent")

    def __init__(
        self, data: bytes, lines: Iterable[tuple[Channel, int, int]], sent: int = 0
    ) -> None:
        self.data = data
        self.lines = list(lines)
        self.sent = sent

    def rest(self) -> bytes | memoryview:
        """Return what is still to be written."""
        return memoryview(self.data)[self.sent :] if self.sent else self.data

    def has(self, number: int) -> bool:
        """Tell whether the line *number* is one of them."""
        return any(entry[2] == number for entry in self.lines)

    def give_up(self, channel: Channel) -> list[int]:
        """Count nothing more for *channel*; returns the levels of its lines."""
        levels = [entry[1] for entry in self.lines if entry[0] is channel]
        self.lines = [entry for entry in self.lines if entry[0] is not channel]
        return levels
