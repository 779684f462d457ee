"""Where the calls end that the level suppresses, while a flight recorder runs."""

from __future__ import annotations

import logging
import sys
from contextvars import copy_context
from functools import wraps
from typing import TYPE_CHECKING, TypeAlias

from svcready._core.context import current
from svcready._core.guard import report_fault
from svcready.logging._levels import level_number
from svcready.logging._logger import SPECIAL, Logger, names_in_use, take_special
from svcready.logging._recorder import LINE_BYTES, VALUE_BYTES, Flight, size_of
from svcready.logging._thresholds import is_application

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from svcready.logging._recorder import Flights

__all__ = ["SuppressedCalls"]

_MAX_CACHED = 4096
_OURS = "svcready"
_NEVER = logging.ERROR
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_WRITES = "_log"
"""Stdlib's inner method: whoever asks before calling it would write at once."""
_STDLIB = logging.Logger.debug.__code__.co_filename
_STDLIB_CALLS = {getattr(logging.Logger, name).__code__ for name in (*_LEVELS, "log")}
_OUR_CALL = Logger.log.__code__

_Asked: TypeAlias = "Callable[[logging.Logger, int], bool]"


class SuppressedCalls:
    """
    Hands lines below the level to a recorder, and leaves all levels as they are.

    Lower levels would have each call make a record, outside requests too, and show it
    to everybody else's handlers. Instead we answer whether a level is on: stdlib's
    loggers ask `Logger.isEnabledFor`, and what they are to log stands in the frame of
    the method that asks; our own loggers, which know the answer, get other methods.

    An application that asks `isEnabledFor` itself is told yes where its line would be
    kept, so that it goes on and logs it; but one that then calls `Logger._log` itself,
    as methods for further levels do, is told the truth, and its line is not kept.

    Args:
        flights: Keeps the lines: of the application's own loggers from DEBUG on, of all
            others from INFO on.
    """

    def __init__(self, flights: Flights) -> None:
        self._flights = flights
        self._time_ns = flights.handler.time_ns
        self._lowest: dict[str, int] = {}
        self._before: dict[str, Callable[..., object]] = {}
        self._installed = False

    def install(self) -> None:
        """Put our answers and methods in place."""
        if self._installed:
            return

        self._installed = True
        self._asked_before = asked = logging.Logger.isEnabledFor
        self._asked = _answering(asked, self._flights, self._answer)
        _set_answer(self._asked)
        methods = {"isEnabledFor": self._asking(Logger.isEnabledFor)}
        for name, level in _LEVELS.items():
            before = getattr(Logger, name)
            methods[name] = _recording(level, before, asked, self._flights)

        for name, method in methods.items():
            self._before[name] = getattr(Logger, name)
            setattr(Logger, name, method)

    def remove(self) -> None:
        """Put back what was there; who came after us goes on asking through us."""
        if not self._installed:
            return

        self._installed = False
        self._flights.forget()
        if logging.Logger.isEnabledFor is self._asked:
            _set_answer(self._asked_before)

        for name, before in self._before.items():
            setattr(Logger, name, before)

    def _asking(
        self, before: Callable[[Logger, int | str], bool]
    ) -> Callable[..., object]:
        """Make the method by which our own loggers are asked."""

        @wraps(before)
        def is_enabled_for(self: Logger, level: int | str) -> bool:
            return before(self, level) or is_kept(self._std, level_number(level))

        is_kept = self._is_kept
        return is_enabled_for

    def _is_kept(self, std: logging.Logger, level: int) -> bool:
        """Tell whether a suppressed line of the current request is kept."""
        record = current()
        return (
            record is not None
            and record.span_id in self._flights.open
            and self._lowest_of(std.name) <= level < _NEVER
            and std.manager.disable < level
        )

    def _answer(
        self, flight: Flight, std: logging.Logger, level: int, frame: FrameType
    ) -> bool:
        """Keep the line of who asks; True if it only wants to know."""
        if level < self._lowest_of(std.name) or std.manager.disable >= level:
            return False

        code = frame.f_code
        given = frame.f_locals
        if code in _STDLIB_CALLS:
            self._keep(
                flight, std, level, frame, given["msg"], given["args"], given["kwargs"]
            )
        elif code is _OUR_CALL:
            logger, fields = given["self"], given["fields"]
            self._keep(
                flight, logger, level, frame, given["message"], given["args"], fields
            )
        else:
            asking = str(frame.f_globals.get("__name__")).partition(".")[0]
            return (
                level in _LEVELS.values()
                and asking != _OURS
                and _WRITES not in code.co_names
            )

        return False

    def _keep(
        self,
        flight: Flight,
        logger: logging.Logger | Logger,
        level: int,
        frame: FrameType,
        message: object,
        args: tuple[object, ...],
        fields: dict[str, object],
    ) -> None:
        """Keep a line that the method in *frame* was called with."""
        error, depth = None, 2
        extra = fields.get("extra") if len(fields) == 1 else None
        if type(extra) is dict:  # most of stdlib's that have any
            fields = extra
        elif fields and not SPECIAL.isdisjoint(fields):
            fields, error, depth, _ = take_special(fields)

        caller = _caller(frame, depth - 1)
        code, at, now_ns = caller.f_code, caller.f_lasti, self._time_ns()
        size = LINE_BYTES + size_of(args) + size_of(fields.values())
        entry = (
            logger, code, at, level, message, args, fields, error,
            now_ns, copy_context(), size,
        )  # fmt: skip
        self._flights.keep(flight, entry)

    def _lowest_of(self, name: str) -> int:
        """Return the level from which on suppressed lines of a logger are kept."""
        lowest = self._lowest.get(name)
        if lowest is None:
            if len(self._lowest) >= _MAX_CACHED:
                self._lowest.clear()

            top = name.partition(".")[0]
            lowest = logging.DEBUG if _is_own(top) else logging.INFO
            self._lowest[name] = lowest = _NEVER if top == _OURS else lowest

        return lowest


