"""B3, as Zipkin sends it: one header or several, and decisions without a trace."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = [
    "B3",
    "DEBUG",
    "FLAGS",
    "NAMES",
    "SAMPLED",
    "SINGLE",
    "SPAN_ID",
    "TRACE_ID",
    "format_b3",
    "parse_b3",
    "parse_b3_headers",
]

SINGLE = "b3"
TRACE_ID = "X-B3-TraceId"
SPAN_ID = "X-B3-SpanId"
SAMPLED = "X-B3-Sampled"
FLAGS = "X-B3-Flags"
NAMES = (SINGLE, TRACE_ID, SPAN_ID, SAMPLED, FLAGS)
"""The headers that are read, in the order of the arguments of `parse_b3_headers`."""

_IDS = re.compile(
    "((?:[0-9a-fA-F]{16}){1,2})-([0-9a-fA-F]{16})(?:-([01d])(?:-[0-9a-fA-F]{16})?)?"
).fullmatch
_TRACE = re.compile("(?:[0-9a-fA-F]{16}){1,2}").fullmatch
_SPAN = re.compile("[0-9a-fA-F]{16}").fullmatch
_STATES: dict[str | None, bool] = {"0": False, "1": True, "d": True}
_DECISIONS = {"0": False, "1": True, "true": True, "false": False}
DEBUG = "d"
"""The state that says: sampled, at all costs."""


class B3(NamedTuple):
    """What B3 headers say."""

    trace_id: str | None
    """32 lower-case hex digits, a shorter id padded; None: there is a decision only."""
    span_id: str | None
    """The caller's span: 16 hex digits; None if and only if the trace's is."""
    sampled: bool | None
    """The caller's decision; None if it leaves that to us."""
    debug: bool = False
    """Whether it asks to sample at all costs, us and everyone behind us."""


def parse_b3(header: str) -> B3 | None:
    """
    Read the single header `b3`.

    Returns:
        What it says; None if it is not valid.
    """
    text = header.strip(" \t")
    match = _IDS(text)
    if match is None:
        sampled = _STATES.get(text)
        return None if sampled is None else B3(None, None, sampled, text == DEBUG)

    trace_id, span_id = _ids(match[1], match[2])
    if trace_id is None:
        return None

    return B3(trace_id, span_id, _STATES.get(match[3]), match[3] == DEBUG)


def parse_b3_headers(
    single: str | None,
    trace_id: str | None,
    span_id: str | None,
    sampled: str | None,
    flags: str | None,
) -> B3 | None:
    """
    Read B3 in either form; a valid single header wins over the several.

    Ids that are not valid count as absent, and leave a decision beside them.

    Args:
        single: The header `b3`; None if absent, as for the others.
        trace_id: X-B3-TraceId.
        span_id: X-B3-SpanId.
        sampled: X-B3-Sampled: 1 or 0; true and false are understood.
        flags: X-B3-Flags: 1 for debug.

    Returns:
        What they say; None if that is nothing.
    """
    read = None if single is None else parse_b3(single)
    if read is not None:
        return read

    debug = flags is not None and flags.strip(" \t") == "1"
    decided = True if debug else _DECISIONS.get((sampled or "").strip(" \t").lower())
    trace, span = _ids((trace_id or "").strip(" \t"), (span_id or "").strip(" \t"))
    if trace is None and decided is None:
        return None

    return B3(trace, span, decided, debug)


def format_b3(trace_id: str, span_id: str, state: str) -> str:
    """Return the single header for ids in hex; *state* is `0`, `1`, `d` or empty."""
    return f"{trace_id}-{span_id}-{state}" if state else f"{trace_id}-{span_id}"


def _ids(trace_id: str, span_id: str) -> tuple[str, str] | tuple[None, None]:
    if not _TRACE(trace_id) or not _SPAN(span_id):
        return None, None

    if not trace_id.strip("0") or not span_id.strip("0"):
        return None, None

    return trace_id.lower().zfill(32), span_id.lower()
