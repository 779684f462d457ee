"""structlog's lines as ours: the last processor of its chain."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, NoReturn

from svcready._core.guard import report_fault
from svcready.logging._lines._text import safe_text
from svcready.logging._logger import Logger, error_of
from svcready.logging._records import hand_over

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from types import FrameType

__all__ = ["WRAPPED", "structlog_processor", "unwrapped"]

WRAPPED = frozenset({"_logger", "_name"})
"""What structlog's `wrap_for_formatter` puts on a record beside the event's dict."""

_LEVELS = {
    "debug": 10,
    "info": 20,
    "msg": 20,
    "warning": 30,
    "warn": 30,
    "error": 40,
    "exception": 40,
    "err": 40,
    "critical": 50,
    "fatal": 50,
}


def structlog_processor(
    logger: object, method_name: str, event_dict: MutableMapping[str, object]
) -> NoReturn:
    """
    Write structlog's event as a line of ours; for the end of the list of processors.

    `structlog.configure(processors=[structlog.contextvars.merge_contextvars,
    svcready.logging.structlog_processor])` is all. The `event` is the line's message,
    the rest its fields; levels are those of the stdlib logger with the same name. The
    logger that structlog wraps is asked for its name only, so any factory will do.

    Args:
        logger: What structlog wraps.
        method_name: Which of its methods was called.
        event_dict: The event.

    Raises:
        structlog.DropEvent: Always, which tells structlog that all is done.
    """
    from structlog import DropEvent

    try:
        _write(logger, method_name, dict(event_dict))
    except Exception as error:  # noqa: BLE001 - telemetry never raises
        report_fault("logging", error)

    raise DropEvent


def unwrapped(
    event: Mapping[object, object], extras: Mapping[str, object]
) -> tuple[Mapping[str, object], str, BaseException | None]:
    """
    Take apart what `structlog.stdlib.ProcessorFormatter` would have rendered.

    Returns:
        The line's fields, its message and its exception.
    """
    fields = {safe_text(key): event[key] for key in event}
    method = extras.get("_name")
    level = _LEVELS.get(method if isinstance(method, str) else "")
    message = _take_text(fields, level)
    error = error_of(fields.pop("exc_info", method == "exception"))
    fields.pop("logger", None)  # the record has it
    fields.pop("stack_info", None)
    kept = {name: extras[name] for name in extras if name not in WRAPPED}
    return {**fields, **kept}, message, error


def _write(logger: object, method_name: str, fields: dict[str, object]) -> None:
    level = _LEVELS.get(method_name, logging.INFO)
    frame = _caller(fields.pop("stacklevel", 1))
    std = _named(logger, fields, frame)
    if not std.isEnabledFor(level):
        return

    args = fields.pop("positional_args", ())
    error = error_of(fields.pop("exc_info", method_name == "exception"))
    stack_info = bool(fields.pop("stack_info", False))
    message = _take_text(fields, level)
    args = args if isinstance(args, tuple) else (args,)
    hand_over(std, level, message, args, fields, error, frame, stack_info)


def _take_text(fields: dict[str, object], level: int | None) -> str:
    """Take the message out of *fields*, and the level that the line has anyway."""
    said = fields.get("level")
    if isinstance(said, str) and _LEVELS.get(said) == level:
        del fields["level"]

    event = fields.pop("event", "")
    return event if isinstance(event, str) else safe_text(event)


def _named(
    logger: object, fields: dict[str, object], frame: FrameType
) -> logging.Logger:
    """Return the logger by the name that structlog knows, or by the caller's module."""
    said = fields.get("logger")
    if isinstance(logger, logging.Logger | Logger):
        name = logger.name
    elif isinstance(said, str):
        name = said
    else:
        name = str(frame.f_globals.get("__name__", "structlog"))

    if said == name:
        del fields["logger"]

    return logging.getLogger(name)


def _caller(stacklevel: object) -> FrameType:
    """Return the frame that called structlog, or one of those that called that."""
    variables = sys.modules.get("structlog.contextvars")
    calling = getattr(variables, "_ASYNC_CALLING_STACK", None)
    frame: FrameType = sys._getframe(2)  # noqa: SLF001 - as stdlib's findCaller does
    if calling is not None:  # where `await log.ainfo()` stands
        frame = calling.get(frame)

    while frame.f_back is not None and _is_structlogs(frame):
        frame = frame.f_back

    more = stacklevel - 1 if isinstance(stacklevel, int) else 0
    while more > 0 and frame.f_back is not None:
        frame = frame.f_back
        more -= 1

    return frame


def _is_structlogs(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    return name in {"structlog", __name__} or str(name).startswith("structlog.")
