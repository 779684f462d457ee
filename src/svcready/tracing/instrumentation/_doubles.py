"""Tells spans that say again what the span around them says already."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import SpanKind

__all__ = ["SCOPES", "says_again"]

SCOPES = "opentelemetry.instrumentation."
"""What the scopes of the instrumentation packages begin with."""

# A call of AWS may make another one inside, for credentials.
_NESTING = "opentelemetry.instrumentation.botocore"


def says_again(scope: str, kind: SpanKind, parent: object) -> bool:
    """
    Tell whether a span would repeat its parent: one call that passes two patches.

    So it is where an application instruments one client (`instrument_client`) of a
    library that is instrumented as a whole, and with pika, of whose channels the
    package patches the inner one as well.

    Args:
        scope: Whose span it would be.
        kind: What kind it would be, of a call that goes out.
        parent: The current span.
    """
    if not scope.startswith(SCOPES) or scope.startswith(_NESTING):
        return False

    made_by = getattr(parent, "instrumentation_scope", None)
    return (
        getattr(made_by, "name", None) == scope
        and getattr(parent, "kind", None) is kind
        and getattr(parent, "end_time", None) is None
    )
