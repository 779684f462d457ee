"""The logger that users hold: stdlib's, with fields as keyword arguments."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready.logging._levels import level_number
from svcready.logging._records import hand_over

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from svcready.logging._handler import LineHandler

__all__ = [
    "SPECIAL",
    "Logger",
    "error_of",
    "get_logger",
    "is_alone",
    "names_in_use",
    "reaches",
    "running",
    "take_special",
    "use",
]

SPECIAL = frozenset({"exc_info", "extra", "stack_info", "stacklevel"})
"""The keyword arguments that mean what they mean in stdlib."""

_handler: LineHandler | None = None
_on_new_name: Callable[[], None] | None = None
_names: set[str] = set()
_plain_record = logging.LogRecord
# Read where `getLogRecordFactory` reads it, without its frame on every line. Should
# stdlib keep it elsewhere one day, then everybody gets proper records.
_stdlib: Mapping[str, object] = vars(logging)
_FACTORY = "_logRecordFactory"


def use(
    handler: LineHandler | None, on_new_name: Callable[[], None] | None = None
) -> None:
    """
    Let all loggers write straight to *handler* while nobody else listens.

    Args:
        handler: The running pillar's; None if there is none.
        on_new_name: Called when a logger is asked for whose name is new.
    """
    global _handler, _on_new_name  # noqa: PLW0603 - the running pillar, one per process
    _handler = handler
    _on_new_name = on_new_name


def running() -> LineHandler | None:
    """Return the handler in use."""
    return _handler


def names_in_use() -> frozenset[str]:
    """Return the names that `get_logger` was asked for."""
    return frozenset(_names)


def get_logger(name: str) -> Logger:
    """
    Return the logger called *name*, which takes fields as keyword arguments.

    It can be made at import and used before `init()`; it is then stdlib's logger of
    that name and goes wherever that goes.

    Args:
        name: Usually `__name__`.
    """
    std = logging.getLogger(name)
    if name not in _names:
        _names.add(name)
        if _on_new_name is not None:
            _on_new_name()

    return Logger(std, {})


def is_alone(std: logging.Logger, handler: LineHandler) -> bool:
    """Tell whether nobody but *handler* would see a record of *std*."""
    node = std
    while not node.handlers and node.propagate and node.parent is not None:
        node = node.parent

    listening = node.handlers
    return (
        len(listening) == 1
        and listening[0] is handler
        and node.parent is None
        and not std.filters
        and not std.disabled
        and not handler.filters
        and _stdlib.get(_FACTORY) is _plain_record
    )


def reaches(std: logging.Logger, handler: logging.Handler) -> bool:
    """Tell whether records of *std* come to *handler*."""
    node: logging.Logger | None = None if std.disabled else std
    while node is not None and handler not in node.handlers:
        node = node.parent if node.propagate else None

    return node is not None


class Logger:
    """
    A stdlib logger whose methods take keyword arguments as fields of the line.

    `%` arguments work as in stdlib. `exc_info`, `stack_info`, `stacklevel` and
    `extra` mean what they mean there; every other keyword is a field, and `event`
    names the line for machines. Levels, filters and handlers are those of the stdlib
    logger with the same name.

    While our handler is the only one that listens, a line is written without making
    a `LogRecord`; as soon as anybody else does, everybody gets a proper one.
    """

    __slots__ = ("_cache", "_fields", "_std", "name")

    def __init__(self, std: logging.Logger, fields: Mapping[str, object]) -> None:
        self.name = std.name
        self._std = std
        self._fields = fields
        # The very dict in which stdlib remembers its answers; it is emptied whenever
        # any level changes.
        self._cache: dict[int, bool] = getattr(std, "_cache", {})

    def __repr__(self) -> str:
        return f"<svcready.Logger {self.name!r}>"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.name, dict(self._fields))

    @property
    def std(self) -> logging.Logger:
        """The stdlib logger of its name."""
        return self._std

    @property
    def fields(self) -> Mapping[str, object]:
        """What was bound to it."""
        return self._fields

    def bind(self, /, **fields: object) -> Logger:
        """Return a logger that puts *fields* on each of its lines."""
        return Logger(self._std, {**self._fields, **fields})

    def isEnabledFor(self, level: int | str) -> bool:  # noqa: N802 - stdlib's name
        """Tell whether a line of *level* would be written."""
        number = level_number(level)
        handler = _handler
        return self._std.isEnabledFor(number) and (
            handler is None or number >= handler.level or len(self._std.handlers) > 0
        )

    def debug(self, message: object, /, *args: object, **fields: object) -> None:
        """Log what helps to follow the code's steps."""
        try:
            enabled = self._cache[10]
        except KeyError:
            enabled = self._std.isEnabledFor(10)

        if enabled:
            self._log(10, message, args, fields)

    def info(self, message: object, /, *args: object, **fields: object) -> None:
        """Log what happened as it should."""
        try:
            enabled = self._cache[20]
        except KeyError:
            enabled = self._std.isEnabledFor(20)

        if enabled:
            self._log(20, message, args, fields)

    def warning(self, message: object, /, *args: object, **fields: object) -> None:
        """Log what somebody should look at some day."""
        try:
            enabled = self._cache[30]
        except KeyError:
            enabled = self._std.isEnabledFor(30)

        if enabled:
            self._log(30, message, args, fields)

    def error(self, message: object, /, *args: object, **fields: object) -> None:
        """Log what failed."""
        try:
            enabled = self._cache[40]
        except KeyError:
            enabled = self._std.isEnabledFor(40)

        if enabled:
            self._log(40, message, args, fields)

    def exception(self, message: object, /, *args: object, **fields: object) -> None:
        """Log what failed, with the exception that is being handled."""
        if self._std.isEnabledFor(40):
            self._log(40, message, args, {"exc_info": True, **fields})

    def critical(self, message: object, /, *args: object, **fields: object) -> None:
        """Log what the service can't go on after."""
        try:
            enabled = self._cache[50]
        except KeyError:
            enabled = self._std.isEnabledFor(50)

        if enabled:
            self._log(50, message, args, fields)

    def log(
        self,
        level: int | str,
        message: object,
        /,
        *args: object,
        **fields: object,
    ) -> None:
        """
        Log at *level*, a number or one of the schema's names.

        Raises:
            ValueError: No level is called so.
        """
        number = level_number(level)
        if self._std.isEnabledFor(number):
            self._log(number, message, args, fields)

    def _log(
        self,
        level: int,
        message: object,
        args: tuple[object, ...],
        fields: dict[str, object],
    ) -> None:
        std = self._std
        try:
            if std.disabled:
                return

            error = None
            depth = 2
            handler = _handler
            alone = handler is not None and not std.filters
            if fields and not SPECIAL.isdisjoint(fields):
                fields, error, depth, stack_info = take_special(fields)
                alone = alone and not stack_info
            else:
                stack_info = False

            if self._fields:
                fields = {**self._fields, **fields}

            if alone:
                node = std
                while not node.handlers and node.propagate and node.parent is not None:
                    node = node.parent

                alone = (
                    len(node.handlers) == 1
                    and node.handlers[0] is handler
                    and node.parent is None
                    and not handler.filters
                    and _stdlib.get(_FACTORY) is _plain_record
                )

            if handler is None or not alone:
                frame = _frame(depth)
                hand_over(std, level, message, args, fields, error, frame, stack_info)
            elif level >= handler.level:
                frame = sys._getframe(2) if depth == 2 else _frame(depth)  # noqa: SLF001
                now_ns = handler.time_ns()
                handler.left = left = handler.left - 1
                if left < 0 and not handler.gate(
                    frame, self.name, level, message, now_ns
                ):
                    return

                if type(message) is not str or args:
                    message = handler.lines.text_of(message, args)

                line = handler.line(
                    frame, self.name, level, message, fields, error, now_ns
                )
                handler.write(line, level)
        except Exception as fault:  # noqa: BLE001 - telemetry never raises
            report_fault("logging", fault)


