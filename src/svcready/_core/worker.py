"""A background thread that runs periodic jobs and survives fork."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.guard import report_fault
from svcready._core.threads import start_daemon

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock

__all__ = ["Job", "Worker"]


class Job:
    """One periodic job of a worker; `cancel` ends it."""

    __slots__ = (
        "_jitter",
        "cancelled",
        "due_s",
        "function",
        "hurried",
        "interval_s",
        "name",
    )

    def __init__(
        self,
        name: str,
        function: Callable[[], None],
        interval_s: float,
        jitter: float,
        due_s: float,
    ) -> None:
        self.name = name
        self.function = function
        self.interval_s = interval_s
        self.due_s = due_s
        self.cancelled = False
        self.hurried = False
        """Somebody asked for a run, and none has begun since."""
        self._jitter = jitter

    def cancel(self) -> None:
        """Never run the job again; a run in progress ends by itself."""
        self.cancelled = True

    def plan(self, now_s: float, uniform: Callable[[float, float], float]) -> None:
        """Set the next due time, *jitter* of the interval around it."""
        spread = self.interval_s * self._jitter
        self.due_s = now_s + self.interval_s + uniform(-spread, spread)


class Worker:
    """
    Runs periodic jobs on one daemon thread, which starts when first needed.

    Nothing runs until `wake`; a forked child has no thread until it wakes the worker
    itself, and then runs the same jobs. Jobs of one worker run one after another, so
    what can block for long gets a worker of its own.

    Args:
        name: The thread's name.
        clock: Decides when a job is due. With an injected clock, drive the jobs by
            `run_due` instead of waking the thread.
        uniform: Draws the jitter between two bounds.
    """

    def __init__(
        self,
        name: str,
        clock: Clock = SYSTEM_CLOCK,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._name = name
        self._clock = clock
        self._uniform = uniform
        self._jobs: list[Job] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        fork.reset_in_child(self._after_fork)

    def every(
        self,
        interval_s: float,
        function: Callable[[], None],
        *,
        name: str,
        jitter: float = 0.0,
        first_s: float | None = None,
    ) -> Job:
        """
        Run *function* every *interval_s* seconds.

        Args:
            interval_s: From the end of one run to the start of the next.
            function: What to run; a fault of it is reported, the job goes on.
            name: Names the job in fault reports (`worker.<name>`).
            jitter: Part of the interval by which each wait is spread around it.
            first_s: Seconds until the first run; one interval if None.
        """
        due_s = self._clock.monotonic() + (interval_s if first_s is None else first_s)
        job = Job(name, function, interval_s, jitter, due_s)
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

        return job

    def wake(self) -> None:
        """Start the thread if it does not run in this process; cheap if it does."""
        if self._thread is not None or self._stopping:
            return

        with self._changed:
            if self._thread is None and not self._stopping:
                self._thread = start_daemon(self._run, self._name, "worker")

    def soon(self, job: Job) -> bool:
        """
        Have the thread run *job* without waiting for its time, once more if it runs.

        Returns:
            False if no thread runs in this process, and so nothing happens.
        """
        with self._changed:
            thread = self._thread
            if thread is None or not thread.is_alive() or self._stopping:
                return False

            job.hurried = True
            self._changed.notify()
            return True

    def run_due(self) -> float | None:
        """
        Run every job that is due now.

        Returns:
            Seconds until the next job is due; None if there is none.
        """
        for job in tuple(self._jobs):
            if job.cancelled or not (job.hurried or self._is_due(job)):
                continue

            job.hurried = False
            try:
                job.function()
            except Exception as error:  # noqa: BLE001 - the other jobs go on
                report_fault(f"worker.{job.name}", error)

            job.plan(self._clock.monotonic(), self._uniform)

        with self._changed:
            self._jobs = [job for job in self._jobs if not job.cancelled]
            if any(job.hurried for job in self._jobs):
                return 0.0

            due_s = min((job.due_s for job in self._jobs), default=None)

        return None if due_s is None else max(0.0, due_s - self._clock.monotonic())

    def stop(self, timeout_s: float) -> bool:
        """
        Run no more jobs and wait for the one in progress.

        Returns:
            False if the thread was still busy after *timeout_s* seconds.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
            thread = self._thread

        if thread is None or thread is threading.current_thread():
            return True

        thread.join(timeout_s)
        return not thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            wait_s = self.run_due()
            with self._changed:
                hurried = any(job.hurried for job in self._jobs)
                if not self._stopping and not hurried:
                    self._changed.wait(wait_s)

    def _is_due(self, job: Job) -> bool:
        return job.due_s <= self._clock.monotonic()

    def _after_fork(self) -> None:
        self._changed = threading.Condition()
        self._thread = None
