"""The only writer of file descriptor 1: whole lines, one after another."""

from __future__ import annotations

import errno
import os
import select
import threading
import time
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING

from svcready._core import events, fork
from svcready._core.guard import report_fault
from svcready._transport._nonblocking import NonBlocking

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STDOUT", "Channel", "Outlet", "write"]

_STDOUT_FD = 1
_MOST_BATCH_BYTES = 64 * 1024
_REPORT_EVERY_S = 1.0
_RETRY_S = 0.05


class Outlet:
    """
    One descriptor and the lines that wait for it.

    The lock is held for a queue's bookkeeping and for writes that can't block; a
    write that can is done by the one thread that empties the queue, or by a caller
    that asked for it (`write_blocking`). It is re-entrant because a signal handler
    may log while the code that it interrupted does.

    Args:
        fd: The descriptor.
        attempt: How to write without blocking.
    """

    def __init__(self, fd: int, attempt: NonBlocking | None = None) -> None:
        self._fd = fd
        self._attempt = attempt or NonBlocking(fd)
        self._reset()
        fork.reset_in_child(self._after_fork)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._queue: deque[tuple[Channel, bytes]] = deque()
        self._rest = b""
        self._batch: Counter[Channel] = Counter()
        self._busy = False
        self._thread: threading.Thread | None = None

    def _after_fork(self) -> None:
        # What waits here is the parent's to write; the child starts with nothing.
        for channel, _ in self._queue:
            channel.queued_bytes = channel.queued_lines = 0

        self._reset()
        self._attempt.choose()

    def write_or_queue(self, channel: Channel, line: bytes) -> None:
        """Write *line* at once if nothing waits and nothing blocks, else queue it."""
        try:
            with self._lock:
                if not self._busy:
                    sent = self._attempt.write(line)
                    if sent == len(line):
                        return

                    self._rest = line[sent:]
                    self._busy = True
                else:
                    channel.push(self._queue, line)
        except BlockingIOError:
            self.queue(channel, line)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            channel.lose(error)
        else:
            self._wake()
            channel.say()

    def queue(self, channel: Channel, line: bytes) -> None:
        """Leave *line* to the thread."""
        with self._lock:
            self._busy = True
            channel.push(self._queue, line)

        self._wake()
        channel.say()

    def write_blocking(self, channel: Channel, line: bytes) -> None:
        """Write *line* now, however long that takes; after what waits already."""
        try:
            with self._lock:
                if not self._busy:
                    self._write_all(line)
                    return

                channel.push(self._queue, line)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            channel.lose(error)
        else:
            self._wake()

    def refresh(self) -> None:
        """Look at the descriptor again, which may have been replaced."""
        with self._lock:
            self._attempt.choose()

    def flush(self, timeout_s: float) -> bool:
        """
        Wait until everything that was queued is written.

        Returns:
            False if something was left after *timeout_s* seconds.
        """
        deadline_s = time.monotonic() + timeout_s
        self._wake()
        with self._lock:
            while self._busy:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return False

                if self._thread is None:
                    self._drain_without_thread(deadline_s)
                else:
                    self._changed.wait(left_s)

        return True

    def abandon(self, channel: Channel) -> None:
        """Drop what waits of *channel*."""
        with self._lock:
            kept = [entry for entry in self._queue if entry[0] is not channel]
            channel.give_up()
            self._queue = deque(kept)

    def _wake(self) -> None:
        with self._lock:
            self._changed.notify_all()
            if not self._busy or self._thread is not None:
                return

            thread = threading.Thread(
                target=self._run, name="svcready-stdout", daemon=True
            )
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:  # none start any more at interpreter exit
                self._thread = None

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._busy:
                    self._changed.wait()

                data = self._next_batch()

            try:
                self._write_all(data)
            except Exception as error:  # noqa: BLE001 - the thread must go on
                self._lose_batch(error)

            with self._lock:
                self._settle()

            for channel in self._batch:
                channel.say()

    def _next_batch(self) -> bytes:
        parts = [self._rest]
        size = len(self._rest)
        self._rest = b""
        self._batch = Counter()
        while self._queue and size < _MOST_BATCH_BYTES:
            channel, line = self._queue.popleft()
            channel.taken(line)
            self._batch[channel] += 1
            parts.append(line)
            size += len(line)

        return b"".join(parts)

    def _lose_batch(self, error: Exception) -> None:
        # How many of its lines were out before the fault is not known: all count.
        for channel, lines in self._batch.items():
            channel.lose(error, lines)

    def _settle(self) -> None:
        if not self._queue and not self._rest:
            self._busy = False
            self._changed.notify_all()

    def _drain_without_thread(self, deadline_s: float) -> None:
        data = self._next_batch()
        try:
            sent = self._attempt.write(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose_batch(error)
            self._settle()
            return

        if sent != len(data):
            self._rest = data[sent:]
            left_s = max(0.0, min(_RETRY_S, deadline_s - time.monotonic()))
            select.select((), (self._fd,), (), left_s)

        self._settle()

    def _write_all(self, data: bytes) -> None:
        sent = 0
        while sent < len(data):
            try:
                sent += os.write(self._fd, data[sent:] if sent else data)
            except BlockingIOError:  # another process made the description so
                select.select((), (self._fd,), (), 1.0)


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

    write: Callable[[bytes], None]
    """Bring a line, which ends in a newline, on its way; never raises."""

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

    def push(self, queue: deque[tuple[Channel, bytes]], line: bytes) -> None:
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

    def give_up(self) -> None:
        """Count all that waits as dropped; under the lock."""
        if self.queued_lines:
            self._count("deadline", self.queued_lines)
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

write = _direct.write
"""Write one line to standard output now; never raises."""
