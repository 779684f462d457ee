"""The header X-Amzn-Trace-Id in all the forms that load balancers and SDKs send."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["XRayHeader", "format_xray", "format_xray_id", "parse_xray"]

_COMMON = re.compile(
    "Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;Parent=([0-9a-f]{16}))?(?:;Sampled=([01]))?"
).fullmatch
_ROOT = re.compile("1-([0-9a-fA-F]{8})-([0-9a-fA-F]{24})").fullmatch
_SPAN = re.compile("[0-9a-fA-F]{16}").fullmatch
_PASSED = re.compile(r"[A-Za-z0-9_.\-]{1,64}=[\x21-\x3a\x3c-\x7e]{0,256}").fullmatch
_SAMPLED = {"1": True, "0": False}
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_MAX_CHARS = 4096
_MAX_PASSED_CHARS = 512


class XRayHeader(NamedTuple):
    """What an X-Amzn-Trace-Id header says."""

    trace_id: str
    """The trace id in W3C form: 32 lower-case hex digits."""
    parent_id: str | None
    """The caller's span: 16 hex digits; None if it made none, as load balancers do."""
    sampled: bool | None
    """The caller's decision; None if it made none."""
    asked: bool
    """The caller wants to be told our decision (`Sampled=?`)."""
    passed: str
    """What goes on unread, each with a leading semicolon: Lineage and user data."""


def parse_xray(header: str) -> XRayHeader | None:
    """
    Read an X-Amzn-Trace-Id header.

    The pairs come in any order, with spaces around or empty ones between; `Self` is
    dropped. A pair that is not valid counts as absent.

    Returns:
        What it says; None without a valid root.
    """
    common = _COMMON(header)
    if common is not None:
        time, rest, parent_id, sampled_digit = common.groups()
        flag = None if sampled_digit is None else sampled_digit == "1"
        return _checked(time + rest, parent_id, flag)

    if len(header) > _MAX_CHARS:
        return None

    trace_id = parent_id = sampled = None
    asked = False
    passed = ""
    for part in header.split(";"):
        key, _, value = (pair := part.strip(" \t")).partition("=")
        if key == "Root":
            root = _ROOT(value)
            trace_id = (root[1] + root[2]).lower() if root else None
        elif key == "Parent":
            parent_id = value.lower() if _SPAN(value) else None
        elif key == "Sampled":
            sampled = _SAMPLED.get(value)
            asked = value == "?"
        elif key != "Self" and _PASSED(pair):
            passed += f";{pair}" if len(passed) < _MAX_PASSED_CHARS else ""

    return _checked(trace_id, parent_id, sampled, asked, passed)


def format_xray_id(trace_id: str) -> str:
    """Return a trace id of 32 hex digits as X-Ray writes it."""
    return f"1-{trace_id[:8]}-{trace_id[8:]}"


def format_xray(
    trace_id: str,
    span_id: str,
    sampled: bool | None,  # noqa: FBT001 - three values
    passed: str = "",
) -> str:
    """
    Return the header for ids in W3C hex.

    Args:
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        sampled: None leaves the decision to the receiver.
        passed: What goes on unread, as `parse_xray` gave it.
    """
    decision = "" if sampled is None else ";Sampled=1" if sampled else ";Sampled=0"
    return f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={span_id}{decision}{passed}"


def _checked(
    trace_id: str | None,
    parent_id: str | None,
    sampled: bool | None,  # noqa: FBT001 - three values
    asked: bool = False,  # noqa: FBT001, FBT002
    passed: str = "",
) -> XRayHeader | None:
    if trace_id is None or trace_id == _NO_TRACE:
        return None

    if parent_id == _NO_SPAN:
        parent_id = None

    return XRayHeader(trace_id, parent_id, sampled, asked, passed)
