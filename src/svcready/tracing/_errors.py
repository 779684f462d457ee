"""Exceptions as span events, redacted."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready._core.redaction import names_behind
from svcready._core.type_names import type_name
from svcready.tracing._contents import note
from svcready.tracing._otel import ids_of

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from svcready.tracing._attributes import Attributes

__all__ = ["described", "message_of", "record"]

_NOTED = "_svcready_noted_on"


def record(span: Span, error: BaseException, attributes: Attributes) -> None:
    """
    Add *error* to *span* as an event.

    The specification moves exceptions to log records; X-Ray's mapping reads events.
    The stack has what caused it, and the members of a group. Whether it was handled
    shows by the span's status: `exception.escaped`, which said so, is deprecated. On
    one span an error is recorded once, whoever tells of it.
    """
    try:
        if _is_known(error, span):
            return

        said = described(error)
        said["exception.message"] = attributes.text(said["exception.message"])
        stack = said["exception.stacktrace"]
        said["exception.stacktrace"] = attributes.stack(stack, names_behind(error))
        note(span, "exception", said)
    except Exception as fault:  # noqa: BLE001 - telemetry never raises
        report_fault("tracing.span", fault)


def described(error: BaseException) -> dict[str, str]:
    """Return what an event says of *error*, not redacted."""
    return {
        "exception.type": type_name(error),
        "exception.message": message_of(error),
        "exception.stacktrace": "".join(traceback.format_exception(error)),
    }


def message_of(error: BaseException) -> str:
    """Return the text of *error*; never raises."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the error's own fault
        return "<no message>"


def _is_known(error: BaseException, span: Span) -> bool:
    """Tell whether *error* is on *span* already, and mark it."""
    ids = ids_of(span)
    noted = getattr(error, "__dict__", None)
    if ids is None or noted is None:
        return False

    known: object = noted.get(_NOTED)
    noted[_NOTED] = ids[1]
    return known == ids[1]
