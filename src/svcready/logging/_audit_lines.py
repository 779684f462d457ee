"""Finding the entries of an audit log among whatever else a file holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["Found", "entries_of"]

_LONGEST_LINE = 4 * 1024**2
_START = b'{"schema":1,"log_type":"audit",'
_MARKS = (b'"log_type":"audit"', b'"previous_hash":"')
"""Two, so that one that was damaged leaves the other."""
_WRAPPED = re.compile(rb'^\{"(?:log|message)":"')


class Found(NamedTuple):
    """A line that is an entry, or was one."""

    line: int
    """Its number in the file, from 1."""
    data: bytes
    """The entry's own bytes, without its newline."""
    members: dict[str, object] | None
    """The entry, or None if it can't be read."""


def entries_of(stream: BinaryIO) -> Iterator[Found]:
    """
    Find the entries in a file, one line at a time.

    Before an entry may stand what shippers put there (a time, a stream's name); the
    JSON that Docker wraps lines in is taken off. A line that an entry's marks are on
    but that can't be read is found too; any other is passed over.

    Args:
        stream: Gives lines.
    """
    number = 0
    while raw := stream.readline(_LONGEST_LINE):
        number += 1
        while not raw.endswith(b"\n") and (more := stream.readline(_LONGEST_LINE)):
            if _is_marked(raw):  # no entry is as long as this
                yield Found(number, raw, None)

            raw = more

        found = _judge(raw.rstrip(b"\r\n"))
        if found is not None:
            yield Found(number, *found)


def _judge(raw: bytes) -> tuple[bytes, dict[str, object] | None] | None:
    if _WRAPPED.match(raw):
        wrapper = _read(raw)
        if wrapper is None:
            return (raw, None) if _is_marked(raw.replace(b"\\", b"")) else None

        inner = wrapper.get("log", wrapper.get("message"))
        raw = str(inner).encode("utf-8", "replace").rstrip(b"\r\n")

    if not _is_marked(raw):
        return None

    at = raw.find(_START)
    data = raw[at if at > 0 else max(raw.find(b"{"), 0) :]
    members = _read(data)
    if members is None:
        return data, None

    ours = members.get("log_type") == "audit" or "previous_hash" in members
    return (data, members) if ours else None


def _is_marked(raw: bytes) -> bool:
    return any(mark in raw for mark in _MARKS)


def _read(data: bytes) -> dict[str, object] | None:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None

    return found if isinstance(found, dict) else None
