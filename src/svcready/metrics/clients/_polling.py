"""Jobs that ask others for a level now and then, while a runtime is awake."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready._core.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.worker import Job

__all__ = ["POLLER", "Poller"]

_JITTER = 0.1


class _Poll(NamedTuple):
    """What is asked, and how often."""

    function: Callable[[], None]
    interval_s: float


class Poller:
    """
    Asks on one thread of its own, so that no scrape waits for an answer.

    It does so only in processes whose runtime is awake: not in a server's parent.
    """

    def __init__(self) -> None:
        self._polls: tuple[_Poll, ...] = ()
        self._worker: Worker | None = None
        fork.reset_in_child(self._forget_worker)

    def poll(
        self, function: Callable[[], None], interval_s: float
    ) -> Callable[[], None]:
        """
        Run *function* every *interval_s* seconds, at first at once.

        Returns:
            What ends it.
        """
        asked = _Poll(function, interval_s)
        self._polls = (*self._polls, asked)
        if self._worker is not None:
            self._schedule(self._worker, asked)

        def end() -> None:
            self._polls = tuple(each for each in self._polls if each is not asked)

        return end

    def wake(self) -> None:
        """Begin to ask, in this process; a forked child begins here."""
        if self._worker is None:
            self._worker = Worker("svcready-queues")
            for asked in self._polls:
                self._schedule(self._worker, asked)

    def rest(self) -> None:
        """Ask no more until woken again; a question under way is not waited for."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop(0.0)

    def _schedule(self, worker: Worker, asked: _Poll) -> None:
        jobs: list[Job] = []

        def ask() -> None:
            if any(each is asked for each in self._polls):
                asked.function()
            else:
                jobs[0].cancel()

        job = worker.every(
            asked.interval_s, ask, name="queues", jitter=_JITTER, first_s=0.0
        )
        jobs.append(job)
        worker.wake()  # the thread starts when there is something to ask

    def _forget_worker(self) -> None:
        self._worker = None


POLLER = Poller()
"""The process' own."""
