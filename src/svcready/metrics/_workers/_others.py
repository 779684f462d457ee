"""The others: what a service's other processes published, and what its dead left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.events import ItemsDropped, publish
from svcready._core.guard import report_fault
from svcready.metrics._workers import _files
from svcready.metrics._workers._member import (
    LEFT,
    VALUES,
    WORKS,
    Peer,
    parse_member,
)
from svcready.metrics._workers._merge import Part
from svcready.metrics._workers._past import EMPTY, Past, locked
from svcready.metrics._workers._reading import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from svcready._core.clock import Clock
    from svcready.metrics._events import SeriesCapped
    from svcready.metrics._workers._layout import Published
    from svcready.metrics._workers._member import Seen
    from svcready.metrics._workers._past import Kept

__all__ = ["PATIENCE_S", "STALE_S", "Gathered", "Others", "born"]

STALE_S = 3.0
"""A process that gave no sign of life for so long is reported."""
PATIENCE_S = 0.2
"""For how long a page waits for anything."""
_READS = 3


class Gathered(NamedTuple):
    """All but the process that asks."""

    parts: list[Part]
    live: int
    """How many of them work and publish."""
    stale: int
    """How many of them should and don't."""


class _Known(NamedTuple):
    """What is kept between two readings of the room."""

    past: Past
    peers: dict[str, Peer]


class Others:
    """
    Reads a room, and moves the totals of dead processes to its past.

    What cannot be read for a moment, because this process has too many files open, is
    shown as it was read last, and is not taken for gone.

    Args:
        room: The directory.
        clock: Tells the time, and who is late.
        is_alive: Tells whether the process lives that has an id and a start.
        most_series: Of how many series of a metric the totals of the dead are kept.
    """

    def __init__(
        self,
        room: Path,
        clock: Clock,
        is_alive: Callable[[int, str], bool],
        most_series: int,
    ) -> None:
        self._room = room
        self._clock = clock
        self._is_alive = is_alive
        self._most_series = most_series
        self._reported: set[str] = set()
        self._told: set[str] = set()
        self._names: set[str] | None = None
        self._known: _Known | None = None

    def gather(self, me: str) -> Gathered:
        """
        Read all others and the past, at a moment in which nobody is in both.

        Args:
            me: The name of the process that asks.

        Raises:
            OSError: Something cannot be read now, and never was.
        """
        # Taken out while it is used, so that two threads never read with the same.
        known, self._known = self._known, None
        known = known or _Known(Past(self._room), {})
        ends_s = time.monotonic() + PATIENCE_S
        try:
            while True:
                edition = known.past.edition()
                kept = self._read_past(known.past)
                parts, stale = self._read_peers(known.peers, {me, *kept.absorbed})
                if known.past.edition() == edition or time.monotonic() >= ends_s:
                    break
        finally:
            self._known = known

        live = sum(part.works for part in parts) - stale
        return Gathered([*parts, *kept.parts()], live, stale)

    def absorb(self, *, anyway: bool) -> None:
        """
        Move the totals of dead processes to the past, if nobody else is at it.

        Args:
            anyway: Also keep the past from whoever removes what is old.
        """
        try:
            members = ((n, parse_member(n)) for n in _files.listed(self._room, VALUES))
            dead = [n for n, who in members if who and not self._is_alive(*who)]
            if not dead and not anyway:
                return

            full = self._absorb(dead)
        except OSError as error:  # a full disk: their own files are read on
            report_fault("metrics.workers", error)
            return

        for capped in full:
            if capped.metric not in self._told:
                self._told.add(capped.metric)
                publish(capped)

    def _absorb(self, dead: Sequence[str]) -> tuple[SeriesCapped, ...]:
        with locked(self._room) as ours:
            if not ours:
                return ()

            past = Past(self._room)
            now_s = self._clock.time_ns() / 1e9
            full = past.absorb(dead, self._read_dead, now_s, self._most_series)
            past.touch()
            return full

    def _read_past(self, past: Past) -> Kept:
        try:
            return past.read()
        except UnreadableError as error:
            self._report("past", error)
            return EMPTY
        except OSError:
            if past.last is None:
                raise

            return past.last

    def _read_peers(
        self, peers: dict[str, Peer], without: set[str]
    ) -> tuple[list[Part], int]:
        names = sorted(self._find_names() - without)
        for gone in peers.keys() - names:
            del peers[gone]

        parts: list[Part] = []
        stale = 0
        now_s = self._clock.monotonic()
        for name in names:
            member = parse_member(name)
            if member is None:
                continue

            lives = self._is_alive(*member)
            peer = peers.setdefault(name, Peer(self._room, name))
            seen = self._read(name, peer)
            if seen is None:
                continue

            works = lives and seen.role == WORKS
            stale += works and now_s - seen.beat_s > STALE_S
            parts.append(
                Part(
                    seen.families,
                    str(member[0]),
                    born(*member),
                    lives and seen.role != LEFT,
                    works,
                )
            )

        return parts, stale

    def _find_names(self) -> set[str]:
        """Return whose files there are, or were when that could last be seen."""
        try:
            names = set(_files.listed(self._room, VALUES))
        except OSError:
            if self._names is None:  # no page is better than that of a part
                raise

            return self._names

        self._names = names
        return names

    def _read(self, name: str, peer: Peer) -> Seen | None:
        """
        Return what a process published last; None if that is gone or unreadable.

        Raises:
            OSError: It cannot be read now, and never was.
        """
        for _ in range(_READS):
            try:
                seen = peer.read()
            except FileNotFoundError:  # absorbed, unless it has just begun anew
                if not (self._room / f"{name}{VALUES}").exists():
                    return None
            except UnreadableError as error:
                self._report(name, error)
                return peer.last
            except OSError:
                if peer.last is None:
                    raise

                return peer.last
            else:
                self._reported.discard(name)
                return seen

        return peer.last

    def _read_dead(self, name: str) -> tuple[Published, ...] | None:
        try:
            seen = self._read(name, Peer(self._room, name))
        except OSError:  # its totals wait until it can be read
            return None

        return () if seen is None else seen.families

    def _report(self, name: str, error: UnreadableError) -> None:
        """Count what cannot be read, once until it can be."""
        if name not in self._reported:
            self._reported.add(name)
            publish(ItemsDropped("metrics.workers", "unreadable", 1))
            report_fault("metrics.workers", error)


def born(pid: int, start: str) -> tuple[int, int]:
    """Return what tells the elder of two processes, which is less."""
    return (int(start) if start.isdecimal() else 0, pid)
