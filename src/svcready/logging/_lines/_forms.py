"""Chooses what makes the lines: their form, their layout and how long they may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core import events
from svcready._transport import stdout
from svcready.logging._destinations import LARGEST_EVENT
from svcready.logging._destinations import longest_line as longest_for_all
from svcready.logging._lines._console import ConsoleLines
from svcready.logging._lines._errors import ErrorTexts
from svcready.logging._lines._line import JsonLines
from svcready.logging._lines._values import Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.config._sections.log import LogSettings
    from svcready.logging._lines._line import Identity, Lines
    from svcready.logging._lines._values import Redaction

__all__ = ["count_cut", "form_of", "longest_line", "make_lines"]

_PIPE_BYTES = 16 * 1024


def form_of(settings: LogSettings, *, for_people: bool) -> str:
    """Return `console` or `json`, as set or as it fits who reads."""
    if settings.format != "auto":
        return settings.format

    return "console" if for_people else "json"


def longest_line(settings: LogSettings) -> int:
    """
    Return the most bytes of a line, its newline included.

    By default 16 KiB into a pipe or socket, because container runtimes split longer
    ones, and what CloudWatch Logs takes as one event elsewhere; a line is made once, so
    the destination that takes the least decides.
    """
    if settings.max_line_bytes:
        return settings.max_line_bytes

    to_stdout = _PIPE_BYTES if stdout.is_stream() else LARGEST_EVENT
    return longest_for_all(settings, to_stdout)


def make_lines(
    settings: LogSettings,
    form: str,
    identity: Identity,
    redactor: Redaction,
    *,
    span_ids: Callable[[], tuple[str, str] | None],
    terminal: bool,
) -> Lines:
    """Return what makes the lines in this form, as the settings say."""
    max_bytes = longest_line(settings)
    values = Values(redactor, count_cut)
    errors = ErrorTexts(redactor, settings.stack_max_frames, hidden=redactor.masks_all)
    if form == "console":
        return ConsoleLines(
            values,
            errors,
            span_ids=span_ids,
            color=terminal and settings.color,
            width=stdout.columns if terminal else None,
            max_bytes=max_bytes,
            on_cut=count_cut,
        )

    lines = JsonLines(
        identity,
        values,
        errors,
        span_ids=span_ids,
        max_bytes=max_bytes,
        on_cut=count_cut,
    )
    if settings.layout == "standard":
        return lines

    from svcready.logging._lines._layouts import LayoutLines

    return LayoutLines(lines, settings.layout, max_bytes=max_bytes, on_cut=count_cut)


def count_cut(reason: str) -> None:
    """Count that a part of a line was cut."""
    events.publish(events.ItemsDropped("logging", reason, 1))
