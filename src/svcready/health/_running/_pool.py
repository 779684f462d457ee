"""The private threads on which synchronous checks run."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from svcready._core.threads import start_daemon

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DaemonPool", "Pool", "spawn_daemon"]


class Pool(Protocol):
    """What runs synchronous checks."""

    def submit(self, job: Callable[[], None], then: Callable[[], None]) -> bool:
        """
        Run *job* on a thread of its own.

        Args:
            job: Never raises.
            then: Called after it, when the thread is free again.

        Returns:
            False if no thread is free.
        """
        ...

    def give_up(self, job: Callable[[], None], most: int) -> None:
        """
        Let another thread stand in for that of *job*, which hangs.

        Args:
            job: What `submit` was given; nothing happens if it is over.
            most: Threads that may have a stand-in at a time.
        """
        ...

    def close(self) -> None:
        """Let idle threads end; busy ones end with their job."""
        ...


def spawn_daemon(target: Callable[[], None], name: str) -> bool:
    """Start a daemon thread; False where none can be started any more."""
    return start_daemon(target, name, "health") is not None


class DaemonPool:
    """
    At most *cap* daemon threads, started when needed and kept.

    They are daemons, unlike an executor's, because a check that hangs for ever must
    not keep the process from exiting. One whose job was given up does not count until
    that is back; then it goes on if it is needed, and ends if not.

    Args:
        cap: The most threads at a time that count.
        spawn: Starts a thread.
    """

    def __init__(
        self, cap: int, spawn: Callable[[Callable[[], None], str], bool] = spawn_daemon
    ) -> None:
        self._cap = cap
        self._spawn = spawn
        self._jobs: SimpleQueue[tuple[Callable[[], None], Callable[[], None]] | None]
        self._jobs = SimpleQueue()
        self._lock = threading.Lock()
        self._counted: set[Callable[[], None]] = set()  # jobs not given up
        self._given_up = 0
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, job: Callable[[], None], then: Callable[[], None]) -> bool:
        """Run *job* and *then* on a free or new thread; False if there is none."""
        with self._lock:
            starts = self._idle == 0
            if self._closed or (starts and self._threads >= self._cap):
                return False

            if starts:
                self._threads += 1
            else:
                self._idle -= 1

            self._counted.add(job)

        if starts and not self._spawn(self._work, "svcready-check"):
            with self._lock:
                self._counted.discard(job)
                self._threads -= 1

            return False

        self._jobs.put((job, then))
        return True

    def give_up(self, job: Callable[[], None], most: int) -> None:
        """Count the thread of *job* no more, unless *most* are not counted already."""
        with self._lock:
            if job in self._counted and self._given_up < most:
                self._counted.discard(job)
                self._given_up += 1
                self._threads -= 1

    def close(self) -> None:
        """Let idle threads end; busy ones end with their job."""
        with self._lock:
            self._closed = True
            threads = self._threads

        for _ in range(threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, then = item
            job()
            stays = self._take_back(job)
            then()
            if not stays:
                return

    def _take_back(self, job: Callable[[], None]) -> bool:
        """Count the calling thread as idle; False if it is one too many."""
        with self._lock:
            if job in self._counted:
                self._counted.discard(job)
            else:
                self._given_up -= 1
                if self._closed or self._threads >= self._cap:
                    return False

                self._threads += 1

            self._idle += 1
            return True
