"""The schema as a stdlib formatter, for those who configure `logging` themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from pythonjsonlogger.json import JsonFormatter as BaseJsonFormatter

from svcready.errors import DeclarationError
from svcready.logging import _logger
from svcready.logging._handler import render_record
from svcready.logging._lines._layouts import LAYOUTS, LayoutLines, in_layout
from svcready.logging._lines._line import JsonLines
from svcready.logging._sources._alone import AloneLines

if TYPE_CHECKING:
    import logging

    from svcready.logging._lines._line import Lines
    from svcready.logging._lines._values import Redaction

__all__ = ["JsonFormatter"]

_USUAL = {"fmt": None, "datefmt": None, "style": "%", "validate": True}


class JsonFormatter(BaseJsonFormatter):
    """
    Formats records as lines of schema v1, wherever a handler sends them.

    For `dictConfig`: `{"()": "svcready.logging.JsonFormatter", "service": "orders"}`.
    While a runtime is up, lines carry its identity, redaction and span ids; in a
    process without one, as a server's parent is, what the environment says. With any
    of python-json-logger's own arguments (`fmt`, `rename_fields`, `static_fields`,
    ...) it does what that library does, encoded by orjson.

    Args:
        args: python-json-logger's positional arguments.
        service: The service's name, where no variable names it.
        version: The service's version, likewise.
        environment: Where it runs, likewise.
        redactor: Hides secrets while no runtime is up; by default the settings say how.
        layout: Names of the line's fields: `standard`, `ecs`, `otel` or `flat`; by
            default what the settings say.
        options: python-json-logger's keyword arguments.
    """

    def __init__(
        self,
        *args: Any,
        service: str | None = None,
        version: str | None = None,
        environment: str | None = None,
        redactor: Redaction | None = None,
        layout: str | None = None,
        **options: Any,
    ) -> None:
        # dictConfig passes fmt, datefmt and style always; these mean nothing.
        given = dict(zip(_USUAL, args, strict=False)) | options
        self._custom = any(
            value is not None and value != _USUAL.get(name)
            for name, value in given.items()
        )
        super().__init__(*args, **{"json_serializer": _dumps, **options})
        self._alone = AloneLines(
            service=service,
            version=version,
            environment=environment,
            redactor=redactor,
        )
        if layout not in {None, "standard", *LAYOUTS}:
            msg = f"no layout {layout!r}: one of standard, {', '.join(LAYOUTS)}"
            raise DeclarationError(msg)

        self._layout = layout
        self._made: tuple[Lines | None, Lines | None] = (None, None)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for *record*, without a newline."""
        if self._custom:
            text: str = super().format(record)
            return text

        running = _logger.running()
        lines = None if running is None else running.lines
        if not isinstance(lines, JsonLines | LayoutLines):
            lines = self._alone.get()

        kept, made = self._made
        if made is None or kept is not lines:  # a runtime was started, or another
            made = self._in_layout(lines)
            self._made = lines, made

        return render_record(made, record)[:-1].decode()

    def _in_layout(self, lines: Lines) -> Lines:
        return lines if self._layout is None else in_layout(lines, self._layout)


def _dumps(data: object, **_: object) -> str:
    return orjson.dumps(data, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
