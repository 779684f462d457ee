"""The console line: what people read while they develop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson

from svcready._core.context import current
from svcready.logging._levels import level_name
from svcready.logging._lines._console_rows import cells, pieces, words
from svcready.logging._lines._console_trace import painted
from svcready.logging._lines._line import NO_MARKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from svcready.logging._lines._errors import ErrorTexts
    from svcready.logging._lines._line import Identity, Site
    from svcready.logging._lines._request import Request
    from svcready.logging._lines._values import Values

__all__ = ["ConsoleLines"]

_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_BRIGHT = "\x1b[1m"
_COLORS = {
    "DEBUG": "\x1b[36m",
    "INFO": "\x1b[32m",
    "WARN": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "FATAL": "\x1b[1;31m",
}
_SHORT_ID = 8
_INDENT = len("12:34:56.789 INFO  ")
_MESSAGE_WIDTH = 36
_LEAST_ROOM = 24
_ERROR = 40
_CUT_ROOM = 64
_ROUTE_WIDTH = 36
_CONTROLS = (*range(9), *range(11, 32), *range(127, 160))
_DIRECTIONS = (*range(0x2028, 0x202F), *range(0x2066, 0x206A))
_ESCAPES = {code: f"\\x{code:02x}" for code in _CONTROLS}
_ESCAPES |= {code: f"\\u{code:04x}" for code in _DIRECTIONS}
_ESCAPES[9] = "    "
"""What would move the cursor, or the text behind it, written out."""


class ConsoleLines:
    """
    Makes lines for people: time, level, message, then what is known besides.

    Fields follow dimmed as `key=value`, the trace id comes last. A request's line has
    its columns aligned. A traceback has the application's own frames bright. In a
    terminal whose width is known, rows end between words and begin under the message.

    Args:
        values: Renders fields and hides secrets.
        errors: Renders exceptions.
        span_ids: Returns the current span's ids, or None.
        color: Whether to colour.
        width: Returns the terminal's width in columns, or 0 if that isn't known.
        max_bytes: The longest line, with its traceback.
        on_cut: Called with a word for what was cut.
    """

    def __init__(
        self,
        values: Values,
        errors: ErrorTexts,
        *,
        span_ids: Callable[[], tuple[str, str] | None],
        color: bool,
        max_bytes: int,
        on_cut: Callable[[str], None],
        width: Callable[[], int] | None = None,
    ) -> None:
        self._values = values
        self.text_of = values.message
        self._errors = errors
        self._span_ids = span_ids
        self._color = color
        self._max_bytes = max_bytes
        self._on_cut = on_cut
        self._width = width

    def identify(self, identity: Identity) -> None:
        """Do nothing: whoever reads the console knows whose it is."""

    def line(
        self,
        site: Site | FrameType,
        logger: str,
        level: int,
        message: str,
        fields: Mapping[str, object],
        error: BaseException | None,
        time_ns: int,
        marks: Mapping[str, int] = NO_MARKS,
    ) -> bytes:
        """Return the text of one event, with its newline."""
        del site, logger
        record = current()
        if record is not None and record.fields:
            fields = {**record.fields, **fields}

        room = self._room()
        rows: list[str] = []
        for row in self._values.redacted(message).split("\n"):
            shown = row.translate(_ESCAPES)
            rows += words(shown, room) if room else [shown]

        used = cells(rows[-1])
        if level >= _ERROR:
            rows = [self._paint(row, _BRIGHT) for row in rows]

        return self._compose(level, rows, used, {**fields, **marks}, error, time_ns)

    def request_line(self, level: int, request: Request, time_ns: int) -> bytes:
        """Return the line of a request that has ended, its columns aligned."""
        method, route, number, duration_s, _, _, _, error = request
        status = str(number)
        route = self._values.redacted(route).translate(_ESCAPES)
        head = f"{method:<6} {route:<{_ROUTE_WIDTH}} "
        tail = f" {duration_s * 1000.0:8.1f} ms"
        record = current()
        return self._compose(
            level,
            [f"{head}{self._paint(status, _status_color(status))}{tail}"],
            cells(head) + len(status) + len(tail),
            {} if record is None else record.fields,
            error,
            time_ns,
        )

    def _compose(
        self,
        level: int,
        rows: list[str],
        used: int,
        fields: Mapping[str, object],
        error: BaseException | None,
        time_ns: int,
    ) -> bytes:
        """Put a line together; *used* is how many columns the last row takes."""
        second, rest_ns = divmod(time_ns, 1_000_000_000)
        clock = time.strftime("%H:%M:%S", time.localtime(second))
        name = level_name(level)
        stamp = self._paint(f"{clock}.{rest_ns // 1_000_000:03d}", _DIM)
        rows[0] = f"{stamp} {self._paint(f'{name:<5}', _COLORS[name])} {rows[0]}"
        details = self._details(fields)
        if details:
            self._append(rows, used, details)

        line = f"\n{'':<{_INDENT}}".join(rows) + "\n"
        if error is not None:
            line += self._traceback(error)

        text = line.encode("utf-8", "backslashreplace")
        return text if len(text) <= self._max_bytes else self._shortened(text)

    def _details(self, fields: Mapping[str, object]) -> list[str]:
        plain = orjson.loads(self._values.fields(fields)) if fields else {}
        details = [f"{key}={_show(value)}" for key, value in plain.items()]
        trace_id = self._trace_id()
        if trace_id:
            details.append(f"trace={trace_id[:_SHORT_ID]}")

        return [detail.translate(_ESCAPES) for detail in details]

    def _append(self, rows: list[str], used: int, details: list[str]) -> None:
        """Add the details behind the last row and, where they don't fit, below it."""
        room = self._room()
        column = _MESSAGE_WIDTH if not room else min(_MESSAGE_WIDTH, room // 2)
        rows[-1] += " " * max(column - used, 0)
        used = max(used, column)
        parts: list[list[str]] = [[]]
        for detail in details:
            width = cells(detail)
            if room and used + 1 + width > room:
                short = [detail] if width <= room else pieces(detail, room)
                parts += [[piece] for piece in short]
                used = cells(short[-1])
            else:
                parts[-1].append(detail)
                used += 1 + width

        first = " ".join(parts[0])
        rows[-1] = (
            f"{rows[-1]} {self._paint(first, _DIM)}" if first else rows[-1].rstrip()
        )
        rows += [self._paint(" ".join(part), _DIM) for part in parts[1:]]

    def _room(self) -> int:
        """Return how many columns there are beside time and level; 0: don't wrap."""
        width = self._width() if self._width is not None else 0
        return max(width - _INDENT, _LEAST_ROOM) if width else 0

    def _traceback(self, error: BaseException) -> str:
        stack = str(self._errors.fields(error)["stack"]).translate(_ESCAPES)
        return (
            painted(stack, error, self._errors, self._paint) if self._color else stack
        )

    def _shortened(self, text: bytes) -> bytes:
        """Return *text* without its middle."""
        self._on_cut("line_cut")
        room = self._max_bytes - _CUT_ROOM
        head = text[: room // 2].decode("utf-8", "ignore")
        tail = text[-(room // 2) :].decode("utf-8", "ignore")
        if self._color:  # nothing of a sequence that is cut in two
            head = head[: head.rfind("\x1b")] if "\x1b" in head[-8:] else head
            tail = tail[min(tail.find("\n"), 0) :].lstrip("0123456789;m")

        gone = len(text) - len(head.encode()) - len(tail.encode())
        note = f"\n[{gone} bytes cut]\n"
        return f"{head}{_RESET if self._color else ''}{note}{tail}".encode()

    def _trace_id(self) -> str | None:
        span = self._span_ids()
        if span is not None:
            return span[0]

        record = current()
        return None if record is None else record.trace_id

    def _paint(self, text: str, color: str) -> str:
        return f"{color}{text}{_RESET}" if self._color and text else text


def _show(value: object) -> str:
    if isinstance(value, str) and value and not (set(value) & set(' "=\n')):
        return value

    return orjson.dumps(value).decode()


def _status_color(status: str) -> str:
    name = {"4": "WARN", "5": "ERROR"}.get(status[:1], "INFO")
    return _COLORS[name]
