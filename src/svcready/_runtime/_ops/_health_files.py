"""What each worker says of its health where the others can read it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from svcready._transport import _own_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["WorkerHealth", "read_all", "remove", "write"]

_SUFFIX = ".health"
_OWNER_ONLY = 0o700


class WorkerHealth(NamedTuple):
    """The health of one worker at one moment."""

    pid: int
    start: str
    """When it started, so that a process id used again is another worker."""
    beat_s: float
    """When it said so, on the monotonic clock, which all processes share."""
    state: str
    """Where in its life it is: `ready`, `draining`, `broken`, ..."""
    since: str
    """Since when, as a time stamp."""
    probes: dict[str, str]
    """The status of each probe and group: `pass`, `warn` or `fail`."""
    faults: dict[str, str]
    """Why it is broken, by what; empty while it is not."""


def write(room: Path, health: WorkerHealth) -> None:
    """
    Publish *health* in place of what its worker published before.

    Raises:
        OSError: It cannot be written; what was there before stays.
    """
    with suppress(FileExistsError):
        room.mkdir(mode=_OWNER_ONLY)

    target = room / f"{health.pid}-{health.start}{_SUFFIX}"
    draft = room / f".{health.pid}-{health.start}{_SUFFIX}"
    _own_files.write(draft, health._asdict())
    draft.replace(target)


def read_all(room: Path) -> Iterator[WorkerHealth]:
    """Read what every worker published, those that are gone included."""
    try:
        names = os.listdir(room)  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return

    for name in names:
        if name.endswith(_SUFFIX) and not name.startswith("."):
            found = _read(room / name)
            if found is not None:
                yield found


def remove(room: Path, pid: int, start: str) -> None:
    """Remove what a worker published."""
    for name in (f"{pid}-{start}{_SUFFIX}", f".{pid}-{start}{_SUFFIX}"):
        with suppress(OSError):
            (room / name).unlink()


def _read(path: Path) -> WorkerHealth | None:
    found = _own_files.read(path)
    if found is None:
        return None

    try:
        return WorkerHealth(**found)  # type: ignore[arg-type] # as one of us wrote it
    except TypeError:  # another version's
        return None
