"""The schema as a stdlib formatter, for those who configure `logging` themselves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import orjson
from pythonjsonlogger.json import JsonFormatter as BaseJsonFormatter

from svcready._core.redaction import default_redactor
from svcready.errors import DeclarationError
from svcready.logging import _logger
from svcready.logging._errors import ErrorTexts
from svcready.logging._handler import render_record
from svcready.logging._layouts import LAYOUTS, LayoutLines, in_layout
from svcready.logging._line import JsonLines
from svcready.logging._values import Values

if TYPE_CHECKING:
    import logging

    from svcready.logging._line import Lines
    from svcready.logging._values import Redaction

__all__ = ["JsonFormatter"]

_MAX_FRAMES = 100
_MAX_BYTES = 16 * 1024


class _Identity:
    def __init__(
        self, service: str, version: str, environment: str, instance: str
    ) -> None:
        self.service = service
        self.version = version
        self.environment = environment
        self.instance = instance


class JsonFormatter(BaseJsonFormatter):
    """
    Formats records as lines of schema v1, wherever a handler sends them.

    For `dictConfig`: `{"()": "svcready.logging.JsonFormatter", "service": "orders"}`.
    While a runtime is up, lines carry its identity, redaction and span ids. With any
    of python-json-logger's own arguments (`fmt`, `rename_fields`, `static_fields`,
    ...) it does what that library does, encoded by orjson.

    Args:
        args: python-json-logger's positional arguments.
        service: The service's name while no runtime is up.
        version: The service's version while no runtime is up.
        environment: The environment while no runtime is up.
        redactor: Hides secrets; by default the built-in rules do.
        layout: Names of the line's fields: `standard`, `ecs`, `otel` or `flat`; by
            default the runtime's, and `standard` while none is up.
        options: python-json-logger's keyword arguments.
    """

    def __init__(
        self,
        *args: Any,
        service: str = "unknown_service",
        version: str = "",
        environment: str = "production",
        redactor: Redaction | None = None,
        layout: str | None = None,
        **options: Any,
    ) -> None:
        # dictConfig passes fmt, datefmt and style always; these mean nothing.
        given = (*args, *options.values())
        self._custom = any(value not in {None, "%", True} for value in given)
        super().__init__(*args, **{"json_serializer": _dumps, **options})
        redactor = redactor or default_redactor()
        self._lines = JsonLines(
            _Identity(service, version, environment, os.uname().nodename),
            Values(redactor),
            ErrorTexts(redactor.text, _MAX_FRAMES),
            span_ids=_no_span,
            max_bytes=_MAX_BYTES,
            on_cut=_do_nothing,
        )
        if layout not in {None, "standard", *LAYOUTS}:
            msg = f"no layout {layout!r}: one of standard, {', '.join(LAYOUTS)}"
            raise DeclarationError(msg)

        self._layout = layout
        self._made: tuple[Lines, Lines] = self._lines, self._in_layout(self._lines)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for *record*, without a newline."""
        if self._custom:
            text: str = super().format(record)
            return text

        running = _logger.running()
        lines = None if running is None else running.lines
        if not isinstance(lines, JsonLines | LayoutLines):
            lines = self._lines

        made = self._made
        if made[0] is not lines:  # a runtime was started, or another
            self._made = made = lines, self._in_layout(lines)

        return render_record(made[1], record)[:-1].decode()

    def _in_layout(self, lines: Lines) -> Lines:
        return lines if self._layout is None else in_layout(lines, self._layout)


def _dumps(data: object, **_: object) -> str:
    return orjson.dumps(data, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _no_span() -> tuple[str, str] | None:
    return None


def _do_nothing(_: str) -> None:
    pass
