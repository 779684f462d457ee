"""The sockets that the operator's surface listens on: a port's, and a path's."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from typing import NamedTuple

__all__ = ["Listening", "listen_at", "listen_on"]

_WAITING = 128
_OWNER_ONLY = 0o600
_LOCK = ".lock"


class Listening(NamedTuple):
    """A socket that listens, and what belongs to it."""

    socket: socket.socket
    inode: int
    """Tells it from what an application that closes every file opens instead."""
    path: str = ""
    """Where it is; empty for a port's."""
    lock: int = -1
    """Held open as long as the path is ours; -1 for a port's."""

    def is_ours(self) -> bool:
        """Tell whether the descriptor still is the socket that was opened."""
        try:
            return os.fstat(self.socket.fileno()).st_ino == self.inode
        except OSError:
            return False

    def close(self) -> None:
        """Listen no more, and remove the path."""
        ours = self.is_ours()
        if self.path and ours:
            with suppress(OSError):
                os.unlink(self.path)  # noqa: PTH108 - while the lock is held

        self.forget()

    def forget(self) -> None:
        """Let go of it, whoever else has it, as a forked child does."""
        if self.is_ours():
            self.socket.close()
            if self.lock >= 0:
                with suppress(OSError):
                    os.close(self.lock)
        else:
            self.socket.detach()  # closed under us: the number is somebody else's


def listen_on(host: str, port: int) -> Listening:
    """
    Listen on a port, which one process at a time can have.

    Args:
        host: An address, IPv6 included.
        port: The port; 0 takes any.

    Raises:
        OSError: It cannot be had; EADDRINUSE if somebody has it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        # What is left of earlier connections must keep no next process out. Two that
        # listen are still impossible, which SO_REUSEPORT would allow.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_WAITING)
    except BaseException:
        made.close()
        raise

    return Listening(made, os.fstat(made.fileno()).st_ino)


def listen_at(path: str) -> Listening:
    """
    Listen on a Unix socket that only this user can connect to.

    Whoever holds the lock beside it may replace what a process that is gone left
    there, and nothing else than a socket that nobody listens on.

    Args:
        path: Where; beside it a file `<path>.lock` stays.

    Raises:
        OSError: It cannot be had; EADDRINUSE if somebody has it, EEXIST if the path
            is no socket.
    """
    lock = _lock(path + _LOCK)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        with suppress(OSError):  # on Linux the path is made with this mode
            os.fchmod(made.fileno(), _OWNER_ONLY)

        made.bind(path)
        os.chmod(path, _OWNER_ONLY)  # noqa: PTH101
        made.listen(_WAITING)
        return Listening(made, os.fstat(made.fileno()).st_ino, path, lock)
    except BaseException:
        made.close()
        os.close(lock)
        raise


def _lock(path: str) -> int:
    import fcntl

    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    lock = os.open(path, flags, _OWNER_ONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)) from None

        raise

    return lock


def _clear(path: str) -> None:
    """Remove a socket that nobody listens on."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return

    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(errno.EEXIST, "it is there and no socket", path)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1.0)
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108
            return
        except FileNotFoundError:
            return
        except OSError:
            pass  # it is full, or another user's: somebody is there

    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)
