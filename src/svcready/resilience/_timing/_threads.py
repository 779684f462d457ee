"""Threads that plain functions run in, so that their callers need not wait for ever."""

from __future__ import annotations

import threading
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.threads import start_daemon
from svcready.errors import BulkheadFull

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Job", "Pool"]

_IDLE_S = 10.0
"""How long a thread waits for another call before it ends."""


class Job:
    """
    One call on its way through a thread, in a copy of its caller's context.

    Args:
        call: What is called.
        args: Its arguments.
        kwargs: Its keyword arguments.
    """

    __slots__ = ("_ended", "_run", "error", "result")

    def __init__(
        self,
        call: Callable[..., object],
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> None:
        context = copy_context()
        self._run: Callable[[], object] | None = lambda: context.run(
            call, *args, **kwargs
        )
        self._ended = threading.Lock()
        self._ended.acquire()
        self.result: object = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Make the call; its end is told by `end`."""
        run, self._run = self._run, None
        assert run is not None
        try:
            self.result = run()
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller
            self.error = error

    def end(self, *, abandoned: bool = False) -> None:
        """Let whoever waits go on; nobody does if it was *abandoned*."""
        del abandoned
        self._ended.release()

    def forget(self) -> None:
        """Let go of what came of it: an error's traceback leads back here."""
        self.result = self.error = None

    def wait(self, timeout_s: float) -> bool:
        """Return whether it ended within *timeout_s* seconds."""
        if not self._ended.acquire(timeout=timeout_s):
            return False

        self._ended.release()
        return True

    def outcome(self) -> object:
        """Return what the call returned, or raise what it raised."""
        error, self.error = self.error, None
        if error is None:
            return self.result

        try:
            raise error
        finally:
            del error  # its traceback holds this frame


class Pool:
    """
    Daemon threads for the calls of one name; they start when needed and end when not.

    Args:
        name: The name.
        most: How many there are at most.
        part: The part of the policy that they serve, for their names.
    """

    def __init__(self, name: str, most: int, part: str = "timeout") -> None:
        self._name = name
        self._part = part
        self._most = most
        self._abandoned: set[Job] = set()
        self._reset()
        fork.reset_in_child(self._reset)

    @property
    def abandoned(self) -> int:
        """How many threads run what nobody waits for any more."""
        return len(self._abandoned)

    def resize(self, most: int) -> None:
        """Have so many at most; who is at work beyond that finishes it."""
        self._most = most

    def full(self) -> BulkheadFull:
        """Return the refusal of a call that no thread is left for."""
        return BulkheadFull(self._name, "threads")

    def start(self, job: Job) -> bool:
        """Have a thread run *job*; False: all of them are taken."""
        with self._lock:
            if self._size - self._waiting >= self._most:
                return False

            waiting = self._waiting > 0
            if waiting:
                self._waiting -= 1
            else:
                self._size += 1

            jobs = self._jobs

        name = f"svcready-{self._part}-{self._name}"
        if not waiting and not start_daemon(
            lambda: self._work(jobs), name, f"resilience.{self._part}"
        ):
            with self._lock:
                self._size -= 1

            return False

        jobs.put(job)
        return True

    def abandon(self, job: Job) -> bool:
        """Give *job* up; False: it has just ended."""
        with self._lock:
            if job.wait(0):
                return False

            self._abandoned.add(job)
            return True

    def _work(self, jobs: SimpleQueue[Job]) -> None:
        while (job := self._next(jobs)) is not None:
            if job not in self._abandoned:  # before it began: it need not begin
                job.run()

            with self._lock:
                abandoned = job in self._abandoned
                self._abandoned.discard(job)
                job.end(abandoned=abandoned)
                if jobs is not self._jobs:
                    return  # a child was forked from within the call

                self._waiting += 1

            if abandoned:
                job.forget()

            del job  # an idle thread holds on to nobody's answer

    def _next(self, jobs: SimpleQueue[Job]) -> Job | None:
        """Return the next call, or None: the thread is to end."""
        try:
            return jobs.get(timeout=_IDLE_S)
        except Empty:
            pass

        with self._lock:
            if self._waiting and jobs is self._jobs:
                self._waiting -= 1
                self._size -= 1
                return None

        return jobs.get()  # somebody counted on this thread meanwhile

    def _reset(self) -> None:
        self._lock = threading.RLock()  # a signal handler may call the same function
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._abandoned = set()
        self._size = self._waiting = 0