def _rebuild(name: str, fields: dict[str, object]) -> Logger:
    return get_logger(name).bind(**fields)


def _frame(depth: int) -> FrameType:
    try:
        return sys._getframe(depth + 1)  # noqa: SLF001 - as stdlib's findCaller does
    except ValueError:  # a stacklevel beyond the outermost frame
        return sys._getframe(3)  # noqa: SLF001 - who called us


def take_special(
    fields: dict[str, object],
) -> tuple[dict[str, object], BaseException | None, int, bool]:
    """Take stdlib's own keyword arguments out of *fields*."""
    rest = {name: fields[name] for name in fields if name not in SPECIAL}
    extra = fields.get("extra")
    if isinstance(extra, dict):
        rest = {**extra, **rest}

    level = fields.get("stacklevel", 1)
    return (
        rest,
        error_of(fields.get("exc_info")),
        1 + (level if isinstance(level, int) and level > 0 else 1),
        bool(fields.get("stack_info")),
    )


def error_of(exc_info: object) -> BaseException | None:
    """Return the exception that `exc_info`, in any of stdlib's forms, means."""
    try:
        if isinstance(exc_info, BaseException):
            return exc_info

        if isinstance(exc_info, tuple):
            error = exc_info[1] if len(exc_info) == 3 else None
            return error if isinstance(error, BaseException) else None

        return sys.exc_info()[1] if exc_info else None
    except Exception:  # noqa: BLE001 - the code of what is no exception
        return None
