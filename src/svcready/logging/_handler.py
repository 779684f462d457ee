"""The one handler on the root logger: every record becomes one line of ours."""

from __future__ import annotations

import logging
import sys
from itertools import islice
from typing import TYPE_CHECKING, cast

from svcready._core.guard import report_fault
from svcready.logging._claims import is_claimed
from svcready.logging._lines._line import NO_MARKS
from svcready.logging._lines._text import safe_text
from svcready.logging._records import FIELDS, SAID
from svcready.logging._sources._structlog import WRAPPED, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from svcready.logging._lines._line import Lines, Site
    from svcready.logging._recorder import Flights
    from svcready.logging._stages import Gate, Sink

__all__ = ["LineHandler", "extras_of", "render_record"]

_NO_FIELDS: Mapping[str, object] = {}
_STANDARD = tuple(vars(logging.LogRecord("", 0, "", 0, "", (), None)))
_COUNT = len(_STANDARD)
_OF_OTHERS = {"message", "asctime", "color_message", FIELDS, SAID}
_OF_OTHERS |= {
    f"otel{it}" for it in ("TraceID", "SpanID", "TraceSampled", "ServiceName")
}
_SKIPPED = frozenset(_STANDARD) | _OF_OTHERS


def extras_of(record: logging.LogRecord) -> Mapping[str, object]:
    """Return what was given as `extra=`, and whatever else others put on *record*."""
    found = record.__dict__
    if len(found) == _COUNT:
        return _NO_FIELDS

    extras = {}
    for name in islice(found, _COUNT, None):  # stdlib sets its own attributes first
        extras[name] = found[name]

    if _SKIPPED.isdisjoint(extras):
        return extras

    return {name: found[name] for name in found if name not in _SKIPPED}


class LineHandler(logging.Handler):
    """
    Writes each record as one line; it holds no lock and never fails.

    Args:
        lines: Makes the lines.
        write: Takes a line and its level; needs no lock around it.
        time_ns: Wall time, for lines that come without a record.
        is_server: Tells whether a record is a server's or framework's, whose line
            about an exception that we have written already is dropped.
        floor: No record below this level is written, whatever its logger's level.
    """

    def __init__(
        self,
        lines: Lines,
        write: Sink,
        time_ns: Callable[[], int],
        *,
        is_server: Callable[[logging.LogRecord], bool],
        floor: int,
    ) -> None:
        super().__init__(floor)
        self.name = "svcready"
        self.lines = lines
        self.write = write
        self.line = lines.line
        self.time_ns = time_ns
        self.left = sys.maxsize
        """How many lines may pass before `gate` is asked, in this and in its hands."""
        self.gate: Gate = _let_pass
        """Decides before anything is formatted, once `left` is below nothing."""
        self.flights: Flights | None = None
        """Keeps each request's suppressed lines; None: the flight recorder is off."""
        self._is_server = is_server

    def createLock(self) -> None:  # noqa: N802 - stdlib's name
        """Have no lock: a line is made by its caller and written in one piece."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Write *record*, unless a filter on this handler drops it."""
        try:
            if self.filters:
                passed: object = self.filter(record)
                if not passed:
                    return False

                if isinstance(passed, logging.LogRecord):  # Python 3.12
                    record = passed

            self._take(record)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault("logging", error)

        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record*, unless it repeats what our own line about an error says."""
        self._take(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for *record*, for whoever borrows the handler's form."""
        return render_record(self.lines, record).decode()

    def _take(self, record: logging.LogRecord) -> None:
        if record.exc_info and self._repeats(record):
            return

        self.left = left = self.left - 1
        if left >= 0 or _passes(self.gate, record):
            self.write(render_record(self.lines, record), record.levelno)

    def _repeats(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return error is not None and is_claimed(error) and self._is_server(record)


def _let_pass(
    site: Site | FrameType, logger: str, level: int, message: object, time_ns: int
) -> bool:
    del site, logger, level, message, time_ns
    return True


def _passes(gate: Gate, record: logging.LogRecord) -> bool:
    if isinstance(record.__dict__.get(FIELDS), tuple):  # an access line
        return True

    return gate(
        _site_of(record),
        record.name,
        record.levelno,
        record.msg,
        int(record.created * 1e9),
    )


def _site_of(record: logging.LogRecord) -> Site:
    return record.name, record.funcName, record.lineno


def render_record(
    lines: Lines, record: logging.LogRecord, marks: Mapping[str, int] = NO_MARKS
) -> bytes:
    """Return the line for *record*, with its newline; *marks* as `Lines` has them."""
    known = record.__dict__
    fields = known.get(FIELDS)
    if fields is None:
        fields = extras_of(record)
    elif isinstance(fields, tuple):
        time_ns = int(record.created * 1e9)
        return lines.request_line(record.levelno, fields, time_ns)

    message = record.msg
    error = record.exc_info[1] if record.exc_info else None
    if type(message) is str and not record.args:
        pass
    elif issubclass(type(message), dict):  # `isinstance` asks a lazy object
        said = cast("dict[object, object]", message)
        if known.keys() >= WRAPPED:
            fields, message, told = unwrapped(said, fields)
            error = told or error
        else:
            fields, message = _of_dict(said, fields)
    else:
        args = record.args or ()
        message = lines.text_of(message, args if isinstance(args, tuple) else (args,))

    if record.stack_info:
        fields = {**fields, "stack_info": record.stack_info}

    name = record.name
    return lines.line(
        _site_of(record),
        name,
        record.levelno,
        message,
        fields,
        error,
        int(record.created * 1e9),
        marks,
    )


def _of_dict(
    message: dict[object, object], fields: Mapping[str, object]
) -> tuple[Mapping[str, object], str]:
    named = {
        str.__str__(key) if issubclass(type(key), str) else safe_text(key): value
        for key, value in dict.items(message)  # whatever a subclass makes of it
    }
    for key in ("message", "event", "msg"):
        text = named.get(key)
        if isinstance(text, str):
            del named[key]
            return {**named, **fields}, text

    return {**named, **fields}, ""
