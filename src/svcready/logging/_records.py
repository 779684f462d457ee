"""Records made for stdlib's handlers by those who don't come through its loggers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = [
    "ACCESS_LOGGER",
    "FIELDS",
    "SAID",
    "hand_over",
    "make_event",
    "write_error",
    "write_event",
]

ACCESS_LOGGER = "svcready.access"

FIELDS = "_svcready_fields"
"""
The attribute of a record that holds the keyword fields of our own logger, or the
request of an access line.
"""

SAID = "_svcready_said"
"""The attribute of a record whose line is written, though more may ask for it."""


def hand_over(
    std: logging.Logger,
    level: int,
    message: object,
    args: tuple[object, ...],
    fields: dict[str, object],
    error: BaseException | None,
    frame: FrameType,
    stack_info: bool,  # noqa: FBT001 - one of stdlib's
) -> None:
    """
    Hand a proper record to *std*, for handlers that are not ours.

    The fields are attributes of it, as `extra=` makes them, for formatters that show
    these; names that a record has already are left out there.
    """
    record = std.makeRecord(
        std.name,
        level,
        frame.f_code.co_filename,
        frame.f_lineno,
        message,
        args,
        None if error is None else (type(error), error, error.__traceback__),
        frame.f_code.co_qualname,
        sinfo=_stack_text(frame) if stack_info else None,
    )
    known = record.__dict__
    for name, value in fields.items():
        if name not in known and name not in {"message", "asctime"}:
            known[name] = value

    known[FIELDS] = fields
    std.handle(record)


def write_event(level: int, message: str, fields: dict[str, object]) -> None:
    """Log on the logger `svcready` what the library itself has to say."""
    record = make_event(level, message, fields)
    if record is not None:
        logging.getLogger(record.name).handle(record)


def make_event(
    level: int, message: str, fields: dict[str, object]
) -> logging.LogRecord | None:
    """Return the record of what the library has to say; None below its level."""
    std = logging.getLogger("svcready")
    if not std.isEnabledFor(level):
        return None

    # No function and no line: where in the library it is said helps nobody.
    record = std.makeRecord(std.name, level, "", 0, message, (), None)
    record.__dict__[FIELDS] = fields
    return record


def write_error(
    level: int, message: str, error: BaseException, fields: dict[str, object]
) -> None:
    """Log *error* on the logger `svcready`, as from where it was raised."""
    std = logging.getLogger("svcready")
    if not std.isEnabledFor(level):
        return

    file, line, function = "", 0, None
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        file, line, function = code.co_filename, trace.tb_lineno, code.co_qualname
        trace = trace.tb_next

    exc_info = (type(error), error, error.__traceback__)
    record = std.makeRecord(
        std.name, level, file, line, message, (), exc_info, function
    )
    record.__dict__[FIELDS] = fields
    std.handle(record)


def _stack_text(frame: FrameType) -> str:
    import traceback

    return "Stack (most recent call last):\n" + "".join(
        traceback.format_stack(frame)
    ).rstrip("\n")
