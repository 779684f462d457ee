"""Lines about destinations of telemetry: that one fails, and that it works again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.events import (
    DestinationFailed,
    DestinationNoted,
    DestinationRecovered,
    subscribe,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["log_destinations"]


def log_destinations(write_event: Callable[..., None]) -> list[Callable[[], None]]:
    """
    Have it written when a destination fails, and when it no longer does.

    Args:
        write_event: Takes message, level, event's name and fields.

    Returns:
        Functions that end it.
    """

    def failed(e: DestinationFailed) -> None:
        write_event(
            f"{_what(e.component)} cannot be delivered to {e.destination}: {e.reason}",
            "WARNING",
            event="svcready.destination.failed",
            **e._asdict(),
        )

    def recovered(e: DestinationRecovered) -> None:
        write_event(
            f"{_what(e.component)} are delivered to {e.destination} again; "
            f"{e.lost} were lost",
            "WARNING" if e.lost else "INFO",
            event="svcready.destination.recovered",
            **e._asdict(),
        )

    def noted(e: DestinationNoted) -> None:
        write_event(
            f"{e.destination}: {e.notice}",
            "WARNING",
            event="svcready.destination.notice",
            **e._asdict(),
        )

    return [
        subscribe(DestinationFailed, failed),
        subscribe(DestinationRecovered, recovered),
        subscribe(DestinationNoted, noted),
    ]


def _what(component: str) -> str:
    return "metrics" if component.startswith("metrics.") else "lines"
