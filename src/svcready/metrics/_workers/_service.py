"""The service: publishes this process' metrics, and joins all processes' into one."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready._core.events import ItemsDropped, publish
from svcready._core.guard import report_fault
from svcready._core.worker import Worker
from svcready._transport.workers import is_alive
from svcready.metrics._model import Distribution, Family, Number
from svcready.metrics._workers import _files
from svcready.metrics._workers._member import (
    LEFT,
    PARENT,
    VALUES,
    WORKS,
    Peer,
    Publisher,
    member_name,
    parse_member,
)
from svcready.metrics._workers._merge import Part, merge
from svcready.metrics._workers._past import EMPTY, Past, locked
from svcready.metrics._workers._reading import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from svcready._core.clock import Clock
    from svcready._transport.group import Group
    from svcready.metrics._workers._layout import Published
    from svcready.metrics._workers._member import Seen
    from svcready.metrics._workers._past import Kept

__all__ = ["INTERVAL_S", "STALE_S", "Together", "workers_family"]

INTERVAL_S = 0.8
"""With the time that publishing takes, a killed process loses at most one second."""
STALE_S = 3.0
"""A process that gave no sign of life for so long is reported."""
_PATIENCE_S = 0.2
_ABSORB_EVERY = 3
_TOUCH_EVERY = 4096
_READS = 3


class _Known(NamedTuple):
    """What is kept between two readings of the room."""

    past: Past
    peers: dict[str, Peer]


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
        is_alive: Tells whether the process lives that has an id and a start.
    """

    def __init__(
        self,
        group: Group,
        shared: Callable[[], Iterable[Published]],
        inherited: Callable[[], Iterable[Published]],
        clock: Clock,
        is_alive: Callable[[int, str], bool] = is_alive,
    ) -> None:
        self._group = group
        self._shared = shared
        self._inherited = inherited
        self._clock = clock
        self._is_alive = is_alive
        self._worker = Worker("svcready-workers", clock)
        self._worker.every(INTERVAL_S, self.tick, name="workers", first_s=0.0)
        self._closed = False
        self._reported: set[str] = set()
        self._publishing = threading.Lock()
        self._publisher: Publisher | None = None
        self._mine: tuple[Published, ...] = ()
        self._room: Path | None = None
        self._known: _Known | None = None
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
        if self._ticks % _ABSORB_EVERY == 1:  # at once, as some don't live for long
            self._absorb()

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
        me = Part(mine, str(pid), _born(pid, start))
        # Taken out while it is used, so that two threads never read with the same.
        known, self._known = self._known, None
        known = known or _Known(Past(room), {})
        try:
            others, kept, stale = self._gather(room, known, member_name(pid, start))
        finally:
            self._known = known

        merged = merge([me, *others, *kept.parts()])
        live = 1 + sum(part.works for part in others) - stale
        return (*merged, workers_family(live, stale))

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
        if not publishing.acquire(timeout=_PATIENCE_S):
            return self._mine

        try:
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
        self._mine = encoded.families
        try:
            beat_s = self._clock.monotonic()
            self._publisher.publish(encoded, beat_s=beat_s, role=role)
        except OSError as error:
            report_fault("metrics.workers", error)

    def _gather(
        self, room: Path, known: _Known, me: str
    ) -> tuple[list[Part], Kept, int]:
        """Read all others and the past, at a moment in which nobody is in both."""
        ends_s = time.monotonic() + _PATIENCE_S
        while True:
            edition = known.past.edition()
            try:
                kept = known.past.read()
            except UnreadableError as error:
                self._report("past", error)
                kept = EMPTY

            others, stale = self._read_others(room, known, {me, *kept.absorbed})
            if known.past.edition() == edition or time.monotonic() >= ends_s:
                return others, kept, stale

    def _read_others(
        self, room: Path, known: _Known, without: set[str]
    ) -> tuple[list[Part], int]:
        names = sorted(set(_files.listed(room, VALUES)) - without)
        for gone in known.peers.keys() - names:
            del known.peers[gone]

        others: list[Part] = []
        stale = 0
        now_s = self._clock.monotonic()
        for name in names:
            member = parse_member(name)
            if member is None:
                continue

            lives = self._is_alive(*member)
            peer = known.peers.setdefault(name, Peer(room, name))
            seen = self._read(room, name, peer)
            if seen is None:
                continue

            works = lives and seen.role == WORKS
            stale += works and now_s - seen.beat_s > STALE_S
            others.append(
                Part(
                    seen.families,
                    str(member[0]),
                    _born(*member),
                    lives and seen.role != LEFT,
                    works,
                )
            )

        return others, stale

    def _read(self, room: Path, name: str, peer: Peer) -> Seen | None:
        """Return what a process published last; None if that is gone or unreadable."""
        for _ in range(_READS):
            try:
                seen = peer.read()
            except FileNotFoundError:  # absorbed, unless it has just begun anew
                if not (room / f"{name}{VALUES}").exists():
                    return None
            except UnreadableError as error:
                self._report(name, error)
                return peer.last
            else:
                self._reported.discard(name)
                return seen

        return peer.last

    def _report(self, name: str, error: UnreadableError) -> None:
        """Count what cannot be read, once until it can be."""
        if name not in self._reported:
            self._reported.add(name)
            publish(ItemsDropped("metrics.workers", "unreadable", 1))
            report_fault("metrics.workers", error)

    def _absorb(self) -> None:
        """Move the totals of dead processes to the past, if nobody else is at it."""
        room = self._room
        if room is None:
            return

        members = ((n, parse_member(n)) for n in _files.listed(room, VALUES))
        dead = [n for n, who in members if who is not None and not self._is_alive(*who)]
        if not dead and self._ticks % _TOUCH_EVERY:
            return

        def read(name: str) -> tuple[Published, ...]:
            seen = self._read(room, name, Peer(room, name))
            return () if seen is None else seen.families

        try:
            with locked(room) as ours:
                if ours:
                    past = Past(room)
                    past.absorb(dead, read, self._clock.time_ns() / 1e9)
                    past.touch()
        except OSError as error:  # a full disk: their own files are read on
            report_fault("metrics.workers", error)

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
        self._publisher = self._room = self._known = None
        self._mine = ()
        self._works = False
        self._ticks = 0


def _born(pid: int, start: str) -> tuple[int, int]:
    return (int(start) if start.isdecimal() else 0, pid)


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
