"""Whether a pipe has room for a write to come out in one piece."""

from __future__ import annotations

import os

__all__ = ["Room"]

_LEAST_BYTES = 256 * 1024
_MOST_BYTES = 1024 * 1024
_MOST_MARGIN = 16


class Room:
    """
    The room in a pipe, which is made larger when a line asks for it.

    A larger capacity is no flag: whoever shares the pipe notices nothing of it. It
    counts against what its user may have (`pipe-user-pages-soft`), so it is asked for
    only by the first line that needs it, and not beyond 1 MiB.

    Args:
        fd: The pipe.
    """

    __slots__ = ("_asked_bytes", "_fd", "_page_bytes")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._asked_bytes = 0
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")

    def has(self, size: int) -> bool | None:
        """
        Tell whether *size* bytes surely fit now; None if they never surely will.

        A pipe is a ring of pages. Pages may be filled in part, but two neighbours
        together hold more than one page's bytes, because what would have fitted into
        the first was put there; so the number of bytes that wait bounds that of the
        pages used. A few pages are left for lines of others that are on their way.
        """
        page = self._page_bytes
        try:
            slots = self._capacity(size) // page
            margin = min(_MOST_MARGIN, slots // 4)
            needed = -(-size // page) + 1 + margin
            if needed > slots:
                return None

            waiting = self._waiting()
        except (OSError, ImportError, AttributeError):  # not Linux
            return None

        used = 2 * waiting // page + 3 if waiting else 0
        return needed + used <= slots

    def _capacity(self, size: int) -> int:
        import fcntl

        capacity = fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)
        wanted = min(_MOST_BYTES, max(_LEAST_BYTES, 8 * size))
        if capacity < wanted and self._asked_bytes < wanted:
            self._asked_bytes = wanted
            while capacity < wanted:
                try:
                    fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, wanted)
                except OSError:  # beyond what this user may have
                    wanted //= 2
                else:
                    break

            capacity = fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)

        return capacity

    def _waiting(self) -> int:
        import fcntl
        import struct
        import termios

        found = fcntl.ioctl(self._fd, termios.FIONREAD, bytes(4))
        return int(struct.unpack("i", found)[0])