def _is_own(top: str) -> bool:
    named = {name.partition(".")[0] for name in names_in_use()}
    return top in named or is_application(top)


def _set_answer(answer: _Asked) -> None:
    setattr(logging.Logger, "isEnabledFor", answer)  # noqa: B010 - a typed method


def _answering(
    before: _Asked,
    flights: Flights,
    answer: Callable[[Flight, logging.Logger, int, FrameType], bool],
) -> _Asked:
    """Make what answers for stdlib's loggers."""
    flight_of = flights.open.get
    handler = flights.handler

    @wraps(before)
    def is_enabled_for(self: logging.Logger, level: int) -> bool:
        if self.disabled:
            return False

        # Stdlib's memory of its answers, as in our `Logger`.
        enabled: bool | None = self._cache.get(level)  # type: ignore[attr-defined]
        if enabled is None:
            enabled = before(self, level)

        if level >= _NEVER or (enabled and level >= handler.level):
            return enabled

        record = current()
        flight = None if record is None else flight_of(record[3])
        if flight is None:
            return enabled

        try:
            return answer(flight, self, level, sys._getframe(1)) or enabled  # noqa: SLF001
        except Exception as fault:  # noqa: BLE001 - telemetry never raises
            report_fault("logging", fault)
            return enabled

    return is_enabled_for


def _recording(
    level: int, before: Callable[..., object], asked: _Asked, flights: Flights
) -> Callable[..., object]:
    """Make a method of our own loggers that keeps what it would drop."""
    flight_of, handler, append = flights.open.get, flights.handler, Flight.append
    max_lines, max_bytes = flights.max_lines, flights.max_bytes
    max_total = flights.max_total
    time_ns = handler.time_ns

    @wraps(before)
    def method(
        self: Logger, message: object, /, *args: object, **fields: object
    ) -> None:
        try:
            enabled = self._cache[level]
        except KeyError:
            enabled = asked(self._std, level)

        if enabled:
            self._log(level, message, args, fields)
            if level >= handler.level:
                return

        record = current()
        flight = None if record is None else flight_of(record[3])
        if flight is None:
            return

        try:
            frame, error = sys._getframe(1), None  # noqa: SLF001 - as in `Logger`
            size = size_of(args) + LINE_BYTES if args else LINE_BYTES
            if fields:
                if not SPECIAL.isdisjoint(fields):
                    fields, error, depth, _ = take_special(fields)
                    frame = _caller(frame, depth - 2)

                size += VALUE_BYTES * len(fields)
                for value in fields.values():
                    kind = type(value)
                    if kind is str or kind is bytes:
                        size += len(value)  # type: ignore[arg-type]

            entry = (
                self, frame.f_code, frame.f_lasti, level, message, args, fields, error,
                time_ns(), copy_context(), size,
            )  # fmt: skip
            append(flight, entry)
            flight.size = mine = flight.size + size
            flights.size = total = flights.size + size
            if len(flight) > max_lines or mine > max_bytes or total > max_total:
                flights.settle(flight)
        except Exception as fault:  # noqa: BLE001 - telemetry never raises
            report_fault("logging", fault)

    return method


def _caller(frame: FrameType, level: int) -> FrameType:
    """Return who called the method in *frame*, as stdlib's findCaller counts."""
    found = frame
    while frame.f_back is not None and level > 0:
        frame = frame.f_back
        if frame.f_code.co_filename != _STDLIB:
            found = frame
            level -= 1

    return found
