"""The watch: what holds the start and what breaks the process move the lifecycle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core import events
from svcready.health._events import StartupTaskEnded, StartupTaskLate
from svcready.health._life._heartbeat import HEARTBEATS
from svcready.health._life._startup import STARTUP_TASKS
from svcready.health._running._agenda import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.health._life._heartbeat import Heartbeat
    from svcready.health._life._lifecycle import Lifecycle
    from svcready.health._life._startup import StartupTask
    from svcready.health._life._vitals import Vitals

__all__ = ["Watch"]

_RETRY_S = 1.0


class Watch:
    """
    Keeps an eye on startup tasks, heartbeats and other signs of life.

    Args:
        lifecycle: What is moved.
        vitals: Whatever says that the process is broken; heartbeats join it.
        now: The monotonic clock.
        hide: Hides the secrets in what a task raised.
        nudge: Has `look` called soon.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        vitals: Vitals,
        now: Callable[[], float],
        *,
        hide: Callable[[str], str],
        nudge: Callable[[], None],
    ) -> None:
        self._lifecycle = lifecycle
        self._vitals = vitals
        self._now = now
        self._hide = hide
        self._nudge = nudge
        self._beats: tuple[Heartbeat, ...] = ()

    def begin(self) -> None:
        """Take the heartbeats and tasks that are declared, and those to come."""
        HEARTBEATS.bind(self._take_heartbeat)
        STARTUP_TASKS.bind(self._take_task)

    def look(self, now_s: float) -> float:
        """Judge the signs of life, and return when to look again."""
        if not self._vitals.watched:
            return NEVER

        if self.faults():
            return now_s + _RETRY_S

        if self._is_ending:
            return NEVER

        missed = [beat.missed_at_s for beat in self._beats]
        return min((at_s for at_s in missed if at_s is not None), default=NEVER)

    def faults(self) -> bool:
        """Judge the signs of life; True if the process is broken."""
        faults = self._vitals.faults()
        if faults or self._lifecycle.broken:
            self._lifecycle.judge("; ".join(f"{name}: {why}" for name, why in faults))

        return bool(faults)

    def ages(self) -> list[tuple[str, float]]:
        """Return how old the last beat of each heartbeat is that is expected."""
        ages = [(beat.name, beat.age_s) for beat in self._beats]
        return [(name, age_s) for name, age_s in ages if age_s is not None]

    def describe(self) -> dict[str, object]:
        """Tell of tasks and heartbeats, for the report."""
        tasks = [self._task_entry(task) for task in STARTUP_TASKS.things()]
        beats = [_beat_entry(beat) for beat in self._beats]
        parts = {"startupTasks": tasks, "heartbeats": beats}
        return {name: part for name, part in parts.items() if part}

    def after_fork(self) -> None:
        """Expect in a child no beats of its parent, nor the end of what it does."""
        for beat in HEARTBEATS.things():
            beat.after_fork()

        for task in STARTUP_TASKS.things():
            task.after_fork()

    def _take_heartbeat(self, beat: Heartbeat) -> None:
        if self._has_stopped:
            return

        self._beats = HEARTBEATS.things()
        self._vitals.add(f"heartbeat {beat.name}", lambda: self._fault(beat))
        beat.bind(self._now, self._nudge)

    def _fault(self, beat: Heartbeat) -> str:
        return "" if self._is_ending else beat.fault()

    @property
    def _is_ending(self) -> bool:
        # Loops end on purpose when the service does.
        return self._lifecycle.state in {"draining", "stopped"}

    @property
    def _has_stopped(self) -> bool:
        # The register knows this one until the next runtime is bound to it.
        return self._lifecycle.state == "stopped"

    def _take_task(self, task: StartupTask) -> None:
        if self._has_stopped:
            return

        late = self._lifecycle.state != "starting"
        task.bind(self._now, self._task_ended, late=late)
        if late and task.status != "done":
            events.publish(StartupTaskLate(task.name))

    def _task_ended(self, task: StartupTask) -> None:
        reason = self._hide(task.output)
        events.publish(StartupTaskEnded(task.name, task.took_s or 0.0, reason))
        self._lifecycle.proceed()

    def _task_entry(self, task: StartupTask) -> Mapping[str, object]:
        entry: dict[str, object] = {"name": task.name, "status": task.status}
        if task.took_s is not None:
            entry["durationMs"] = round(task.took_s * 1000, 3)

        if task.output:
            entry["output"] = self._hide(task.output)

        if task.late:
            entry["late"] = True

        return entry


def _beat_entry(beat: Heartbeat) -> Mapping[str, object]:
    age_s = beat.age_s
    entry: dict[str, object] = {"name": beat.name, "withinS": beat.within_s}
    if age_s is None:
        entry["status"] = "waiting"
    else:
        entry["status"] = "pass" if age_s < beat.within_s else "fail"
        entry["ageS"] = round(age_s, 3)

    return entry
