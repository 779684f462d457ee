"""How much a span holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from svcready.config._sections.tracing import TracingSettings

__all__ = ["Limits", "limits_of"]


class Limits(NamedTuple):
    """How much a span holds; what is more is counted on the span as dropped."""

    attributes: int = 128
    events: int = 128
    links: int = 128
    event_attributes: int = 128
    link_attributes: int = 128


def limits_of(settings: TracingSettings) -> Limits:
    """Return the limits that settings give spans."""
    general = settings.max_attributes
    return Limits(
        settings.max_span_attributes or general,
        settings.max_events,
        settings.max_links,
        settings.max_event_attributes or general,
        settings.max_link_attributes or general,
    )
