"""Tells spans that say again what the span around them says already."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from svcready.tracing.instrumentation._known import SERVERS

if TYPE_CHECKING:
    from opentelemetry.trace import SpanKind

__all__ = ["SCOPES", "says_again", "serves", "tell_of_second"]

SCOPES = "opentelemetry.instrumentation."
"""What the scopes of the instrumentation packages begin with."""

_log = logging.getLogger("svcready.tracing")
_told: set[str] = set()

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


def serves(scope: str) -> bool:
    """Tell whether *scope* is a package's that makes a span of each request."""
    package = scope.removeprefix(SCOPES).partition(".")[0]
    return scope.startswith(SCOPES) and package in SERVERS


def tell_of_second(scope: str, parent: object) -> None:
    """
    Say once that each request has two spans, if *parent* is the one that we made.

    The package's is a child of ours and not another server span, so nothing is wrong,
    only paid for twice.
    """
    if scope in _told or getattr(getattr(parent, "kind", None), "name", "") != "SERVER":
        return

    _told.add(scope)
    _log.warning(
        "%s makes a second span of each request, inside svcready's: leave that package "
        "out, or switch svcready's off by SVCREADY_HTTP_ENABLED=false",
        scope,
    )
