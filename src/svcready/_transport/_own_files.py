"""Small JSON files that processes of one user leave for each other."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["MOST_BYTES", "encode", "is_ours", "namespace", "read", "write"]

MOST_BYTES = 64 * 1024
"""Of a longer file nothing is read."""

_FORMAT = 1
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


def encode(said: Mapping[str, object]) -> bytes:
    """Return what a file that says *said* holds."""
    return json.dumps({"format": _FORMAT, **said}).encode()


def write(path: Path, said: Mapping[str, object] | bytes) -> None:
    """
    Write a file that only this user can read, and follow no link.

    Args:
        path: Where; what is there is overwritten, so it should be a draft.
        said: What it says, or what `encode` made of that.

    Raises:
        OSError: It cannot be written.
    """
    text = said if isinstance(said, bytes) else encode(said)
    flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | _NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(text)


def read(path: Path) -> dict[str, object] | None:
    """
    Read what `write` wrote.

    Returns:
        None of what is missing, another user's, no plain file or of another version.
    """
    flags = os.O_RDONLY | _NOFOLLOW | getattr(os, "O_NONBLOCK", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            known = os.fstat(file.fileno())
            if not stat.S_ISREG(known.st_mode) or not is_ours(known):
                return None

            said = json.loads(file.read(MOST_BYTES + 1))
    except (OSError, ValueError, RecursionError):
        return None

    if not isinstance(said, dict) or said.pop("format", None) != _FORMAT:
        return None

    return said


def is_ours(found: os.stat_result) -> bool:
    """Tell whether a file is this user's."""
    return not hasattr(os, "getuid") or found.st_uid == os.getuid()


def namespace() -> str:
    """Return what tells process ids of one container from those of another."""
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)  # noqa: PTH116 - no real file
    except OSError:
        return "0"
