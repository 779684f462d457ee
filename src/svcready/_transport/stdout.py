"""The only writer of file descriptor 1: whole lines, one after another."""

from __future__ import annotations

import os
import stat

from svcready._transport._output._channel import Channel
from svcready._transport._output._drops import Recovered
from svcready._transport._output._outlet import STDOUT

__all__ = [
    "STDOUT",
    "Channel",
    "Recovered",
    "columns",
    "is_stream",
    "is_terminal",
    "notices",
    "write",
]

_STDOUT_FD = 1

_TORN = (
    "lines over 4096 bytes may be torn by those of other processes: there is no"
    " directory in which they can meet (SVCREADY_CORE_RUN_DIR)"
)

_direct = Channel("stdout", STDOUT, delivery="sync")


def write(line: bytes) -> None:
    """Write one line to standard output now; never raises."""
    _direct.write(line, 0)


def notices() -> list[str]:
    """Return what is worth knowing of standard output, and no problem."""
    with STDOUT.lock:
        try:
            STDOUT.sender.look()
        except OSError:  # closed: each line tells of it
            return []

        if not STDOUT.sender.is_torn_by_others():
            return []

    return [_TORN]


def is_terminal() -> bool:
    """
    Tell whether a person reads what `write` writes.

    The descriptor is asked, not `sys.stdout`, which may be closed, replaced or None.
    """
    return os.isatty(_STDOUT_FD)


def is_stream() -> bool:
    """Tell whether standard output is a pipe or socket, as in a container."""
    try:
        mode = os.fstat(_STDOUT_FD).st_mode
    except OSError:  # closed
        return False

    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def columns() -> int:
    """Return the width of the terminal that standard output is; 0 if not known."""
    try:
        return os.get_terminal_size(_STDOUT_FD).columns
    except OSError:  # none, or closed
        return 0
