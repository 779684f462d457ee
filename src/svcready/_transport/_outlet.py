"""One descriptor and the lines that wait for it."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._transport._nonblocking import NonBlocking

if TYPE_CHECKING:
    from svcready._transport.stdout import Channel

__all__ = ["Outlet"]

_MOST_BATCH_BYTES = 64 * 1024
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

    def write_or_queue(self, channel: Channel, line: bytes, level: int) -> None:
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
                    channel.push(self._queue, line, level)
        except BlockingIOError:
            self.queue(channel, line, level)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            channel.lose(error)
        else:
            self._wake()
            channel.say()

    def queue(self, channel: Channel, line: bytes, level: int) -> None:
        """Leave *line* to the thread."""
        with self._lock:
            self._busy = True
            channel.push(self._queue, line, level)

        self._wake()
        channel.say()

    def write_blocking(self, channel: Channel, line: bytes, level: int) -> None:
        """Write *line* now, however long that takes; after what waits already."""
        try:
            with self._lock:
                if not self._busy:
                    self._write_all(line)
                    return

                channel.push(self._queue, line, level)
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
            channel.give_up(self._batch.pop(channel, 0))
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
                written, self._batch = self._batch, Counter()
                self._settle()

            for channel in written:
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
            sent = len(data)

        self._batch.clear()
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
