"""Finds out whether a port is the one that the application itself is served on."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_apps_port"]

_SERVERS = ("uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "waitress-serve")
_OPTIONS = ("--port", "-p", "--bind", "-b")
_VARIABLES = ("UVICORN_PORT", "GUNICORN_CMD_ARGS")
_DESCRIPTORS = "/proc/self/fd"
_TABLES = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
_LISTENS = "0A"


def is_apps_port(port: int, *, listens: bool) -> bool:
    """
    Tell whether the application's server has *port*, or will ask for it.

    Args:
        port: The port.
        listens: Whether somebody listens on it already. If nobody does, the server's
            command line is all there is to go by.
    """
    if listens:
        return _listens_on(port)

    # Another program's --port may be anything.
    program = Path("".join(sys.argv[:1])).parts[-2:]
    if not any(name in program for name in _SERVERS):
        return False

    words = list(sys.argv[1:])
    for variable in _VARIABLES:
        value = os.environ.get(variable, "")
        words += ["--port", value] if value.isdecimal() else value.split()

    return port in _ports_of(words)


def _ports_of(words: list[str]) -> set[int]:
    ports = set()
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        if option in _OPTIONS:
            number = (value if equals else following).rpartition(":")[2]
            if number.isdecimal():
                ports.add(int(number))

    return ports


def _listens_on(port: int) -> bool:
    """
    Tell whether this very process listens on *port*.

    The tables are read and no descriptor is touched, for they are the application's.
    """
    inodes = {inode for table in _TABLES for inode in _listening(Path(table), port)}
    if not inodes:
        return False

    for descriptor in _listed(Path(_DESCRIPTORS)):
        with suppress(OSError):
            if str(descriptor.readlink()) in inodes:
                return True

    return False


def _listening(table: Path, port: int) -> Iterator[str]:
    """Return the sockets that listen on *port*, as descriptors' links name them."""
    with suppress(OSError):
        for line in table.read_text("utf-8", "replace").splitlines()[1:]:
            fields = line.split()  # proc_pid_net(5): sl, local, remote, state, ...
            if fields[3] == _LISTENS and fields[1].endswith(f":{port:04X}"):
                yield f"socket:[{fields[9]}]"


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []
