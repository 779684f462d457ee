"""Writing to a descriptor that others share, without ever waiting for it."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ATOMIC_BYTES", "NonBlocking"]

ATOMIC_BYTES: int = getattr(select, "PIPE_BUF", 512)
"""What goes into a pipe in one piece or not at all: 4 096 bytes on Linux."""

_NOWAIT = getattr(os, "RWF_NOWAIT", 0)
_UNSUPPORTED = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ESPIPE}


class _OwnDescription:
    """
    A pipe opened a second time, not blocking; closed when nobody uses it any more.

    Args:
        fd: The pipe.
    """

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = os.open(
            f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )

    def write(self, data: bytes | memoryview) -> int:
        """Write what fits."""
        return os.write(self._fd, data)

    def __del__(self) -> None:
        try:
            os.close(self._fd)
        except AttributeError:  # it could not be opened
            pass


class NonBlocking:
    """
    Writes to *fd* without blocking, in the best way that *fd* allows.

    The flags of *fd* are never changed, because other processes share them. Polling
    first would not do: a pipe with room for one byte is writable, and a longer write
    to it waits. So a pipe's or socket's kernel is asked per call (`RWF_NOWAIT`);
    where it can't be, the pipe is opened a second time; where that is not allowed
    either, every write would have to wait, so that a thread does the writing.
    Files don't block, and a terminal does only for the person before it.

    Args:
        fd: The descriptor.
        nowait: False leaves out the question to the kernel, as older ones do.
    """

    __slots__ = (
        "_fd",
        "_nowait",
        "_place",
        "is_pipe",
        "is_shared",
        "looked",
        "never",
        "whole_bytes",
        "write",
    )

    write: Callable[[bytes | memoryview], int]
    """
    Write what fits and return how many bytes that was.

    Raises BlockingIOError if it would have to wait, OSError as `os.write` does.
    """

    def __init__(self, fd: int, *, nowait: bool = True) -> None:
        self._fd = fd
        self._nowait = nowait and _NOWAIT != 0
        self._unchosen()

    def choose(self) -> None:
        """Look at the descriptor again at the next write; it may be another now."""
        self._unchosen()

    def look(self) -> None:
        """
        Look at the descriptor now.

        Raises:
            OSError: It is closed.
        """
        self.write = self._chosen()
        self.looked = True

    def is_replaced(self) -> bool:
        """Tell whether the descriptor is another one than when it was looked at."""
        try:
            found = os.fstat(self._fd)
        except OSError:  # closed: each write tells of it
            return False

        return self._place not in {None, (found.st_dev, found.st_ino)}

    def _unchosen(self) -> None:
        self.write = self._first_write
        self.looked = False
        self._place: tuple[int, int] | None = None
        self.whole_bytes = 0
        """Longest data of which one write takes all or nothing."""
        self.is_pipe = False
        self.is_shared = False
        """Longer data than `ATOMIC_BYTES` may be torn by other processes'."""
        self.never = False
        """Nothing can be written without waiting."""

    def _first_write(self, data: bytes | memoryview) -> int:
        self.look()
        return self.write(data)

    def _chosen(self) -> Callable[[bytes | memoryview], int]:
        fd = self._fd
        found = os.fstat(fd)
        mode = found.st_mode
        self._place = found.st_dev, found.st_ino
        self.is_pipe = stat.S_ISFIFO(mode)
        self.is_shared = self.is_pipe or stat.S_ISSOCK(mode)
        if not self.is_shared:
            if not os.isatty(fd):
                self.whole_bytes = sys.maxsize

            return partial(os.write, fd)

        self.whole_bytes = ATOMIC_BYTES if self.is_pipe else 0
        if self._nowait:
            return self._write_at_once

        try:
            return _OwnDescription(fd).write
        except (OSError, AttributeError):  # a socket, another user's pipe, no /proc
            self.never = True
            return self._never_write

    def _write_at_once(self, data: bytes | memoryview) -> int:
        try:
            return os.pwritev(self._fd, (data,), -1, _NOWAIT)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise

        # The kernel can't, or the descriptor has become a file meanwhile.
        self._nowait = False
        return self._first_write(data)

    @staticmethod
    def _never_write(_data: bytes | memoryview) -> int:
        raise BlockingIOError
