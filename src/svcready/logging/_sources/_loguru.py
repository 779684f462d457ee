"""loguru's lines as ours: a sink for `logger.add`."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready.logging import _logger
from svcready.logging._records import FIELDS

if TYPE_CHECKING:
    from types import FrameType

    from loguru import Message, Record

__all__ = ["loguru_sink"]

_COMMON = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})
_DISPATCH = logging.Logger.callHandlers.__code__


def loguru_sink(message: Message) -> None:
    """
    Write loguru's message as a line of ours.

    `loguru.logger.configure(handlers=[{"sink": svcready.logging.loguru_sink, "level":
    0}])` is all. What was bound, contextualized or patched into `extra` are the line's
    fields; levels are those of the stdlib logger with the module's name, and one that
    stdlib doesn't have is named in the field `level_name`.

    What stdlib's loggers hand to loguru by a handler, as its documentation shows, is
    left out: it has a line already.

    Args:
        message: What loguru formatted; only its record counts.
    """
    try:
        _write(message.record)
    except Exception as error:  # noqa: BLE001 - telemetry never raises
        report_fault("logging", error)


def _write(record: Record) -> None:
    level = record["level"]
    std = logging.getLogger(record["name"] or "loguru")
    handler = _logger.running()
    if not std.isEnabledFor(level.no) or _has_a_line(record["message"], handler):
        return

    fields: dict[str, object] = dict(record["extra"])
    if level.name not in _COMMON:
        fields.setdefault("level_name", level.name)

    exception = record["exception"]
    error = None if exception is None else exception.value
    made = std.makeRecord(
        std.name,
        level.no,
        record["file"].path,
        record["line"],
        record["message"].removesuffix("\n"),  # opt(raw=True)
        (),
        None if error is None else (type(error), error, error.__traceback__),
        record["function"],
    )
    made.created = record["time"].timestamp()
    made.__dict__[FIELDS] = fields
    if handler is None:
        std.handle(made)
    elif level.no >= handler.level:  # straight: a handler of stdlib's may be loguru
        handler.handle(made)


def _has_a_line(message: str, handler: logging.Handler | None) -> bool:
    """Tell whether a stdlib logger that reaches our handler is saying this now."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        if frame.f_code is _DISPATCH:
            logger, record = frame.f_locals["self"], frame.f_locals["record"]
            return bool(record.getMessage() == message) and (
                handler is None or _logger.reaches(logger, handler)
            )

        frame = frame.f_back

    return False
