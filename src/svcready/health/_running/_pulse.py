"""The thread that steps the runner, asleep while nothing is due."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pulse"]

_RETRY_S = 1.0


class Pulse:
    """
    One daemon thread, started when first needed.

    Args:
        step: Does what is due and returns how many seconds nothing more is; None if
            nothing is planned.
        spawn: Starts the thread.
    """

    def __init__(
        self,
        step: Callable[[], float | None],
        spawn: Callable[[Callable[[], None], str], bool],
    ) -> None:
        self._step = step
        self._spawn = spawn
        self.after_fork()

    def after_fork(self) -> None:
        """Forget the parent's thread in a child; `start` starts its own."""
        self._changed = threading.Condition()
        self._nudged = False
        self._stopping = False
        self._runs = False
        self._ended = threading.Event()

    def start(self) -> bool:
        """Start the thread, unless it runs or was stopped; tell whether it runs."""
        with self._changed:
            if self._runs or self._stopping:
                return not self._stopping

            self._runs = True

        if not self._spawn(self._run, "svcready-health"):
            self._runs = False

        return self._runs

    def nudge(self) -> None:
        """Have the next step come now."""
        with self._changed:
            self._nudged = True
            self._changed.notify()

    def stop(self, timeout_s: float) -> bool:
        """Step no more; False if a step was still busy after *timeout_s* seconds."""
        self._stopping = True
        self.nudge()
        return not self._runs or self._ended.wait(timeout_s)

    def _run(self) -> None:
        try:
            while not self._stopping:
                try:
                    wait_s = self._step()
                except Exception as error:  # noqa: BLE001 - checks must go on
                    report_fault("health.runner", error)
                    wait_s = _RETRY_S

                with self._changed:
                    if not self._nudged:
                        self._changed.wait(wait_s)

                    self._nudged = False
        finally:
            self._ended.set()
