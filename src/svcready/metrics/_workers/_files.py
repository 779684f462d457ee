"""The files in which processes publish: opened with care, checked by their sums."""

from __future__ import annotations

import errno
import os
import stat
import struct
import zlib
from array import array
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from svcready.metrics._workers._reading import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "MOST_BYTES",
    "Values",
    "append",
    "listed",
    "make_room",
    "read_file",
    "read_values",
    "remove",
    "replace_file",
    "write_values",
]

MOST_BYTES = 512 * 1024 * 1024
"""No file of ours comes near; a longer one is somebody's mistake."""

_OWNER_ONLY = 0o700
_MAGIC = b"svcready"
_HEADER = struct.Struct("<8sIIQQQQQQdII")  # the last is the sum of all before it
_SUM = struct.Struct("<I")
_FORMAT = 1
_DATA_AT = 4096
_LEAST = 16 * 1024
_SHORT = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Values(NamedTuple):
    """What the file of one process holds."""

    role: int
    """What kind of process it is, see `_member`."""
    edition: int
    """Grows with each publication."""
    generation: int
    """Which file of keys belongs to it."""
    keys_bytes: int
    """How much of that file."""
    keys_sum: int
    """The checksum of that much."""
    beat_s: float
    """When the process last gave a sign of life, in seconds of monotonic time."""
    values: array[float]
    extras: bytes


def make_room(path: Path) -> None:
    """
    Make the directory and the one around it.

    Raises:
        OSError: They cannot be made, or somebody else owns them.
    """
    for each in (path.parent, path):
        with suppress(FileExistsError):
            each.mkdir(mode=_OWNER_ONLY)

        found = each.stat(follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode) or not _is_ours(found):
            raise PermissionError(errno.EPERM, "not this user's own", str(each))


def listed(path: Path, suffix: str) -> Iterator[str]:
    """
    Yield the names of files that end so, without the ending.

    Raises:
        OSError: The directory is there and cannot be read.
    """
    with suppress(FileNotFoundError):
        for name in os.listdir(path):  # noqa: PTH208 - names are all that is wanted
            if name.endswith(suffix):
                yield name[: -len(suffix)]


def remove(path: Path) -> None:
    """Remove a file, if it is there and that is allowed."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def append(path: Path, at: int, data: bytes) -> None:
    """
    Write *data* at a place of a file, which is made if that is its beginning.

    Raises:
        OSError: It cannot be written, or not all of it.
    """
    fd = _open(path, os.O_WRONLY | (0 if at else os.O_CREAT))
    try:
        _write(fd, data, at)
    finally:
        os.close(fd)


def replace_file(path: Path, data: bytes) -> None:
    """
    Put a file with *data* in the place of *path*, at once for whoever reads it.

    Raises:
        OSError: It cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fd = _open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            _write(fd, data, 0)
        finally:
            os.close(fd)

        draft.replace(path)
    except OSError:
        remove(draft)
        raise


def read_file(path: Path, start: int = 0, length: int | None = None) -> bytes:
    """
    Return what a file holds.

    Raises:
        FileNotFoundError: There is none.
        OSError: This process has too many files open.
        UnreadableError: It is no regular file of this user's, too long or too short.
    """
    fd = _open_to_read(path)
    try:
        size = _size(fd)
        end = size if length is None else start + length
        if end > size:
            raise UnreadableError("too short")

        return _read(fd, end - start, start)
    finally:
        os.close(fd)


def write_values(path: Path, content: Values, *, all_of_it: bool) -> None:
    """
    Publish *content*.

    The file has two places, and the one that is not in force is written, then the
    header, which says which one is. So there is a whole edition at every moment,
    wherever the writer is stopped or killed, and no reader waits for it.

    Args:
        path: The file; one that is missing or too small is replaced.
        content: What to publish; its edition is one more than the last.
        all_of_it: False if only the sign of life is new.

    Raises:
        OSError: It cannot be written; what was there before stays in force.
    """
    data = content.values.tobytes() + content.extras
    try:
        fd = _open(path, os.O_RDWR)
    except FileNotFoundError:
        fd = -1

    room = 0 if fd < 0 else (_size(fd) - _DATA_AT) // 2
    if room < len(data):
        if fd >= 0:
            os.close(fd)

        _renew(path, content, data)
        return

    try:
        if all_of_it:
            _write(fd, data, _DATA_AT + (content.edition & 1) * room)

        _write(fd, _header(content, data), 0)
    finally:
        os.close(fd)


