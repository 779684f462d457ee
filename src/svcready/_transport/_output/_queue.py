"""The lines of several channels that wait for one outlet, in the order they came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._transport._output._flight import Flight

if TYPE_CHECKING:
    from svcready._transport._output._channel import Channel

__all__ = ["Queue"]


class Queue:
    """
    The lines of several channels, each within its own quota.

    No channel starves another: a quota bounds what can be before a line, and a flood
    gives up only lines of its own. Everything is called under the outlet's lock.
    """

    __slots__ = ("_channels",)

    def __init__(self) -> None:
        self._channels: list[Channel] = []

    def __bool__(self) -> bool:
        return bool(self._channels)

    def push(self, channel: Channel, line: bytes, level: int) -> None:
        """Have *line* wait in its channel."""
        channel.push(line, level)
        if channel.backlog.lines and channel not in self._channels:
            self._channels.append(channel)

    def remove(self, channel: Channel) -> None:
        """Take nothing more of *channel*."""
        if channel in self._channels:
            self._channels.remove(channel)

    def take(self, most_bytes: int) -> Flight | None:
        """
        Take what is written next.

        Args:
            most_bytes: How much at once, but at least one line.
        """
        channels = self._channels
        lines: list[tuple[Channel, int, int, int]] = []
        parts: list[bytes] = []
        left, end = most_bytes, 0
        while channels:
            channel = channels[0]
            if len(channels) > 1:
                channel = min(channels, key=lambda each: each.backlog.first())

            number, size = channel.backlog.first()
            left -= size
            if left < 0 and parts:
                break

            level, line = channel.backlog.pop()
            end += size
            lines.append((channel, level, number, end))
            parts.append(line)
            if not channel.backlog.lines:
                channels.remove(channel)

        return Flight(b"".join(parts), lines) if parts else None
