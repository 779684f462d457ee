"""The links of a segment to other traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.tracing.xray._names import trace_id_of
from svcready.tracing.xray._reading import attributes_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["MAX_LINKS", "has_links", "links_of"]

MAX_LINKS = 20
"""X-Ray's limit for one segment."""


def has_links(span: ReadableSpan) -> bool:
    """Tell whether *span* has links; most have none."""
    return bool(getattr(span, "_links", True))


def links_of(span: ReadableSpan) -> list[dict[str, object]]:
    """Return the links of *span*, all of them; X-Ray takes the first `MAX_LINKS`."""
    if not has_links(span):
        return []

    made = []
    for link in span.links:
        context = link.context
        entry: dict[str, object] = {
            "trace_id": trace_id_of(context.trace_id),
            "id": f"{context.span_id:016x}",
        }
        attributes = dict(attributes_of(link))
        if attributes:
            entry["attributes"] = attributes

        made.append(entry)

    return made
