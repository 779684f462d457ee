"""What an answer says of when to come again."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MOST_S", "hint_s", "parse_retry_after"]

MOST_S = 86_400.0
"""The longest wait that is read from an answer, in seconds: a day."""

_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_IN_MS = ("retry-after-ms", "x-ms-retry-after-ms")
_LONGEST = 2048
# An item of a structured field (RFC 9651): "name";r=0;t=30
_ITEM = re.compile(
    r'\s*"(?:[^"\\]|\\["\\])*"((?:;\s*[a-z*][a-z0-9_.*-]*(?:=[^;,]*)?)*)\s*'
)
_PARAMETER = re.compile(r";\s*([a-z*][a-z0-9_.*-]*)=(\d{1,15})(?=;|$)")


def hint_s(
    headers: Mapping[str, str] | None, now_s: Callable[[], float] = time.time
) -> float | None:
    """
    Return how long an answer asks to wait, in seconds; None if it doesn't.

    `Retry-After` comes first (RFC 9110, section 10.2.3), more precise in milliseconds
    where a server has that too (Azure's `x-ms-retry-after-ms`); then the `RateLimit`
    fields of the draft, of those policies whose quota is used up.

    Args:
        headers: The answer's, of whatever case.
        now_s: Wall time, where the answer has no `Date`.
    """
    if headers is None:
        return None

    for name in _IN_MS:
        text = _header(headers, name)
        if text is not None and _SECONDS.fullmatch(text):
            return min(float(text) / 1000.0, MOST_S)

    text = _header(headers, "retry-after")
    if text is not None:
        wait_s = parse_retry_after(text, _header(headers, "date"), now_s)
        if wait_s is not None:
            return wait_s

    return _used_up_s(_header(headers, "ratelimit"))


def parse_retry_after(
    text: str, date: str | None = None, now_s: Callable[[], float] = time.time
) -> float | None:
    """
    Return the seconds that a `Retry-After` means; None if it is malformed.

    A time is related to the answer's own `Date`, so that the two clocks need not agree;
    one that is past means 0, one that is far means a day.

    Args:
        text: The header's value: seconds, or an HTTP-date in any of its three forms.
        date: The answer's `Date`.
        now_s: Wall time, in seconds.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MOST_S)

    until_s = _parse_date(text)
    if until_s is None:
        return None

    sent_s = None if date is None else _parse_date(date)
    return min(max(0.0, until_s - (now_s() if sent_s is None else sent_s)), MOST_S)


def _parse_date(text: str) -> float | None:
    """Return the time of an HTTP-date (RFC 9110, section 5.6.7), in Unix seconds."""
    from email.utils import mktime_tz, parsedate_tz

    if len(text) > 64:
        return None

    try:
        parts = parsedate_tz(text)
        return None if parts is None else float(mktime_tz(parts))
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _used_up_s(field: str | None) -> float | None:
    """Return when the last of the used up quotas has room, by `RateLimit`'s `t`."""
    if field is None or len(field) > _LONGEST:
        return None

    waits: list[float] = []
    at = 0
    while at < len(field):
        item = _ITEM.match(field, at)
        if item is None or (item.end() < len(field) and field[item.end()] != ","):
            return None  # malformed: ignored as a whole

        at = item.end() + 1
        parameters = {name: int(value) for name, value in _PARAMETER.findall(item[1])}
        if parameters.get("r") == 0 and "t" in parameters:
            waits.append(min(float(parameters["t"]), MOST_S))

    return max(waits) if waits else None


def _header(headers: Mapping[str, str], name: str) -> str | None:
    value: object = headers.get(name)
    if value is None:  # a plain dictionary knows one spelling only
        items = headers.items()
        value = next((each for key, each in items if key.lower() == name), None)

    return value.strip() if isinstance(value, str) else None
