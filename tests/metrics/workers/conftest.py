from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from svcready.metrics._model import Family, Number
from svcready.metrics._workers._layout import Published
from svcready.metrics._workers._service import Together
from svcready.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


MOST_SERIES = 4000


class Process(NamedTuple):
    """What stands for one process of the group."""

    pid: int
    together: Together
    counts: dict[str, float]
    levels: dict[str, float]

    def page(self) -> dict[str, Family]:
        """Return the families of its page."""
        families = self.together.families()
        assert families is not None
        return {family.exposition: family for family in families}

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """Return the values of a family of its page by label values."""
        family = self.page().get(name)
        points = () if family is None else family.points
        return {p.labels: p.value for p in points if isinstance(p, Number)}


class Service:
    """A group whose processes are all in this one, in a directory."""

    def __init__(self, room: Path, clock: FakeClock) -> None:
        self.room = room
        self.clock = clock
        self.dead: set[int] = set()
        self._next = 100

    def start(self, mode: str = "sum") -> Process:
        """Start a process that has a counter `orders` and a gauge `level`."""
        self._next += 1
        pid = self._next
        counts: dict[str, float] = {}
        levels: dict[str, float] = {}

        class Here:
            """The group as this process has it."""

            def room(here, *, for_children: bool = False) -> Path:  # noqa: N805
                del for_children
                return self.room

            def identify(here) -> tuple[int, str]:  # noqa: N805
                return pid, "7"

        def shared() -> Iterator[Published]:
            yield Published(family("counter", "orders", counts))
            yield Published(family("gauge", "level", levels, mode))

        together = Together(
            Here(),  # type: ignore[arg-type]
            shared,
            tuple,
            self.clock,
            MOST_SERIES,
            lambda pid, _: pid not in self.dead,
        )
        return Process(pid, together, counts, levels)

    def kill(self, process: Process) -> None:
        """End a process without a word."""
        self.dead.add(process.pid)

    def files(self) -> list[str]:
        """Return the names of all files but the lock."""
        names = (path.name for path in self.room.iterdir())
        return sorted(name for name in names if name != "lock")


def family(
    kind: str, name: str, values: dict[str, float], workers: str = "sum"
) -> Family:
    """Return a family with one label."""
    points = tuple(Number((key,), value) for key, value in values.items())
    return Family(
        name, name, kind, "What", "", ("kind",), points, "application", workers
    )


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A service without processes."""
    room = tmp_path / "group" / "metrics"
    return Service(room, FakeClock())
