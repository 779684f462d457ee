"""The layouts of a line other than the standard one, made by converting that one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from svcready._core.guard import report_fault
from svcready.logging._lines import _layouts_ecs, _layouts_flat, _layouts_otel
from svcready.logging._lines._cut import to_limits
from svcready.logging._lines._line import NO_MARKS, JsonLines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from svcready.logging._lines._cut import Json
    from svcready.logging._lines._line import Identity, Lines, Site
    from svcready.logging._lines._request import Request

__all__ = ["LAYOUTS", "LayoutLines", "in_layout"]

_LEAST_BYTES = 512
_TRIES = 12


class _Layout(NamedTuple):
    convert: Callable[[dict[str, Json]], dict[str, Json]]
    """Return a line of the standard layout in this one."""
    schema: Callable[[dict[str, object]], dict[str, object]]
    """Return this one's JSON Schema, given the standard one's."""


LAYOUTS = {
    "ecs": _Layout(_layouts_ecs.convert, _layouts_ecs.schema),
    "otel": _Layout(_layouts_otel.convert, _layouts_otel.schema),
    "flat": _Layout(_layouts_flat.convert, _layouts_flat.schema),
}
"""Every layout but the standard one, by its name."""


class LayoutLines:
    """
    Makes lines in another layout.

    Args:
        lines: Makes the lines in the standard layout.
        layout: `ecs`, `otel` or `flat`.
        max_bytes: The longest line; a longer one is cut and made again.
        on_cut: Called with a word for what was cut.
    """

    def __init__(
        self,
        lines: JsonLines,
        layout: str,
        *,
        max_bytes: int,
        on_cut: Callable[[str], None],
    ) -> None:
        self.standard = lines
        self.text_of = lines.text_of
        self._convert = LAYOUTS[layout].convert
        self._max_bytes = max_bytes
        self._on_cut = on_cut

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
        """Return the line of one event, with its newline."""
        return self._converted(
            self.standard.line(
                site, logger, level, message, fields, error, time_ns, marks
            )
        )

    def request_line(self, level: int, request: Request, time_ns: int) -> bytes:
        """Return the line of a request that has ended."""
        return self._converted(self.standard.request_line(level, request, time_ns))

    def identify(self, identity: Identity) -> None:
        """Take the service's identity."""
        self.standard.identify(identity)

    def _converted(self, line: bytes) -> bytes:
        try:
            made = orjson.dumps(self._convert(orjson.loads(line))) + b"\n"
            return made if len(made) <= self._max_bytes else self._shortened(line, made)
        except Exception as error:  # noqa: BLE001 - rather another layout than no line
            report_fault("logging.layout", error)
            return line

    def _shortened(self, line: bytes, made: bytes) -> bytes:
        """Cut the standard line until it fits in this layout, too."""
        self._on_cut("line_cut")
        most = len(line)
        for _ in range(_TRIES):
            # Never below what says who and when, which no cut makes shorter.
            most = max(_LEAST_BYTES, most * self._max_bytes * 9 // (len(made) * 10))
            short, _reasons = to_limits(orjson.loads(line), most)
            made = orjson.dumps(self._convert(orjson.loads(short))) + b"\n"
            if len(made) <= self._max_bytes:
                break

        return made


def in_layout(lines: Lines, layout: str) -> Lines:
    """Return what makes the same lines in the layout of that name."""
    if isinstance(lines, LayoutLines):
        lines = lines.standard

    if layout == "standard" or not isinstance(lines, JsonLines):
        return lines

    return LayoutLines(lines, layout, max_bytes=lines.max_bytes, on_cut=lines.on_cut)
