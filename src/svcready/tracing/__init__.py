"""The traces of a service: its spans, what is sampled and where they go."""

from __future__ import annotations

from svcready.tracing._backend import SpanHandle
from svcready.tracing._carry import carry_context
from svcready.tracing._span import annotate, link, metadata, span

__all__ = ["SpanHandle", "annotate", "carry_context", "link", "metadata", "span"]
