"""The member: publishes one process' metrics in the room, and reads another's."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from svcready.metrics._workers import _files
from svcready.metrics._workers._layout import Layout
from svcready.metrics._workers._reading import Reading, UnreadableError

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable
    from pathlib import Path

    from svcready.metrics._workers._layout import Encoded, Published

__all__ = [
    "KEYS",
    "LEFT",
    "PARENT",
    "VALUES",
    "WORKS",
    "Peer",
    "Publisher",
    "Seen",
    "member_name",
    "parse_member",
]

VALUES, KEYS = ".values", ".keys"
_TOUCH_S = 3600.0
"""Tidiers of temporary directories remove what nobody has touched for days."""
WORKS, PARENT, LEFT = 0, 1, 2
"""It works; it only forked those who do; it works no more."""


def member_name(pid: int, start: str) -> str:
    """Return what the files of a process are called."""
    return f"{pid}-{start}"


def parse_member(name: str) -> tuple[int, str] | None:
    """Return process id and start of whose files are called so."""
    pid, _, start = name.partition("-")
    return (int(pid), start) if pid.isdecimal() and start.isdecimal() else None


class Publisher:
    """
    Publishes what one process has recorded.

    Args:
        room: The directory, which is made if need be.
        name: The process' name there.
    """

    def __init__(self, room: Path, name: str) -> None:
        self._room = room
        self._name = name
        self._layout = Layout()
        self._generation = 0
        self._edition = 0
        self._unwritten = b""
        self._keys_bytes = self._keys_sum = 0
        self._places = 0
        self._touched_s = 0.0
        self._last: tuple[int, bytes, array[float]] | None = None

    def encode(self, families: Iterable[Published], *, now_s: float) -> Encoded:
        """
        Make of *families* what is published, and what others will read.

        Args:
            families: All that the process shares.
            now_s: Wall time in seconds.
        """
        if not self._generation or self._layout.is_wasteful or self._lost_keys():
            self._layout = Layout()
            self._generation = int.from_bytes(os.urandom(7), "big") | 1
            self._unwritten, self._keys_bytes, self._keys_sum = b"", 0, 0
            self._places, self._last = 0, None

        encoded = self._layout.encode(families, now_s)
        self._unwritten += encoded.keys
        return encoded

    def publish(self, encoded: Encoded, *, beat_s: float, role: int) -> None:
        """
        Publish what was encoded last; where nothing has changed only a sign of life.

        Args:
            encoded: What `encode` returned.
            beat_s: Monotonic time in seconds, of which all processes have the same.
            role: `WORKS`, `PARENT` or `LEFT`.

        Raises:
            OSError: It cannot be written; what was published before stays.
        """
        if self._last is None:
            _files.make_room(self._room)
            self._touched_s = beat_s
        elif beat_s - self._touched_s >= _TOUCH_S:
            self._touch(beat_s)

        try:
            self._write_keys(len(encoded.values))
        finally:  # a full disk: at least those series that have their keys there
            values = encoded.values[: self._places]
            self._write_values(values, encoded.extras, beat_s, role)

    def _lost_keys(self) -> bool:
        """Tell whether somebody has removed the keys, without which none reads us."""
        return bool(self._keys_bytes) and not self._keys_path().exists()

    def _keys_path(self) -> Path:
        return self._room / f"{self._name}.{self._generation}{KEYS}"

    def _touch(self, beat_s: float) -> None:
        self._touched_s = beat_s
        with suppress(FileNotFoundError):  # the next publication makes it anew
            os.utime(self._keys_path())

    def _write_keys(self, places: int) -> None:
        new = self._unwritten
        if new:
            path = self._keys_path()
            try:
                _files.append(path, self._keys_bytes, new)
            except FileNotFoundError:  # somebody tidied up: all anew, next time
                self._generation = 0
                raise

            self._keys_bytes += len(new)
            self._keys_sum = zlib.crc32(new, self._keys_sum)
            self._unwritten = b""

        self._places = places

    def _write_values(
        self, values: array[float], extras: bytes, beat_s: float, role: int
    ) -> None:
        now = (role, extras, values)
        changed = now != self._last
        first = self._last is None
        # One that fails is written again to the same place: the other is in force.
        edition = self._edition + changed
        content = _files.Values(
            role,
            edition,
            self._generation,
            self._keys_bytes,
            self._keys_sum,
            beat_s,
            values,
            extras,
        )
        path = self._room / f"{self._name}{VALUES}"
        try:
            _files.write_values(path, content, all_of_it=changed)
        except FileNotFoundError:
            self._generation = 0
            raise

        self._edition, self._last = edition, now
        if first:
            self._sweep()

    def _sweep(self) -> None:
        """Remove the keys of earlier generations."""
        current = f"{self._name}.{self._generation}"
        with suppress(OSError):
            for name in _files.listed(self._room, KEYS):
                if name.startswith(f"{self._name}.") and name != current:
                    _files.remove(self._room / f"{name}{KEYS}")


class Seen(NamedTuple):
    """What a process published last."""

    families: tuple[Published, ...]
    role: int
    beat_s: float


class Peer:
    """
    Reads what one other process publishes; what did not change is not read again.

    Args:
        room: The directory.
        name: The process' name there.
    """

    def __init__(self, room: Path, name: str) -> None:
        self._room = room
        self._name = name
        self._generation = -1
        self._edition = -1
        self._reading = Reading()
        self._keys_bytes = self._keys_sum = 0
        self.last: Seen | None = None
        """The last that could be read."""

    def read(self) -> Seen:
        """
        Return what it published last.

        Raises:
            FileNotFoundError: It published nothing, or its totals were taken over.
            OSError: This process has too many files open.
            UnreadableError: Its files hold something else.
        """
        found = _files.read_values(self._room / f"{self._name}{VALUES}")
        last = self.last
        if last is not None and (found.generation, found.edition) == (
            self._generation,
            self._edition,
        ):
            self.last = Seen(last.families, found.role, found.beat_s)
            return self.last

        self._read_keys(found)
        families = self._reading.families(found.values, found.extras)
        self._edition = found.edition
        self.last = Seen(families, found.role, found.beat_s)
        return self.last

    def _read_keys(self, found: _files.Values) -> None:
        begun = found.generation == self._generation
        if not begun or found.keys_bytes < self._keys_bytes:
            self._generation, self._edition = found.generation, -1
            self._reading = Reading()
            self._keys_bytes = self._keys_sum = 0

        missing = found.keys_bytes - self._keys_bytes
        if missing == 0:
            return

        path = self._room / f"{self._name}.{found.generation}{KEYS}"
        try:
            lines = _files.read_file(path, self._keys_bytes, missing)
            both = zlib.crc32(lines, self._keys_sum)
            if both != found.keys_sum:
                raise UnreadableError("the checksum of the keys differs")

            self._reading.extend(lines)
        except BaseException:
            self._generation = -1  # from the beginning, next time
            raise

        self._keys_bytes, self._keys_sum = found.keys_bytes, both
