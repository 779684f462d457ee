"""The deep report: every check and what it said, as `application/health+json`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from svcready.health._state import CheckStatus

__all__ = ["check_entries", "stamp"]


def check_entries(
    statuses: Sequence[CheckStatus],
) -> dict[str, list[Mapping[str, object]]]:
    """
    Describe checks as the member `checks` of a report.

    Follows draft-inadarei-api-health-check-06, section 4. The members `critical`,
    `stale`, `stuck` and `consecutiveFailures` are ours.
    """
    return {f"{status.name}:responseTime": [_entry(status)] for status in statuses}


def stamp(time_ns: int) -> str:
    """Write wall time as ISO 8601 in UTC with milliseconds."""
    time = datetime.fromtimestamp(time_ns // 1_000_000 / 1000, tz=UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _entry(status: CheckStatus) -> Mapping[str, object]:
    pending = status.status == "pending"
    entry: dict[str, object] = {
        "componentId": status.name,
        "componentType": "component",
        "status": "warn" if pending else status.status,
        "critical": status.critical,
    }
    if status.latency_s is not None:
        entry["observedValue"] = round(status.latency_s * 1000, 3)
        entry["observedUnit"] = "ms"

    if status.time_ns is not None:
        entry["time"] = stamp(status.time_ns)

    output = "no result yet" if pending else status.output
    if output and (entry["status"] != "pass" or status.failures):
        entry["output"] = output

    if status.failures:
        entry["consecutiveFailures"] = status.failures

    if status.stale:
        entry["stale"] = True

    if status.stuck:
        entry["stuck"] = True

    return entry
