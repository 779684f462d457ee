"""What the tests of the X-Ray SDK's bridge share."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.tracing._pillar import TracePillar
    from svcready.tracing._server_trace import ServerTrace
    from svcready.tracing.view._records import SpanRecord


@contextmanager
def request(pillar: TracePillar, xray: str | None = None) -> Iterator[ServerTrace]:
    """Be inside a request."""
    begun = pillar.server.begin("GET", "/x", None, None, xray, None, dict)
    begun.activate()
    try:
        yield begun
    finally:
        begun.end("/x", 200, None)
        begun.deactivate()


def spans(pillar: TracePillar) -> dict[str, SpanRecord]:
    """Return the finished spans by name."""
    return {span.name: span for span in pillar.recent()}
