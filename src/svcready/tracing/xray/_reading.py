"""Reads what a finished span holds, by whichever of several names it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import Event, ReadableSpan

__all__ = ["TEXT_CHARS", "Given", "Ids", "attributes_of", "events_of", "ids_of"]

TEXT_CHARS = 250
"""The longest text of a field, where no other limit is given for it."""


def attributes_of(holder: object) -> Mapping[str, object]:
    """
    Return the attributes of a span, event, link or resource; never to be changed.

    The SDK's own mapping takes a lock for each look-up, and its public properties
    copy; what has ended does not change any more.
    """
    given = getattr(holder, "_attributes", None)
    if given is None:
        given = getattr(holder, "attributes", None) or {}

    plain: Mapping[str, object] = getattr(given, "_dict", given)
    return plain


class Ids(NamedTuple):
    """Where a span is in its trace, in hex."""

    trace_id: str
    span_id: str
    parent_id: str
    """Empty at the top of a trace."""
    remote: bool
    """The parent is another process's."""


class _Own(Protocol):
    parent_id: str | None
    has_remote_parent: bool


def ids_of(span: ReadableSpan) -> Ids:
    """Return the ids of *span*; our own spans have them in hex already."""
    ids = getattr(span, "_svcready_ids", None)
    if ids is not None and hasattr(span, "parent_id"):
        own = cast("_Own", span)
        trace_id, span_id = ids
        return Ids(trace_id, span_id, own.parent_id or "", own.has_remote_parent)

    context, parent = span.context, span.parent
    above = parent is not None and parent.span_id
    return Ids(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        f"{above:016x}" if above else "",
        parent is not None and parent.is_remote,
    )


def events_of(span: ReadableSpan) -> Sequence[Event]:
    """Return the events of *span*; most have none, so none are copied then."""
    return span.events if getattr(span, "_events", True) else ()


class Given:
    """
    The attributes of one span, and which of them a field of the document tells.

    What no field tells is left for metadata.

    Args:
        values: The attributes.
    """

    __slots__ = ("taken", "values")

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = values
        self.taken: set[str] = set()

    def take(self, *names: str) -> object | None:
        """Return the first of *names* that is there; all of them count as told."""
        found = None
        for name in names:
            value = self.values.get(name)
            if value is not None:
                self.taken.add(name)
                if found is None:
                    found = value

        return found

    def text(self, *names: str) -> str:
        """
        Return the first of *names* that is a text or number, cut; empty if none is.

        What had to be cut, and what differs from what is returned, stays for
        metadata.
        """
        found = ""
        for name in names:
            value = self.values.get(name)
            if value is None or isinstance(value, list | tuple | dict):
                continue

            text = value if isinstance(value, str) else str(value)
            found = found or text
            if text == found and len(text) <= TEXT_CHARS:
                self.taken.add(name)

        return found[:TEXT_CHARS]

    def number(self, *names: str) -> int | None:
        """Return the first of *names* that is a whole number, also as a text."""
        found = None
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue

            if isinstance(value, str) and value.isascii() and value.isdigit():
                value = int(value[:18])

            if isinstance(value, int) and not isinstance(value, bool):
                found = value if found is None else found
                if value == found:
                    self.taken.add(name)

        return found

    def flag(self, name: str) -> bool | None:
        """Return the flag *name*; None if it is none."""
        value = self.values.get(name)
        if isinstance(value, bool):
            self.taken.add(name)
            return value

        return None