def read_values(path: Path) -> Values:
    """
    Read what a process published last.

    Raises:
        FileNotFoundError: It published nothing, or its totals were taken over.
        OSError: This process has too many files open.
        UnreadableError: The file holds something else.
    """
    fd = _open_to_read(path)
    try:
        room = (_size(fd) - _DATA_AT) // 2
        for _ in range(_TRIES):
            found = _read_once(fd, room)
            if found is not None:
                return found

        raise UnreadableError("checksums differ")
    finally:
        os.close(fd)


_TRIES = 5  # a writer comes by about once a second: a second reading is whole


def _read_once(fd: int, room: int) -> Values | None:
    header = os.pread(fd, _HEADER.size, 0)
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        raise UnreadableError("no such file")

    if _SUM.unpack(header[-_SUM.size :])[0] != zlib.crc32(header[: -_SUM.size]):
        return None  # it is being written, or it is garbage

    fields = _HEADER.unpack(header)
    _, form, role, edition, generation, keys_bytes, keys_sum = fields[:7]
    values_bytes, extras_bytes, beat_s, data_sum, _ = fields[7:]
    size = values_bytes + extras_bytes
    if form != _FORMAT or size > room or values_bytes % 8 or keys_bytes > MOST_BYTES:
        raise UnreadableError("another format")

    data = os.pread(fd, size, _DATA_AT + (edition & 1) * room)
    if zlib.crc32(data) != data_sum:
        return None

    values = array("d")
    values.frombytes(data[:values_bytes])
    extras = data[values_bytes:]
    return Values(
        role, edition, generation, keys_bytes, keys_sum, beat_s, values, extras
    )


def _renew(path: Path, content: Values, data: bytes) -> None:
    """Put a file with room to grow in the place of *path*."""
    room = _LEAST
    while room < 2 * len(data):
        room *= 2

    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fd = _open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            _reserve(fd, _DATA_AT + 2 * room)
            _write(fd, data, _DATA_AT + (content.edition & 1) * room)
            _write(fd, _header(content, data), 0)
        finally:
            os.close(fd)

        draft.replace(path)
    except OSError:
        remove(draft)
        raise


def _header(content: Values, data: bytes) -> bytes:
    head = _HEADER.pack(
        _MAGIC,
        _FORMAT,
        content.role,
        content.edition,
        content.generation,
        content.keys_bytes,
        content.keys_sum,
        len(data) - len(content.extras),
        len(content.extras),
        content.beat_s,
        zlib.crc32(data),
        0,
    )[: -_SUM.size]
    return head + _SUM.pack(zlib.crc32(head))


def _reserve(fd: int, size: int) -> None:
    """Have *size* bytes on the disk now, so that a later write needs none."""
    try:
        os.posix_fallocate(fd, 0, size)
    except AttributeError:  # pragma: no cover - not on every platform
        os.ftruncate(fd, size)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise

        os.ftruncate(fd, size)


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | _NOFOLLOW, 0o600)


def _open_to_read(path: Path) -> int:
    try:
        # A pipe that somebody put there must not make a reader wait.
        fd = _open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        # What fails for a moment says nothing of the file.
        if isinstance(error, FileNotFoundError) or error.errno in _SHORT:
            raise

        raise UnreadableError(f"cannot be opened: {error.strerror}") from None

    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and _is_ours(found) and found.st_size <= MOST_BYTES:
        return fd

    os.close(fd)
    raise UnreadableError("not this user's own regular file")


def _is_ours(found: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or found.st_uid == os.getuid()


def _size(fd: int) -> int:
    return os.fstat(fd).st_size


def _write(fd: int, data: bytes, at: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(fd, data[written:], at + written)


def _read(fd: int, length: int, at: int) -> bytes:
    parts = []
    while length > 0 and (part := os.pread(fd, length, at)):
        parts.append(part)
        at += len(part)
        length -= len(part)

    return b"".join(parts)
