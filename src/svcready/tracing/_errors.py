"""Exceptions as span events, redacted."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready._core.type_names import type_name
from svcready.tracing._contents import note

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from svcready.tracing._attributes import Attributes

__all__ = ["record"]


def record(span: Span, error: BaseException, attributes: Attributes) -> None:
    """
    Add *error* to *span* as an event.

    The specification moves exceptions to log records; X-Ray's mapping reads events.
    """
    try:
        try:
            message = str(error)
        except Exception:  # noqa: BLE001 - the error's own fault
            message = "<no message>"

        stack = "".join(traceback.format_exception(error))
        note(
            span,
            "exception",
            {
                "exception.type": type_name(error),
                "exception.message": attributes.text(message),
                "exception.stacktrace": attributes.stack(stack),
            },
        )
    except Exception as fault:  # noqa: BLE001 - telemetry never raises
        report_fault("tracing.span", fault)
