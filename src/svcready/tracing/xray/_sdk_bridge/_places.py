"""Where work stands by the X-Ray SDK's reckoning, kept in OpenTelemetry's context."""

# The SDK's API says "begin" and "end" without a handle, so what is open has to be found
# from where one is. A place is a link of the chain of what is open; the chain hangs on
# the OpenTelemetry context, which threads, tasks and other instrumentation follow.

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from opentelemetry.context import Context, create_key

from svcready.tracing import _otel
from svcready.tracing._otel import SPAN_KEY

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["PLACE_KEY", "Entity", "Place", "enter", "here", "leave", "leave_all"]

PLACE_KEY = create_key("svcready-xray-sdk-place")


class Entity(Protocol):
    """A segment or subsegment of ours, as far as its place goes."""

    is_segment: bool
    """Whether it is a segment, in which subsegments are."""

    @property
    def span(self) -> Span:
        """The span that it stands for."""
        ...


class Place(NamedTuple):
    """One open segment or subsegment, seen from inside."""

    entity: Entity
    """What is open."""
    before: Context
    """What was in force when it was entered."""
    outer: Place | None
    """The place that it is in."""


def here() -> Place | None:
    """Return the innermost place; None outside what the SDK has begun."""
    return cast("Place | None", _otel.current().get(PLACE_KEY))


def enter(entity: Entity, context: Context | None = None) -> None:
    """
    Make *entity* the innermost place, and its span current.

    Args:
        entity: What begins, or is brought into this thread.
        context: What else is in force in it; what is in force here if None.
    """
    before = _otel.current()
    values = before if context is None else context
    place = Place(entity, before, cast("Place | None", before.get(PLACE_KEY)))
    _otel.attach(Context({**values, SPAN_KEY: entity.span, PLACE_KEY: place}))


def leave(place: Place) -> None:
    """
    Put back what was in force before *place*, which is innermost.

    A span that was opened inside by other means and is still open stays current.
    """
    current = _otel.current()
    if current.get(SPAN_KEY) is place.entity.span:
        _otel.attach(place.before)
    else:
        _otel.attach(Context({**current, PLACE_KEY: place.outer}))


def leave_all() -> None:
    """Put back what was in force before the outermost place."""
    place = here()
    while place is not None and place.outer is not None:
        place = place.outer

    if place is not None:
        _otel.attach(place.before)
