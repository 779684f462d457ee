"""What a way out has to be able to do: send batches of spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["Exporter", "Lost"]


class Lost(NamedTuple):
    """Spans of a batch that did not arrive."""

    reason: str
    spans: int
    leave_s: float = 0.0
    """How many seconds the receiver wants to be left alone."""


class Exporter(Protocol):
    """Sends batches of spans; used by one thread at a time."""

    last_error: str
    """What the last failed delivery said; empty after one that succeeded."""

    def export(
        self,
        spans: list[ReadableSpan],
        deadline_s: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> Lost | None:
        """Send *spans*; `OtlpClient.deliver` says what the others are."""
        ...

    def forget(self) -> None:
        """Drop what belongs to the process that we were forked from."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...
