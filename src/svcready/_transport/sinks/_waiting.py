"""The lines that wait for one destination, and the batch that is on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._transport._backlog import Backlog
from svcready._transport.sinks._destination import Entry

if TYPE_CHECKING:
    from svcready._transport.sinks._destination import Destination, Quota

__all__ = ["Waiting"]

_STAMP_BYTES = 8


class Waiting:
    """
    A backlog of stamped lines, read in batches; one that failed comes first again.

    It has no lock: its owner has one.

    Args:
        quota: How much may wait, besides one batch.
        destination: Says how large a batch is.
    """

    __slots__ = ("_backlog", "_destination", "_in_flight", "_quota", "held")

    def __init__(self, quota: Quota, destination: Destination) -> None:
        self._backlog = Backlog(quota.max_bytes, quota.max_lines)
        self._quota = quota
        self._destination = destination
        self._in_flight = 0
        self.held: list[Entry] = []
        """What is left of a batch that failed."""

    def __len__(self) -> int:
        return len(self._backlog) + len(self.held) + self._in_flight

    @property
    def busy(self) -> bool:
        """Whether a batch is on its way."""
        return self._in_flight > 0

    @property
    def empty(self) -> bool:
        """Whether nothing is left for a further batch."""
        return not self.held and not len(self._backlog)

    @property
    def makes_a_batch(self) -> bool:
        """Whether a whole batch waits, and none that has to go first."""
        backlog, most = self._backlog, self._destination
        enough = len(backlog) >= most.batch_lines or backlog.bytes >= most.batch_bytes
        return enough and not self.held

    def has_room(self, line: bytes) -> bool:
        """Tell whether *line* can wait without another being given up."""
        backlog, quota = self._backlog, self._quota
        if not len(backlog):
            return True

        size = backlog.bytes + len(line) + _STAMP_BYTES
        return size <= quota.max_bytes and len(backlog) < quota.max_lines

    def push(self, line: bytes, level: int, time_ms: int) -> int:
        """Put *line* last; returns how many lines were given up for it."""
        return self._backlog.push(time_ms.to_bytes(_STAMP_BYTES, "big") + line, level)

    def take_batch(self) -> list[Entry]:
        """Take the next batch on its way."""
        batch, self.held = self.held, []
        if not batch:
            size, most = 0, self._destination
            while len(self._backlog) and len(batch) < most.batch_lines:
                level, data = self._backlog.pop()
                time_ms = int.from_bytes(data[:_STAMP_BYTES], "big")
                batch.append(Entry(level, time_ms, data[_STAMP_BYTES:]))
                size += len(data)
                if size >= most.batch_bytes:
                    break

        self._in_flight = len(batch)
        return batch

    def settle(self, left: list[Entry]) -> None:
        """Take note that the batch has arrived, except for what is *left*."""
        self._in_flight = 0
        self.held = left

    def clear(self) -> int:
        """Give up everything; returns how many lines that were."""
        lines = len(self)
        self._backlog.clear()
        self.settle([])
        return lines
