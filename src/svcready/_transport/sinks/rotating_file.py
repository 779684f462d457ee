"""A file of lines that rotates, and that several processes write together."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from svcready._core.clock import SYSTEM_CLOCK
from svcready._transport.sinks._destination import Outcome, Quota
from svcready._transport.sinks._sink import Sink

if TYPE_CHECKING:
    from logging.handlers import RotatingFileHandler

    from svcready._core.clock import Clock
    from svcready._transport.sinks._destination import Entry

__all__ = ["RotatingFile", "file_problem", "file_sink"]

_AT_ONCE = fcntl.LOCK_EX | fcntl.LOCK_NB
_LOCK_AGAIN_S = 0.01
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}


def file_sink(
    component: str,
    path: str,
    *,
    max_bytes: int,
    backups: int,
    quota: Quota = Quota(),  # noqa: B008 - a frozen value
    keep: bool = False,
    mode: int = 0o666,
    clock: Clock = SYSTEM_CLOCK,
) -> Sink:
    """
    Make a sink that writes to the file at *path*; nothing is opened yet.

    Args:
        component: Whose lines they are: `logging.file`.
        path: The file; a relative one is taken from the directory of now.
        max_bytes: Size at which it is rotated.
        backups: How many rotated files are kept: `path.1` is the newest.
        quota: How much may wait while the file can't be written.
        keep: When that is full, refuse the newest line.
        mode: Who may read and write a file that is made, less the umask.
        clock: Stamps the lines.
    """
    file = RotatingFile(path, max_bytes=max_bytes, backups=backups, mode=mode)
    return Sink(component, file, quota=quota, keep=keep, clock=clock)


def file_problem(path: str) -> str:
    """Return what stands against writing to the file at *path*; empty if nothing."""
    file = Path(path).absolute()
    if file.is_dir():
        return "it is a directory"

    if not file.parent.is_dir():
        return f"there is no directory {file.parent}"

    may = os.access(file, os.W_OK) if file.exists() else os.access(file.parent, os.W_OK)
    return "" if may else "this process may not write there"


class RotatingFile:
    """
    A file that rotates at a size, as a destination.

    Several processes may write the same file: each batch is appended under an
    advisory lock on the file itself, after a look whether the path still leads to it.
    So a file that another process or logrotate moved away is opened anew, and a
    rotation, which happens under the same lock, loses, doubles and tears no line.
    What is no regular file (`/dev/stderr`) is neither locked nor rotated.

    Args:
        path: The file.
        max_bytes: Size at which it is rotated; only a line longer than that makes a
            longer file.
        backups: How many rotated files are kept.
        mode: Who may read and write a file that is made, less the umask.
    """

    batch_bytes = 256 * 1024
    batch_lines = 2_000
    linger_s = 0.0

    def __init__(
        self, path: str, *, max_bytes: int, backups: int, mode: int = 0o666
    ) -> None:
        self._path = Path(path).absolute()
        self.name = f"file {self._path}"
        self._max_bytes = max_bytes
        self._backups = backups
        self._fd: int | None = None
        self._regular = True
        self._mode = mode
        self._left_at = -1
        self._rotation: RotatingFileHandler | None = None
        self._rotate_at_bytes = max_bytes
        self._notice = ""

    def deliver(self, batch: list[Entry], deadline_s: float) -> Outcome:
        """Append *batch*, in as many files as that takes."""
        done = 0
        try:
            while done < len(batch):
                done += self._append_some(batch, done, deadline_s)
        except OSError as error:
            self.close()
            fault = error.strerror or type(error).__name__
            return Outcome(batch[done:], fault=fault, notice=self._notice)

        return Outcome(notice=self._notice)

    def forget(self) -> None:
        """Leave the file to the process that we were forked from."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _append_some(self, batch: list[Entry], start: int, deadline_s: float) -> int:
        """Append what fits into the file; 0 lines mean that it was rotated."""
        fd = self._locked(deadline_s)
        try:
            size = os.fstat(fd).st_size if self._regular else 0
            if self._regular and size != self._left_at:  # somebody else wrote last
                size += self._end_torn_line(fd, size)

            self._left_at = -1
            lines: list[bytes] = []
            room = self._rotate_at_bytes - size
            for entry in batch[start:]:
                room -= len(entry.line)
                if room < 0 and self._regular and (lines or size):
                    break

                lines.append(entry.line)

            if not lines:
                self._rotate(size)
                return 0

            data = b"".join(lines)
            self._write(fd, data, size)
            self._left_at = size + len(data)
            return len(lines)
        finally:
            if self._regular:
                self._lock(fd, fcntl.LOCK_UN)

    def _locked(self, deadline_s: float) -> int:
        """Return the descriptor of the file that the path leads to now, locked."""
        while True:
            fd = self._open() if self._fd is None else self._fd
            if not self._regular:
                return fd

            self._lock_by(fd, deadline_s)
            if self._is_current(fd):
                return fd

            self._lock(fd, fcntl.LOCK_UN)  # a child may have the descriptor, too
            self.close()

    def _open(self) -> int:
        # Not blocking, so that a FIFO that nobody reads is a fault and no wait.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        self._fd = fd = os.open(self._path, flags, self._mode)
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
        if not self._regular:
            os.set_blocking(fd, True)

        self._left_at = -1
        self._rotate_at_bytes = self._max_bytes
        return fd

    def _is_current(self, fd: int) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False

        return os.path.samestat(there, os.fstat(fd))

    def _lock_by(self, fd: int, deadline_s: float) -> None:
        """Wait for the lock, which a process that is stopped may have."""
        how = fcntl.LOCK_EX if deadline_s == float("inf") else _AT_ONCE
        while True:
            try:
                self._lock(fd, how)
            except BlockingIOError:
                if time.monotonic() >= deadline_s:
                    raise

                time.sleep(_LOCK_AGAIN_S)
            else:
                return

    @staticmethod
    def _lock(fd: int, how: int) -> None:
        try:
            fcntl.flock(fd, how)
        except OSError as error:
            # Some network file systems have no locks: whole lines are appended still.
            if error.errno not in _NO_LOCKS:
                raise

    def _end_torn_line(self, fd: int, size: int) -> int:
        """End the line that a crash or a killed process left half-written."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, size - 1))
                last = file.read(1)
        except OSError:  # it may be written and not be read
            return 0

        return os.write(fd, b"\n") if last not in {b"", b"\n"} else 0

    @staticmethod
    def _write(fd: int, data: bytes, size: int) -> None:
        sent = 0
        try:
            while sent < len(data):
                sent += os.write(fd, data[sent:] if sent else data)
        except OSError:
            if sent:  # a full disk took a part, which comes again as a whole
                os.ftruncate(fd, size)

            raise

    def _rotate(self, size: int) -> None:
        """Move the files on by one; a file that can't be moved is written on."""
        from logging.handlers import RotatingFileHandler

        if self._rotation is None:
            self._rotation = RotatingFileHandler(
                self._path, backupCount=self._backups, encoding="utf-8", delay=True
            )

        try:
            self._rotation.doRollover()
        except OSError as error:
            self._rotate_at_bytes = size + self._max_bytes
            self._notice = f"cannot be rotated ({error.strerror}), so it grows"
        else:
            self._notice = ""
