"""The deep report: every check and what it said, as `application/health+json`."""

from __future__ import annotations

from datetime import UTC, datetime
from heapq import nlargest
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from svcready._core.redaction import Redactor
    from svcready.health._running._state import CheckStatus

__all__ = ["Reporter", "ask", "check_entries", "last_transitions", "stamp"]

_SHOWN = 20
_MAX_OUTPUT = 500
_LATENCY = "responseTime"


class Reporter:
    """
    Writes the deep report.

    Args:
        service: The service's name.
        version: Its version.
        redactor: Hides the secrets in it.
    """

    def __init__(self, service: str, version: str, redactor: Redactor) -> None:
        self._service = service
        self._version = version
        self._redactor = redactor
        self._info: dict[str, Callable[[], Mapping[str, object]]] = {}

    def add_info(self, name: str, tell: Callable[[], Mapping[str, object]]) -> None:
        """Have *tell* asked at each report; see `HealthPillar.add_info`."""
        self._info[name] = tell

    def hide(self, output: str) -> str:
        """Hide the secrets in what a check says, then cut it."""
        shown = self._redactor.text(output)
        return shown if len(shown) <= _MAX_OUTPUT else f"{shown[: _MAX_OUTPUT - 1]}…"

    def write(
        self,
        status: str,
        lifecycle: Mapping[str, object],
        statuses: Sequence[CheckStatus],
        notes: Sequence[str],
    ) -> dict[str, object]:
        """
        Return the report.

        Args:
            status: The service's, which information may turn from pass to warn.
            lifecycle: Its member `lifecycle`.
            statuses: What is known of each check.
            notes: What else operators should know.
        """
        told = {name: ask(name, tell) for name, tell in tuple(self._info.items())}
        if status == "pass" and any(
            part.get("status") in {"warn", "fail"} for part in told.values()
        ):
            status = "warn"

        report = self.begin(status, lifecycle, statuses)
        transitions = last_transitions(statuses)
        if transitions:
            report["transitions"] = transitions

        if told:
            report["info"] = {n: self._redactor.fields(p) for n, p in told.items()}

        if notes:
            report["notes"] = list(notes)

        return report

    def begin(
        self,
        status: str,
        lifecycle: Mapping[str, object],
        statuses: Sequence[CheckStatus],
    ) -> dict[str, object]:
        """Return the beginning of a report, which is all that a group's has."""
        report: dict[str, object] = {"status": status}
        if self._version:
            report["version"] = report["releaseId"] = self._version

        if self._service:
            report["serviceId"] = self._service

        report["lifecycle"] = lifecycle
        report["checks"] = check_entries(statuses, self.hide)
        return report


def check_entries(
    statuses: Sequence[CheckStatus], hide: Callable[[str], str]
) -> dict[str, list[Mapping[str, object]]]:
    """
    Describe checks as the member `checks` of a report.

    Follows draft-inadarei-api-health-check-06, section 4. The members `criticality`,
    `target`, `stale`, `stuck` and `consecutiveFailures` are ours.

    Args:
        statuses: What is known of each.
        hide: Hides the secrets in where a check looks.
    """
    return {f"{s.name}:{s.subject.measurement}": [_entry(s, hide)] for s in statuses}


def last_transitions(statuses: Sequence[CheckStatus]) -> list[Mapping[str, str]]:
    """Describe the last changes of all checks together, the newest first."""
    all_of_them = [
        (change.time_ns, number, status.name, change)
        for status in statuses
        for number, change in enumerate(status.transitions)
    ]
    return [
        {
            "time": stamp(time_ns),
            "componentId": name,
            "from": change.before,
            "to": change.after,
            **({"output": change.reason} if change.reason else {}),
        }
        for time_ns, _, name, change in nlargest(_SHOWN, all_of_them)
    ]


def ask(name: str, tell: Callable[[], Mapping[str, object]]) -> Mapping[str, object]:
    """Return what *tell* says under `info`; a fault of its own becomes a warning."""
    try:
        return dict(tell())
    except Exception as error:  # noqa: BLE001 - the rest of the report stands
        report_fault(f"health.info.{name}", error)
        return {"status": "warn", "output": type(error).__name__}


def stamp(time_ns: int) -> str:
    """Write wall time as ISO 8601 in UTC with milliseconds."""
    time = datetime.fromtimestamp(time_ns // 1_000_000 / 1000, tz=UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _entry(status: CheckStatus, hide: Callable[[str], str]) -> Mapping[str, object]:
    pending = status.status == "pending"
    entry: dict[str, object] = {
        "componentId": status.name,
        "componentType": status.subject.kind,
        "status": "warn" if pending else status.status,
        "criticality": status.criticality,
    }
    if status.subject.target:
        entry["target"] = hide(status.subject.target)

    if status.observed is not None:
        entry["observedValue"] = status.observed
        entry["observedUnit"] = status.unit or "1"
    elif status.latency_s is not None and status.subject.measurement == _LATENCY:
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
