"""What all spans of one tracer have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from svcready.tracing._limits import Limits
    from svcready.tracing._recorded import RecordedSpan

__all__ = ["Origin"]


class Origin(Protocol):
    """What a span refers to instead of having it itself."""

    scope: InstrumentationScope
    limits: Limits

    @property
    def resource(self) -> Resource:
        """What the service is."""
        ...

    @property
    def ended(self) -> Callable[[RecordedSpan], None]:
        """What takes a span that has ended."""
        ...
