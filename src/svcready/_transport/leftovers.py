"""What processes that are gone left in the run directory, a few files at a time."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["AT_ONCE", "stale"]

AT_ONCE = 64
"""How many files a starting process looks at, however many there are."""

_CHOICE = random.SystemRandom()  # an application's own draws are none of ours


def stale(run_dir: Path, prefix: str, older_than_s: float) -> list[Path]:
    """
    Return files that nobody changed for long: some of them, chosen by chance.

    So many processes that start clear a full directory, and none of them waits for it.

    Args:
        run_dir: Where to look.
        prefix: What their names begin with.
        older_than_s: The Unix time, in seconds, before which they were last changed.
    """
    try:
        names = [it for it in os.listdir(run_dir) if it.startswith(prefix)]  # noqa: PTH208
    except OSError:
        return []

    if len(names) > AT_ONCE:
        names = _CHOICE.sample(names, AT_ONCE)

    return [path for name in names if _is_older(path := run_dir / name, older_than_s)]


def _is_older(path: Path, than_s: float) -> bool:
    try:
        return path.lstat().st_mtime < than_s
    except OSError:  # somebody else was faster
        return False
