"""Tells spans that say again what another one says already."""

from __future__ import annotations

from svcready.tracing.instrumentation._conventions import SCOPES

__all__ = ["says_again"]

# A call of AWS may make another one inside, for credentials.
_NESTING = "opentelemetry.instrumentation.botocore"


def says_again(scope: str, parent: object) -> bool:
    """
    Tell whether a client span of *scope* would repeat its parent.

    So it is where an application instruments one client (`instrument_client`) of a
    library that is instrumented as a whole: each call passes both patches.

    Args:
        scope: Whose span it would be.
        parent: The current span.
    """
    if not scope.startswith(SCOPES) or scope.startswith(_NESTING):
        return False

    made_by = getattr(parent, "instrumentation_scope", None)
    return getattr(made_by, "name", None) == scope and _is_open_client(parent)


def _is_open_client(span: object) -> bool:
    kind, ended = getattr(span, "kind", None), getattr(span, "end_time", None)
    return getattr(kind, "name", "") == "CLIENT" and ended is None
