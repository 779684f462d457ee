"""How the processes of one service meet: the directory they share, and who is first."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from svcready._transport.leftovers import stale

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["find_run_dir", "is_alive", "is_first_of_group", "parent_of", "start_of"]

_STALE_AFTER_S = 7 * 86400.0
_OWNER_ONLY = 0o700
_ENDED = "ZXx"
_SHORT = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))


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
    parent = parent_of()
    if run_dir is None or parent is None:
        return True

    mark = run_dir / f"started-{parent[0]}-{parent[1]}"
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    except OSError:
        return True

    _sweep(run_dir)
    return True


def parent_of() -> tuple[int, str] | None:
    """Return process id and start of this process's supervisor, if it has one."""
    if not _is_supervised():
        return None

    parent = os.getppid()
    return parent, start_of(parent)


def start_of(pid: int) -> str:
    """Return when *pid* started, so that a number used again is another process."""
    try:
        return _about(pid)[1]
    except OSError:
        return "0"


def is_alive(pid: int, start: str) -> bool:
    """Tell whether the process *pid* that started at *start* still runs."""
    try:
        state, started = _about(pid)
    except OSError:  # whoever takes it for dead would take over what it has
        state = ""
    else:
        if state:
            return started == start and state not in _ENDED

        if os.path.exists("/proc/self/stat"):  # noqa: PTH110 - it is, and no such
            return False

    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False

    return True


def _about(pid: int) -> tuple[str, str]:
    """
    Return the state and the start of *pid*; empty and `0` if it cannot be known.

    Raises:
        OSError: It cannot be known now, because this process has too many files open.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError as error:
        if error.errno in _SHORT:
            raise

        return "", "0"

    # proc(5): fields 3 and 22; the command before may hold spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[19]


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
    if spawned:
        return True

    under_gunicorn = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    return under_gunicorn and _is_forked_worker()


def _is_forked_worker() -> bool:
    """
    Tell a worker of gunicorn's from its master, which loads the application too.

    Both have the variable, and so has any command that a worker starts. A worker was
    forked and has its master's command line, or says itself what it is.
    """
    own, parents = _command_line("self"), _command_line(str(os.getppid()))
    return own in {b"", parents} or own.startswith(b"gunicorn: worker")


def _command_line(pid: str) -> bytes:
    """Return what a process was started with; empty if it cannot be known."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _sweep(run_dir: Path) -> None:
    """Remove the marks of groups that are long gone."""
    oldest_s = time.time() - _STALE_AFTER_S
    for mark in stale(run_dir, "started-", oldest_s):
        with suppress(OSError):
            mark.unlink()
