"""The only writer of file descriptor 1: whole lines, one after another."""

from __future__ import annotations

import os

from svcready._transport._channel import Channel
from svcready._transport._drops import Recovered
from svcready._transport._outlet import STDOUT

__all__ = ["STDOUT", "Channel", "Recovered", "is_terminal", "write"]

_STDOUT_FD = 1

_direct = Channel("stdout", STDOUT, delivery="sync")


def write(line: bytes) -> None:
    """Write one line to standard output now; never raises."""
    _direct.write(line, 0)


def is_terminal() -> bool:
    """
    Tell whether a person reads what `write` writes.

    The descriptor is asked, not `sys.stdout`, which may be closed, replaced or None.
    """
    return os.isatty(_STDOUT_FD)
