"""The marks that serving processes leave, by which the command line finds them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from svcready._transport import _own_files
from svcready._transport.workers import is_alive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Mark", "forget", "marks", "order", "ordered", "place_of", "write"]

_SERVING, _ORDER = "serving", "order"


class Mark(NamedTuple):
    """A process that serves, and what it says of itself."""

    pid: int
    start: str
    said: Mapping[str, object]


def write(run_dir: Path, process: tuple[int, str], said: Mapping[str, object]) -> None:
    """
    Leave *process*'s mark, or renew it.

    Raises:
        OSError: It cannot be written.
    """
    _write(place_of(run_dir, process), said)


def forget(run_dir: Path, process: tuple[int, str]) -> None:
    """Remove *process*'s mark and what it was ordered."""
    for kind in (_SERVING, _ORDER):
        with suppress(OSError):
            place_of(run_dir, process, kind).unlink(missing_ok=True)


def marks(run_dir: Path) -> list[Mark]:
    """Return the processes of this process namespace that serve, the dead removed."""
    found = []
    kin = f"{_SERVING}-{_own_files.namespace()}-"
    for path in run_dir.glob(f"{kin}*"):
        pid, _, start = path.name[len(kin) :].partition("-")
        if not pid.isdecimal():
            continue

        if not is_alive(int(pid), start):
            forget(run_dir, (int(pid), start))
            continue

        said = _own_files.read(path)
        if said is not None:
            found.append(Mark(int(pid), start, said))

    return sorted(found)


def order(run_dir: Path, process: tuple[int, str], what: Mapping[str, object]) -> None:
    """
    Tell *process* what to do; it looks once a second.

    Raises:
        OSError: It cannot be written.
    """
    _write(place_of(run_dir, process, _ORDER), what)


def ordered(run_dir: Path, process: tuple[int, str]) -> Mapping[str, object] | None:
    """Return what *process* was told, once; None if nothing."""
    path = place_of(run_dir, process, _ORDER)
    what = _own_files.read(path)
    if what is not None:
        with suppress(OSError):
            path.unlink(missing_ok=True)

    return what


def place_of(run_dir: Path, process: tuple[int, str], kind: str = _SERVING) -> Path:
    """Return the file of a process: its mark, or what it is ordered."""
    return run_dir / f"{kind}-{_own_files.namespace()}-{process[0]}-{process[1]}"


def _write(path: Path, said: Mapping[str, object]) -> None:
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    _own_files.write(draft, said)
    draft.replace(path)
