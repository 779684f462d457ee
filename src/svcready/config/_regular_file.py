"""Reads files that settings name, without waiting and within a bound."""

from __future__ import annotations

import os
import stat

__all__ = ["read_regular_file"]

_MOST_BYTES = 1024 * 1024


def read_regular_file(path: str, most_bytes: int = _MOST_BYTES) -> bytes:
    """
    Read a regular file whole; never waits, as opening a pipe would.

    Raises:
        OSError: It cannot be opened or read.
        ValueError: It is no regular file, or larger than *most_bytes*.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - a descriptor
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")

        content = file.read(most_bytes + 1)

    if len(content) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes} bytes")

    return content
