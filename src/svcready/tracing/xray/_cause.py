"""What failed: a document's flags, and its causes with their stacks."""

from __future__ import annotations

from random import getrandbits
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind, StatusCode

from svcready.tracing.xray._http import STATUS_NAMES
from svcready.tracing.xray._reading import TEXT_CHARS, attributes_of, events_of
from svcready.tracing.xray._traceback import parse_traceback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan

    from svcready.tracing.xray._reading import Given
    from svcready.tracing.xray._traceback import Frame, Raised

__all__ = ["EXCEPTION", "Exceptions", "exceptions_of", "flags_of"]

EXCEPTION = "exception"
"""The name of the events that record exceptions."""

Exceptions = list[dict[str, object]]

_OUT = frozenset({SpanKind.CLIENT, SpanKind.PRODUCER})
_ERRORS, _FAULTS, _PAST = 400, 500, 600
_THROTTLED = 429
_SAME = ("exception.type", "exception.message")
_TOLD = "aws.xray.exception."
"""What names attributes of events that were X-Ray exceptions before."""


def flags_of(span: ReadableSpan, given: Given) -> dict[str, bool]:
    """Return which of `error`, `throttle` and `fault` hold: by status, else by span."""
    values = given.values
    status = None
    if STATUS_NAMES[0] in values or STATUS_NAMES[1] in values:
        status = given.number(*STATUS_NAMES)

    if status is None or not _ERRORS <= status < _PAST:
        failed = span.status.status_code is StatusCode.ERROR
        return {"fault": True} if failed else {}

    if status >= _FAULTS:
        return {"fault": True}

    if status == _THROTTLED:
        return {"error": True, "throttle": True}

    return {"error": True}


def exceptions_of(
    span: ReadableSpan, given: Given
) -> tuple[Exceptions, dict[str, str]]:
    """
    Return the exceptions of *span* as X-Ray's, newest first in each chain.

    They are read from its events; an event that an application's log records told
    as well counts once. A span that failed without any has what its status says.

    Returns:
        The exceptions, and by their ids the messages that had to be cut.
    """
    events = events_of(span)
    failed = span.status.status_code is StatusCode.ERROR
    if not events and not failed:
        return [], {}

    remote = span.kind in _OUT
    found: dict[tuple[str, ...], Mapping[str, object]] = {}
    for event in events:
        if event.name == EXCEPTION:
            values = attributes_of(event)
            key = tuple(str(values.get(name)) for name in _SAME)
            if key not in found or values.get("exception.stacktrace"):
                found[key] = values

    whole: dict[str, str] = {}
    exceptions: Exceptions = []
    for values in found.values():
        exceptions += _from_event(values, remote, whole)

    if failed and not exceptions:
        text = span.status.description or given.text("http.status_text")
        if text:
            kind = given.values.get("error.type")
            exceptions.append(
                _exception(str(kind or ""), text, (), remote=remote, whole=whole)
            )

    return exceptions, whole


def _from_event(
    values: Mapping[str, object],
    remote: bool,  # noqa: FBT001
    whole: dict[str, str],
) -> Exceptions:
    stack = values.get("exception.stacktrace")
    chain, members = parse_traceback(str(stack)) if stack else ([], [])
    first = chain[0] if chain else None
    made = _exception(
        str(values.get("exception.type") or (first.type if first else "")),
        str(values.get("exception.message") or ""),
        first.stack if first else (),
        remote=remote,
        truncated=first.truncated if first else 0,
        whole=whole,
    )
    _add_told(values, made)
    exceptions = [made]
    for raised in chain[1:]:
        if not raised.type and not raised.stack:
            continue

        before = _raised(raised, remote, whole)
        exceptions[-1]["cause"] = before["id"]
        exceptions.append(before)

    return exceptions + [_raised(member, remote, whole) for member in members]


def _raised(raised: Raised, remote: bool, whole: dict[str, str]) -> dict[str, object]:  # noqa: FBT001
    return _exception(
        raised.type,
        raised.message,
        raised.stack,
        remote=remote,
        truncated=raised.truncated,
        whole=whole,
    )


def _exception(
    kind: str,
    message: str,
    stack: tuple[Frame, ...],
    *,
    remote: bool,
    truncated: int = 0,
    whole: dict[str, str],
) -> dict[str, object]:
    made: dict[str, object] = {"id": f"{getrandbits(64) or 1:016x}"}
    if len(message) > TEXT_CHARS:
        whole[str(made["id"])] = message

    if message:
        made["message"] = message[:TEXT_CHARS]

    if kind:
        made["type"] = kind[-TEXT_CHARS:]

    if remote:
        made["remote"] = True

    if truncated:
        made["truncated"] = truncated

    if stack:
        made["stack"] = [
            {
                "path": frame.path[-TEXT_CHARS:],
                "line": frame.line,
                "label": frame.label[-TEXT_CHARS:],
            }
            for frame in stack
        ]

    return made


def _add_told(values: Mapping[str, object], made: dict[str, object]) -> None:
    for name, kind in (("id", str), ("cause", str), ("remote", bool)):
        value = values.get(_TOLD + name)
        if isinstance(value, kind) and value != "":
            made[name] = value

    for name in ("truncated", "skipped"):
        value = values.get(_TOLD + name)
        if isinstance(value, int) and not isinstance(value, bool):
            made[name] = value
