"""W3C Trace Context, level 2: the headers traceparent, tracestate and traceresponse."""

from __future__ import annotations

import re

__all__ = [
    "FLAGS",
    "HEX",
    "KNOWN",
    "LONGEST_STATE_CHARS",
    "NO_SPAN",
    "NO_TRACE",
    "RANDOM",
    "SAMPLED",
    "fit_tracestate",
    "format_traceparent",
    "parse_traceparent",
    "parse_tracestate",
]

SAMPLED = 0x01
"""The flag's bit that says: recorded by the sender."""
RANDOM = 0x02
"""The flag's bit that says: the id's last 7 bytes are random."""

KNOWN = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})").fullmatch
_FUTURE = re.compile(
    "(?!00|ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})"
    "-([0-9a-f]{2})(?:-.*)?"
).fullmatch
_MEMBER = re.compile(
    r"([a-z0-9][a-z0-9_\-*/@]{0,255})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}"
    r"[\x21-\x2b\x2d-\x3c\x3e-\x7e])"
).fullmatch
FLAGS = {f"{number:02x}": number for number in range(256)}
HEX = tuple(FLAGS)
"""Flags as two hex digits."""

_MAX_PARENT_CHARS = 512
_MAX_STATE_CHARS = 8192
NO_TRACE = "0" * 32
NO_SPAN = "0" * 16
_LONG_MEMBER_CHARS = 128
_MAX_MEMBERS = 32

LONGEST_STATE_CHARS = 512
"""Of a tracestate that is sent; everybody has to pass so much on."""


def parse_traceparent(header: str) -> tuple[str, str, int] | None:
    """
    Read a traceparent header.

    Returns:
        Trace id (32 hex digits), the caller's span id (16) and the flags as bits;
        None if the header is not valid. A version beyond 00 is read as 00.
    """
    match = KNOWN(header)
    if match is None:
        if len(header) > _MAX_PARENT_CHARS:
            return None

        header = header.strip(" \t")
        match = KNOWN(header) or _FUTURE(header)
        if match is None:
            return None

    trace_id, span_id, flags = match.groups()
    if trace_id == NO_TRACE or span_id == NO_SPAN:
        return None

    return trace_id, span_id, FLAGS[flags]


def format_traceparent(trace_id: str, span_id: str, flags: int) -> str:
    """Return the header for ids in hex; of *flags* only the two known bits are sent."""
    return f"00-{trace_id}-{span_id}-{HEX[flags & 3]}"


def parse_tracestate(header: str) -> dict[str, str]:
    """
    Read a tracestate header, several ones joined by commas.

    At most 512 characters are kept: long members go first, then those on the right,
    as the specification says.

    Returns:
        The members, most recent first; empty if any of them is not valid, comes twice,
        or is one too many.
    """
    if len(header) > _MAX_STATE_CHARS:
        return {}

    members: dict[str, str] = {}
    for part in header.split(","):
        text = part.strip(" \t")
        if not text:
            continue

        match = _MEMBER(text)
        if match is None or match[1] in members or len(members) >= _MAX_MEMBERS:
            return {}

        members[match[1]] = match[2]

    return _shortened(members) if len(header) > LONGEST_STATE_CHARS else members


def fit_tracestate(header: str) -> str:
    """Return what of a tracestate header may be sent; empty if it is not valid."""
    members = parse_tracestate(header)
    return ",".join(f"{key}={value}" for key, value in members.items())


def _shortened(members: dict[str, str]) -> dict[str, str]:
    sizes = {key: len(key) + len(value) + 2 for key, value in members.items()}
    excess = sum(sizes.values()) - 1 - LONGEST_STATE_CHARS
    dropped: set[str] = set()
    long_first = [key for key, size in sizes.items() if size - 1 > _LONG_MEMBER_CHARS]
    for key in (*reversed(long_first), *reversed(members)):
        if excess <= 0:
            break

        if key not in dropped:
            dropped.add(key)
            excess -= sizes[key]

    return {key: members[key] for key in members if key not in dropped}
