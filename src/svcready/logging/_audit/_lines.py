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
_MARKS = (re.compile(rb'"log_type"\s*:\s*"audit"'), re.compile(b'"previous_hash":"'))
"""Two, so that one that was damaged leaves the other; spelt as any writer may."""
_ESCAPED = re.compile(rb"\\u00([2-7][0-9a-fA-F])")
_OVERLAP_BYTES = 256
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
        if not raw.endswith(b"\n") and len(raw) == _LONGEST_LINE:
            for piece in _pieces(raw, stream):  # no entry is as long as this
                if _is_marked(piece):
                    yield Found(number, piece, None)

            continue

        for found in _judge(raw.rstrip(b"\r\n")):
            yield Found(number, *found)


def _pieces(raw: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """Read an endless line in pieces that overlap."""
    yield raw
    while not raw.endswith(b"\n") and (more := stream.readline(_LONGEST_LINE)):
        yield raw[-_OVERLAP_BYTES:] + more
        raw = more


def _judge(raw: bytes) -> Iterator[tuple[bytes, dict[str, object] | None]]:
    if _WRAPPED.match(raw):
        wrapper = _read(raw)
        if wrapper is None:
            if _is_marked(raw.replace(b"\\", b"")):
                yield raw, None

            return

        if _is_ours(wrapper):  # whoever takes nothing off would read this one
            yield raw, None

        inner = wrapper.get("log", wrapper.get("message"))
        raw = str(inner).encode("utf-8", "replace").rstrip(b"\r\n")

    if not _is_marked(raw):
        return

    at = raw.find(_START)
    if at > 0 and _is_marked(raw[:at]):  # two on one line, which shippers never make
        yield raw[:at], None

    at = at if at > 0 else max(raw.find(b"{"), 0)
    members = _read(raw[at:])
    while members is None and (later := raw.find(_START, at + 1)) > 0:
        yield raw[at:later], None  # torn, as by a crash, and another behind it
        at = later
        members = _read(raw[at:])

    if members is None or _is_ours(members):
        yield raw[at:], members


def _is_ours(members: dict[str, object]) -> bool:
    return members.get("log_type") == "audit" or "previous_hash" in members


def _is_marked(raw: bytes) -> bool:
    if b"\\u00" in raw:
        raw = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), raw)

    return any(mark.search(raw) for mark in _MARKS)


def _read(data: bytes) -> dict[str, object] | None:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None

    return found if isinstance(found, dict) else None
