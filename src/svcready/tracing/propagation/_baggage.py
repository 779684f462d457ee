"""W3C Baggage: the header baggage, with its limits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Entry", "format_baggage", "parse_baggage"]

_MAX_MEMBERS = 64
_MAX_BYTES = 8192
_KEY = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*").fullmatch
_PROPERTIES = re.compile(r"[\x20\x21\x23-\x2b\x2d-\x5b\x5d-\x7e\t]*").fullmatch
_SAFE = "!#$&'()*+-./:<=>?@[]^_`{|}~"


class Entry(NamedTuple):
    """One entry of the baggage as it came."""

    value: str
    """The value, decoded."""
    member: str
    """The whole member as it was written, properties included."""


def parse_baggage(header: str) -> dict[str, Entry]:
    """
    Read a baggage header, several ones joined by commas.

    Members that are not valid are left out, and so are those beyond 64 members or
    8 192 bytes. Values are percent-decoded; `+` stays `+`.
    """
    entries: dict[str, Entry] = {}
    size = 0
    for part in header[: 2 * _MAX_BYTES].split(","):
        member = part.strip(" \t")
        pair, _, properties = member.partition(";")
        key, mark, value = pair.partition("=")
        key, value = key.strip(" \t"), value.strip(" \t")
        if (
            not mark
            or not _KEY(key)
            or not _VALUE(value)
            or not _PROPERTIES(properties)
        ):
            continue

        size += len(member) + 1
        if size > _MAX_BYTES + 1 or len(entries) >= _MAX_MEMBERS:
            break

        entries[key] = Entry(unquote(value, errors="replace"), member)

    return entries


def format_baggage(
    values: Mapping[str, object], origin: Mapping[str, Entry] | None = None
) -> str:
    """
    Return the header for *values*; empty if there is nothing to send.

    Args:
        values: What the baggage holds now.
        origin: What came in: a value that is still the same goes on as it was
            written, with its properties.
    """
    members: list[str] = []
    size = -1
    for key, value in values.items():
        came = origin.get(key) if origin else None
        if came is not None and came.value == value:
            member = came.member
        elif _KEY(key):
            member = f"{key}={quote(str(value), safe=_SAFE, errors='replace')}"
        else:
            continue

        if size + len(member) + 1 > _MAX_BYTES or len(members) >= _MAX_MEMBERS:
            continue

        size += len(member) + 1
        members.append(member)

    return ",".join(members)
