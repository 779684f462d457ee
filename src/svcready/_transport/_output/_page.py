"""A page of memory shared by the processes that write to one pipe or socket."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from svcready._transport.leftovers import stale

if TYPE_CHECKING:
    import mmap
    from pathlib import Path

__all__ = ["Page"]

_SIZE = 4096
_STALE_AFTER_S = 86400.0
_TRIES = 5


class Page:
    """
    A page of memory, in a file named by the pipe's numbers.

    Each process that uses the file holds a shared record lock on its first byte, so
    that files which nobody uses can be told and removed.

    Args:
        fd: The file.
        memory: The page.
    """

    __slots__ = ("fd", "memory")

    def __init__(self, fd: int, memory: mmap.mmap) -> None:
        self.fd = fd
        self.memory = memory

    @classmethod
    def open(cls, shared_fd: int, run_dir: Path | None) -> Page | None:
        """
        Return the page of those that write to *shared_fd*; None if there can't be one.

        Args:
            shared_fd: The pipe or socket.
            run_dir: Where the processes of this user meet.
        """
        if run_dir is None:
            return None

        try:
            import fcntl  # noqa: F401 - whether there is one
            import mmap

            found = os.fstat(shared_fd)
            path = run_dir / f"stdout-{found.st_dev}-{found.st_ino}"
            fd = _open_used(path)
            try:
                if os.fstat(fd).st_size < _SIZE:
                    _sweep(run_dir, path)

                # A hole would do, if no disk were ever full: the first write to a
                # page that has no block ends the process, by SIGBUS.
                os.posix_fallocate(fd, 0, _SIZE)
                return cls(fd, mmap.mmap(fd, _SIZE))
            except (OSError, AttributeError):  # full, or no such call here
                os.close(fd)
                return None
        except (OSError, ImportError):
            return None

    def close(self) -> None:
        """Leave it; the memory goes when the last reader lets go of it."""
        os.close(self.fd)


def _open_used(path: Path) -> int:
    """Open *path* marked as used, made if need be."""
    import fcntl

    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    for _ in range(_TRIES):
        fd = os.open(path, flags, 0o600)
        try:
            fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB, 1)
            if os.fstat(fd).st_ino == path.stat().st_ino:
                return fd
        except OSError:  # somebody is removing it
            pass

        os.close(fd)

    raise FileNotFoundError(path)


def _sweep(run_dir: Path, own: Path) -> None:
    """Remove the files of pipes that nobody writes to any more."""
    import fcntl

    oldest_s = time.time() - _STALE_AFTER_S
    for path in stale(run_dir, "stdout-", oldest_s):
        if path == own:
            continue

        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
                path.unlink()
            finally:
                os.close(fd)
        except OSError:
            continue
