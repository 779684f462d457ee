"""The service: publishes this process' metrics, and joins all processes' into one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready._core.worker import Worker
from svcready._transport.workers import is_alive
from svcready.metrics._model import Distribution, Family, Number
from svcready.metrics._workers._member import (
    LEFT,
    PARENT,
    WORKS,
    Peer,
    Publisher,
    member_name,
)
from svcready.metrics._workers._merge import Part, merge
from svcready.metrics._workers._others import PATIENCE_S, Others, born
from svcready.metrics._workers._reading import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from svcready._core.clock import Clock
    from svcready._transport.group import Group
    from svcready.metrics._workers._layout import Published

__all__ = ["INTERVAL_S", "Together", "workers_family"]

INTERVAL_S = 0.8
"""With the time that publishing takes, a killed process loses at most one second."""
_ABSORB_EVERY = 3
_TOUCH_EVERY = _ABSORB_EVERY * 1365  # less than an hour


class Together:
    """
    Shows the processes of a group as one service.

    Each publishes what it has recorded in files of its own, about once a second and
    whenever it is asked for a page; who is asked for a page publishes first and reads
    the others' then, so that no page shows what a later one takes back. Nobody waits
    for anybody: a reader finds what a hung or killed process published last. What dead
    processes counted is moved to one file by whoever finds them dead.

    A process that is alone publishes nothing.

    Args:
        group: The processes.
        shared: Returns what this process shares, at this moment.
        inherited: Returns what it counted itself and forks don't take with them.
        clock: Tells the time of levels and of signs of life.
        most_series: Of how many series of a metric the totals of dead processes are
            kept apart; further ones share `__other__`.
        is_alive: Tells whether the process lives that has an id and a start.
    """

    def __init__(
        self,
        group: Group,
        shared: Callable[[], Iterable[Published]],
        inherited: Callable[[], Iterable[Published]],
        clock: Clock,
        most_series: int,
        is_alive: Callable[[int, str], bool] = is_alive,
    ) -> None:
        self._group = group
        self._shared = shared
        self._inherited = inherited
        self._clock = clock
        self._most_series = most_series
        self._is_alive = is_alive
        self._worker = Worker("svcready-workers", clock)
        self._worker.every(INTERVAL_S, self.tick, name="workers", first_s=0.0)
        self._closed = False
        self._publishing = threading.Lock()
        self._publisher: Publisher | None = None
        self._mine: tuple[Published, ...] = ()
        self._room: Path | None = None
        self._others: Others | None = None
        self._works = False
        self._ticks = 0
        fork.before_fork(self._before_fork)
        fork.reset_in_child(self._after_fork)

    def wake(self) -> None:
        """Publish from now on, if there is somebody to publish for; cheap."""
        self._works = True
        if not self._closed and self._find_room() is not None:
            self._worker.wake()

    def tick(self) -> None:
        """Publish, and now and then take over what the dead have left."""
        if self._publish(WORKS) is None:
            return

        self._ticks += 1
        room = self._room
        if room is not None and self._ticks % _ABSORB_EVERY == 1:
            # From the first on, as some processes don't live for long.
            touch = self._ticks % _TOUCH_EVERY == _ABSORB_EVERY + 1
            self._find_others(room).absorb(anyway=touch)

    def flush(self) -> None:
        """Publish what was counted up to now."""
        self._publish(WORKS)

    def close(self) -> None:
        """Publish for the last time; the levels of this process are gone then."""
        self._closed = True
        self._worker.stop(0.0)
        self._publish(LEFT)

    def families(self) -> tuple[Family, ...] | None:
        """Return the families of the whole service; None if this process is alone."""
        mine = None if self._closed else self._publish(WORKS)
        room = self._room
        if mine is None or room is None:
            return None

        pid, start = self._group.identify()
        me = Part(mine, str(pid), born(pid, start))
        found = self._find_others(room).gather(member_name(pid, start))
        merged = merge([me, *found.parts])
        return (*merged, workers_family(1 + found.live, found.stale))

    def _publish(self, role: int) -> tuple[Published, ...] | None:
        """Publish, and return what was published; None if this process is alone."""
        room = self._find_room()
        if room is None:
            return None

        # Held while everything is read, functions of the application's included: one
        # who has read earlier must not publish later, or totals would fall. So a
        # function that hangs makes others wait, but not for long, and they make do
        # with what was published last.
        publishing = self._publishing
        if not publishing.acquire(timeout=PATIENCE_S):
            return self._mine

        try:
            if role == LEFT or not self._closed:  # nothing comes after the last word
                self._write(room, self._shared(), role)
        finally:
            publishing.release()

        return self._mine

    def _write(self, room: Path, families: Iterable[Published], role: int) -> None:
        if self._publisher is None:
            name = member_name(*self._group.identify())
            self._publisher = Publisher(room, name)

        now_s = self._clock.time_ns() / 1e9
        encoded = self._publisher.encode(families, now_s=now_s)
        try:
            beat_s = self._clock.monotonic()
            self._publisher.publish(encoded, beat_s=beat_s, role=role)
            self._mine = encoded.families
        except OSError as error:
            # The page shows what those of the others do, or totals would fall from
            # one to the next.
            report_fault("metrics.workers", error)
            self._mine = self._published(room) or self._mine or encoded.families

    def _published(self, room: Path) -> tuple[Published, ...]:
        """Return what this process published last, as others read it."""
        try:
            return Peer(room, member_name(*self._group.identify())).read().families
        except (OSError, UnreadableError):
            return ()

    def _find_others(self, room: Path) -> Others:
        if self._others is None:
            self._others = Others(room, self._clock, self._is_alive, self._most_series)

        return self._others

    def _find_room(self) -> Path | None:
        if self._room is None:
            self._room = self._group.room()

        return self._room

    def _before_fork(self) -> None:
        # A child starts from zero and a server's master serves nobody, so what it has
        # counted by now is published here, or nobody would ever see it. Who works
        # publishes in time, once a child of its has become a worker, too.
        if self._closed or self._works:
            return

        counted = tuple(self._inherited())
        room = self._group.room(for_children=True) if _any_counted(counted) else None
        if room is not None and self._publishing.acquire(blocking=False):
            try:
                self._write(room, counted, PARENT)
            finally:
                self._publishing.release()

    def _after_fork(self) -> None:
        self._publishing = threading.Lock()
        self._publisher = self._room = self._others = None
        self._mine = ()
        self._works = False
        self._ticks = 0


def _any_counted(families: Iterable[Published]) -> bool:
    return any(
        (point.observations if isinstance(point, Distribution) else point.value)
        for family, _ in families
        for point in family.points
    )


def workers_family(live: int, stale: int) -> Family:
    """Return how many processes publish, and how many should and don't."""
    name, text = (
        "svcready_workers",
        "Processes of the service, by whether they publish.",
    )
    points = (Number(("live",), live), Number(("stale",), stale))
    return Family(name, name, "gauge", text, "", ("state",), points, "svcready")
