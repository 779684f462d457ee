"""The lines of one component on their way to an outlet, with a quota of their own."""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready._transport._backlog import Backlog
from svcready._transport._output._drops import Drops
from svcready._transport._output._outlet import STDOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._transport._output._drops import Recovered
    from svcready._transport._output._flight import Flight
    from svcready._transport._output._outlet import Outlet

__all__ = ["Channel"]

_GONE = {errno.EPIPE, errno.EBADF}


class Channel:
    """
    The lines of one component on their way to an outlet, with its own quota.

    `write` never raises. What can't be written is counted by reason and level, and
    published as `ItemsDropped` at most once a second.

    Args:
        component: Whose lines they are, for the drop counts.
        outlet: Where they go.
        delivery: `hybrid`: the caller writes unless that would block, then a thread
            does; `async`: always the thread; `sync`: always the caller, blocking.
        max_bytes: Most bytes that wait.
        max_lines: Most lines that wait; beyond either the lowest level is given up
            first, the oldest of it first.
        keep: Nothing that waits is given up for what is newer: a full quota refuses
            the newest line instead.
        on_recovered: Told once when lines were lost and the outlet takes them again;
            called by the thread that writes, or by who flushes, with no lock held.
    """

    write: Callable[[bytes, int], None]
    """Bring a line, which ends in a newline, on its way, by its level; never raises."""

    def __init__(
        self,
        component: str,
        outlet: Outlet = STDOUT,
        *,
        delivery: str = "hybrid",
        max_bytes: int = 8 * 1024**2,
        max_lines: int = 10_000,
        keep: bool = False,
        on_recovered: Callable[[Recovered], None] | None = None,
    ) -> None:
        self._outlet = outlet
        self._max_bytes = max_bytes
        self._max_lines = max_lines
        self._keep = keep
        self._fault: Exception | None = None
        self.on_recovered = on_recovered
        self.backlog = Backlog(max_bytes, max_lines, outlet.draw)
        self.drops = Drops(component)
        self.write = partial(
            {
                "hybrid": outlet.write_or_queue,
                "async": outlet.queue,
                "sync": outlet.write_blocking,
            }[delivery],
            self,
        )
        fork.reset_in_child(self._after_fork)

    @property
    def queued_bytes(self) -> int:
        """How many bytes wait."""
        return self.backlog.bytes

    @property
    def queued_lines(self) -> int:
        """How many lines wait."""
        return self.backlog.lines

    @property
    def dropped(self) -> dict[str, int]:
        """How many lines were dropped for which reason, in this process."""
        return self.drops.by_reason()

    @property
    def dropped_by_level(self) -> dict[tuple[str, int], int]:
        """How many lines were dropped, by reason and level, in this process."""
        return dict(self.drops.totals)

    def put(self, line: bytes, level: int, timeout_s: float) -> bool:
        """
        Write *line* now, or have it wait; for lines that must not be lost.

        With `keep`, a line that waits is given up for no other. Never raises.

        Args:
            line: The line, with its newline.
            level: How grave it is.
            timeout_s: How long to wait, in seconds, until it is written, and before
                that for room in the quota; 0 waits for neither, as an event loop must.

        Returns:
            True if the line is written, or waits and will be. False if the
            descriptor refused it or there was no room in time: then it is counted as
            dropped.
        """
        return self._outlet.put(self, line, level, timeout_s)

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

    def push(self, line: bytes, level: int) -> bool:
        """Have *line* wait; False if it was given up itself; under the lock."""
        if self._keep:
            if not self.backlog.fits(len(line)):
                self.count("queue_full", level)
                return False

            self.backlog.push(line, level)
            return True

        lost: dict[int, int] = {}
        if self.backlog.push(line, level, lost):
            for lost_level, lines in lost.items():
                self.count("queue_full", lost_level, lines)

        return True

    def fits(self, line: bytes) -> bool:
        """Tell whether *line* can wait with nothing given up for it."""
        return self.backlog.fits(len(line))

    def give_up(self, flight: Flight | None) -> None:
        """Count what waits or is being written as dropped; under the lock."""
        for level, lines in self.backlog.levels().items():
            self.count("deadline", level, lines)

        self.backlog.clear()
        for level in flight.give_up(self) if flight is not None else ():
            self.count("deadline", level)

    def is_relaxed(self) -> bool:
        """Tell whether less than half of the quota is used."""
        return (
            self.backlog.bytes * 2 <= self._max_bytes
            and self.backlog.lines * 2 <= self._max_lines
        )

    def count(self, reason: str, level: int, lines: int = 1) -> None:
        """Count lines as dropped; under the lock."""
        self.drops.count(reason, level, lines)
        self._outlet.pressure.press(self)

    def count_refused(self, error: Exception, level: int) -> None:
        """Count a line that the descriptor refused; under the lock."""
        gone = getattr(error, "errno", None) in _GONE
        self.count("closed" if gone else "write_error", level)
        if not isinstance(error, OSError):
            self._fault = error

    def say(self, *, now: bool = False) -> None:
        """Publish what was dropped, at most once a second; under no lock."""
        if self._fault is not None:
            fault, self._fault = self._fault, None
            report_fault("transport.stdout", fault)

        if not self.drops.unsaid:
            return

        with self._outlet.lock:
            unsaid = self.drops.take_unsaid(now=now)

        self.drops.publish(unsaid)

    def tell(self, recovered: Recovered) -> None:
        """Tell that lines were lost and are taken again; under no lock."""
        if self.on_recovered is not None:
            try:
                self.on_recovered(recovered)
            except Exception as error:  # noqa: BLE001 - the writer must go on
                report_fault("transport.stdout", error)

    def _after_fork(self) -> None:
        # What waits here is the parent's to write, and what it lost its to count.
        self.backlog.clear()
        self.drops.forget()
