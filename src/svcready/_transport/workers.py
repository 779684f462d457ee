"""How the processes of one service meet: the directory they share, and who is first."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["find_run_dir", "is_first_of_group"]

_STALE_AFTER_S = 7 * 86400.0
_OWNER_ONLY = 0o700


def find_run_dir(configured: str, environ: Mapping[str, str]) -> Path | None:
    """
    Return a directory that only this user can write to, made if need be.

    Args:
        configured: The setting; empty takes `$XDG_RUNTIME_DIR/svcready`, then
            `/run/svcready`, then `svcready-<uid>` in the directory for temporary
            files.
        environ: The environment variables.

    Returns:
        None if there is none: each process then stands alone.
    """
    if configured:
        candidates = [Path(configured)]
    else:
        uid = os.getuid() if hasattr(os, "getuid") else "user"
        runtime = environ.get("XDG_RUNTIME_DIR", "")
        candidates = [Path(runtime, "svcready")] if runtime else []
        candidates += [
            Path("/run/svcready"),
            Path(tempfile.gettempdir(), f"svcready-{uid}"),
        ]

    return next((path for path in candidates if _is_usable(path)), None)


def is_first_of_group(run_dir: Path | None) -> bool:
    """
    Tell whether this process is the first of its group to ask.

    A group is what one supervisor runs: the workers of gunicorn or of uvicorn. A
    process without a supervisor is a group by itself.

    Args:
        run_dir: Where the processes meet; without one every process is the first.
    """
    if run_dir is None or not _is_supervised():
        return True

    parent = os.getppid()
    mark = run_dir / f"started-{parent}-{_start_of(parent)}"
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    except OSError:
        return True

    _sweep(run_dir)
    return True


def _is_usable(path: Path) -> bool:
    try:
        path.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        found = path.stat(follow_symlinks=False)
    except OSError:
        return False

    owned = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    closed = not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and owned and closed and os.access(path, os.W_OK)


def _is_supervised() -> bool:
    multiprocessing = sys.modules.get("multiprocessing.process")
    spawned = multiprocessing is not None and multiprocessing.parent_process()
    under_gunicorn = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    return bool(spawned) or under_gunicorn


def _start_of(pid: int) -> str:
    """Return when *pid* started, so that a number used again is another group."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except OSError:
        return "0"

    # proc(5): field 22; the command before it may hold spaces and parentheses.
    return text.rpartition(")")[2].split()[19]


def _sweep(run_dir: Path) -> None:
    """Remove the marks of groups that are long gone."""
    oldest_s = time.time() - _STALE_AFTER_S
    for mark in run_dir.glob("started-*"):
        try:
            if mark.stat().st_mtime < oldest_s:
                mark.unlink()
        except OSError:
            continue
