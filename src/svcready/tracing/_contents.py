"""Puts what is redacted already into spans, whoever made them."""

# Our own spans take it as it is; what comes through OpenTelemetry's API, also from
# us into the spans of an application's own provider, is looked through when they end.

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

__all__ = ["note", "put", "rename"]


def put(span: Span, attributes: Mapping[str, AttributeValue]) -> None:
    """Set attributes."""
    (getattr(span, "put", None) or span.set_attributes)(attributes)


def rename(span: Span, name: str) -> None:
    """Give it another name."""
    (getattr(span, "rename", None) or span.update_name)(name)


def note(span: Span, name: str, attributes: Mapping[str, AttributeValue]) -> None:
    """Add an event."""
    (getattr(span, "note", None) or span.add_event)(name, attributes)
