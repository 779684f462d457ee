"""The past: the totals of processes that are dead, kept in one file of the room."""

from __future__ import annotations

import json
import os
import struct
import zlib
from array import array
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from svcready.metrics._workers import _files
from svcready.metrics._workers._bounded import bounded
from svcready.metrics._workers._layout import Layout
from svcready.metrics._workers._member import KEYS, VALUES
from svcready.metrics._workers._merge import Part, merge_totals
from svcready.metrics._workers._reading import Reading, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from svcready.metrics._events import SeriesCapped
    from svcready.metrics._workers._layout import Published

__all__ = ["EMPTY", "Kept", "Past", "locked"]

_NAME = "past"
_LOCK = "lock"
_HEAD = struct.Struct("<8sIIQ")
_MAGIC = b"svcpast\0"
_FORMAT = 1
_MALFORMED = (ValueError, TypeError, struct.error)


class Kept(NamedTuple):
    """What the file of the past says."""

    edition: int
    """Grows whenever dead processes are absorbed."""
    absorbed: frozenset[str]
    """Whose totals are in it, although their files may be there yet."""
    layers: tuple[tuple[Published, ...], ...]
    """The totals, and what rounding took from them, see `merge_totals`."""

    def parts(self) -> tuple[Part, ...]:
        """Return it as parts of a merge."""
        return tuple(Part(layer, lives=False) for layer in self.layers)


EMPTY = Kept(0, frozenset(), ())


class Past:
    """
    Reads the past of a room, and adds the dead to it.

    Args:
        room: The directory.
    """

    def __init__(self, room: Path) -> None:
        self._room = room
        self._path = room / _NAME
        self._known: tuple[tuple[int, ...], Kept] | None = None

    def edition(self) -> tuple[int, ...]:
        """Return what tells one state of the past from another; quick."""
        try:
            found = self._path.stat(follow_symlinks=False)
        except OSError:
            return ()

        return (found.st_ino, found.st_size, found.st_mtime_ns)

    @property
    def last(self) -> Kept | None:
        """What it said when it was last read."""
        return None if self._known is None else self._known[1]

    def read(self) -> Kept:
        """
        Return what it says; read again only where it has changed.

        Raises:
            OSError: This process has too many files open.
            UnreadableError: It says nothing that we can read.
        """
        edition = self.edition()
        if not edition:
            return EMPTY

        if self._known is None or self._known[0] != edition:
            try:
                kept = _decode(_files.read_file(self._path))
            except FileNotFoundError:
                return EMPTY

            self._known = (edition, kept)

        return self._known[1]

    def absorb(
        self,
        dead: Sequence[str],
        read: Callable[[str], Iterable[Published] | None],
        now_s: float,
        most: int,
    ) -> tuple[SeriesCapped, ...]:
        """
        Add the totals of *dead* to the past and remove their files.

        To be called with the room locked. The new past names whom it holds, and takes
        the place of the old at once: whoever reads counts each of them either there
        or by its own files, and looks again if the past changed meanwhile.

        Args:
            dead: Their names.
            read: Returns what a process published last; None leaves its files alone.
            now_s: Wall time in seconds.
            most: Of how many series of a family the totals are kept apart.

        Returns:
            Which families had more series than that.

        Raises:
            OSError: It cannot be read now, or not be written; nothing has changed then.
        """
        try:
            before = self.read()
        except UnreadableError:  # reported by whoever reads pages
            before = EMPTY

        found = ((name, read(name)) for name in dead if name not in before.absorbed)
        new = {name: Part(tuple(its)) for name, its in found if its is not None}
        full: tuple[SeriesCapped, ...] = ()
        if new:
            parts, full = bounded([*before.parts(), *new.values()], most)
            layers = merge_totals(parts)
            there = {name for name in before.absorbed if self._is_there(name)}
            data = _encode(before.edition + 1, {*there, *new}, layers, now_s)
            _files.replace_file(self._path, data)

        for name in dead:
            if name in new or name in before.absorbed:
                self._remove(name)

        return full

    def touch(self) -> None:
        """Keep it from whoever removes what is old."""
        try:
            os.utime(self._path, follow_symlinks=False)
        except OSError:
            return

    def _is_there(self, name: str) -> bool:
        return (self._room / f"{name}{VALUES}").exists()

    def _remove(self, name: str) -> None:
        _files.remove(self._room / f"{name}{VALUES}")
        for each in _files.listed(self._room, KEYS):
            if each.startswith(f"{name}."):
                _files.remove(self._room / f"{each}{KEYS}")


@contextmanager
def locked(room: Path) -> Iterator[bool]:
    """Give whether the room is locked for us, until the end of the block."""
    import fcntl

    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(room / _LOCK, flags, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        # Closing is not enough: a child that was forked meanwhile has it open, too.
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)

        os.close(fd)


def _encode(
    edition: int,
    absorbed: Iterable[str],
    layers: Iterable[Sequence[Published]],
    now_s: float,
) -> bytes:
    sections: list[bytes] = []
    for layer in layers:
        encoded = Layout().encode(layer, now_s)
        sections += (encoded.keys, encoded.values.tobytes(), encoded.extras)

    about = json.dumps([edition, sorted(absorbed), [len(s) for s in sections]]).encode()
    body = b"".join((about, *sections))
    return _HEAD.pack(_MAGIC, _FORMAT, zlib.crc32(body), len(about)) + body


def _decode(data: bytes) -> Kept:
    try:
        magic, form, checksum, length = _HEAD.unpack_from(data)
        body = data[_HEAD.size :]
        if (magic, form, checksum) != (_MAGIC, _FORMAT, zlib.crc32(body)):
            raise UnreadableError("the past is damaged")

        edition, absorbed, lengths = json.loads(body[:length])
        sections: list[bytes] = []
        for each in lengths:
            sections.append(body[length : length + each])
            length += each

        layers = tuple(_read(*sections[n : n + 3]) for n in range(0, len(sections), 3))
        return Kept(int(edition), frozenset(map(str, absorbed)), layers)
    except _MALFORMED as error:
        raise UnreadableError(f"the past: {error!r:.200}") from None


def _read(keys: bytes, raw: bytes, extras: bytes) -> tuple[Published, ...]:
    reading = Reading()
    reading.extend(keys)
    values = array("d")
    values.frombytes(raw)
    return reading.families(values, extras)
