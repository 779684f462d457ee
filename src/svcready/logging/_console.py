"""The console line: what people read while they develop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson

from svcready._core.context import current
from svcready.logging._levels import level_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from svcready.logging._errors import ErrorTexts
    from svcready.logging._line import Identity, Site
    from svcready.logging._request import Request
    from svcready.logging._values import Values

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
_ROUTE_WIDTH = 36
_CONTROLS = (*range(9), *range(11, 32), *range(127, 160))
_ESCAPES = {code: f"\\x{code:02x}" for code in _CONTROLS}


class ConsoleLines:
    """
    Makes lines for people: time, level, message, then what is known besides.

    Fields follow dimmed as `key=value`, the trace id comes last. A request's line has
    its columns aligned. A traceback has the application's own frames bright.

    Args:
        values: Renders fields and hides secrets.
        errors: Renders exceptions.
        span_ids: Returns the current span's ids, or None.
        color: Whether to colour.
    """

    def __init__(
        self,
        values: Values,
        errors: ErrorTexts,
        *,
        span_ids: Callable[[], tuple[str, str] | None],
        color: bool,
    ) -> None:
        self._values = values
        self.text_of = values.message
        self._errors = errors
        self._span_ids = span_ids
        self._color = color

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
    ) -> bytes:
        """Return the text of one event, with its newline."""
        del site, logger
        text = self._values.redacted(message).replace("\n", "\n    ")
        record = current()
        if record is not None and record.fields:
            fields = {**record.fields, **fields}

        return self._compose(level, text.translate(_ESCAPES), fields, error, time_ns)

    def request_line(self, level: int, request: Request, time_ns: int) -> bytes:
        """Return the line of a request that has ended, its columns aligned."""
        method, route, number, duration_s, _, _, _, error = request
        status = str(number)
        shown = self._paint(status, _status_color(status))
        route = self._values.redacted(route).translate(_ESCAPES)
        text = (
            f"{method:<6} {route:<{_ROUTE_WIDTH}} {shown} {duration_s * 1000.0:8.1f} ms"
        )
        record = current()
        fields = {} if record is None else record.fields
        return self._compose(level, text, fields, error, time_ns)

    def _compose(
        self,
        level: int,
        text: str,
        fields: Mapping[str, object],
        error: BaseException | None,
        time_ns: int,
    ) -> bytes:
        second, rest_ns = divmod(time_ns, 1_000_000_000)
        clock = time.strftime("%H:%M:%S", time.localtime(second))
        name = level_name(level)
        parts = [
            self._paint(f"{clock}.{rest_ns // 1_000_000:03d}", _DIM),
            self._paint(f"{name:<5}", _COLORS[name]),
            text,
        ]
        plain = orjson.loads(self._values.fields(fields)) if fields else {}
        details = [f"{key}={_show(value)}" for key, value in plain.items()]
        trace_id = self._trace_id()
        if trace_id:
            details.append(f"trace={trace_id[:_SHORT_ID]}")

        if details:
            parts.append(self._paint(" ".join(details).translate(_ESCAPES), _DIM))

        line = " ".join(parts) + "\n"
        if error is not None:
            line += self._traceback(error)

        return line.encode("utf-8", "backslashreplace")

    def _traceback(self, error: BaseException) -> str:
        if error.__cause__ or error.__context__ or not self._color:
            return self._errors.fields(error)["stack"]

        parts = [
            frame.text if frame.own else self._paint(frame.text, _DIM)
            for frame in self._errors.frames(error)
        ]
        last = self._paint(self._errors.last_lines(error).rstrip("\n"), _BRIGHT)
        return "".join(parts) + last + "\n"

    def _trace_id(self) -> str | None:
        span = self._span_ids()
        if span is not None:
            return span[0]

        record = current()
        return None if record is None else record.trace_id

    def _paint(self, text: str, color: str) -> str:
        return f"{color}{text}{_RESET}" if self._color else text


def _show(value: object) -> str:
    if isinstance(value, str) and value and not (set(value) & set(' "=\n')):
        return value

    return orjson.dumps(value).decode()


def _status_color(status: str) -> str:
    name = {"4": "WARN", "5": "ERROR"}.get(status[:1], "INFO")
    return _COLORS[name]
