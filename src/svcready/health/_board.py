"""The probes' answers, made whenever something changes and only read when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._core.declarations import variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from svcready.health._state import CheckStatus

__all__ = ["PROBES", "Probe", "View", "render"]

PROBES = ("liveness", "readiness", "startup")
"""The probes that every service has."""

_LATCHED = frozenset({"liveness", "startup"})
_ORDER = {"pass": 0, "warn": 1, "fail": 2}


class Probe(NamedTuple):
    """A probe's answer."""

    status: int
    """200 or 503."""
    body: bytes
    """`application/health+json` with the status and no more."""


_ANSWERS = {
    "pass": Probe(200, b'{"status":"pass"}'),
    "warn": Probe(200, b'{"status":"warn"}'),
    "fail": Probe(503, b'{"status":"fail"}'),
}


class View(NamedTuple):
    """Everything that probes need, taken at one moment."""

    probes: Mapping[str, Probe]
    """The answer of each probe and group."""
    stale_probes: Mapping[str, Probe]
    """The same if no check has given a result for too long."""
    stale_at_s: float
    """When the second becomes the right one, on the monotonic clock."""
    started: bool
    """Whether start-up is over; once it is, it stays over."""
    status: str
    """The service's status: the readiness probe's."""


class _Member(NamedTuple):
    """A check as one group sees it."""

    status: CheckStatus
    late: bool

    def level(self) -> str:
        status = self.status.status
        if status == "pending":
            if not self.status.critical:
                return "pass"

            return "warn" if self.late else "fail"

        return "warn" if status == "fail" and not self.status.critical else status


def render(
    lifecycle: str,
    checks: Iterable[tuple[CheckStatus, bool]],
    configured: Mapping[str, tuple[str, ...]],
    *,
    started: bool,
    stale_at_s: float,
) -> View:
    """
    Make all answers.

    Args:
        lifecycle: The state of the service's life.
        checks: The status of each check, and whether it was declared late.
        configured: Groups whose members the configuration names; it wins over code.
        started: Whether start-up was over before.
        stale_at_s: When results turn stale, on the monotonic clock.
    """
    groups = _groups([_Member(*check) for check in checks], configured)
    started = started or _is_started(lifecycle, groups)
    levels = {
        name: _worst(members, go_on=name != "readiness" or lifecycle == "ready")
        for name, members in groups.items()
    }
    levels["liveness"] = _liveness(lifecycle, groups["liveness"])
    levels["startup"] = "pass" if started and lifecycle != "stopped" else "fail"
    stale = {
        name: "warn"
        if level == "pass" and name not in _LATCHED and groups[name]
        else level
        for name, level in levels.items()
    }
    return View(
        {name: _ANSWERS[level] for name, level in levels.items()},
        {name: _ANSWERS[level] for name, level in stale.items()},
        stale_at_s,
        started,
        levels["readiness"],
    )


def _groups(
    members: list[_Member], configured: Mapping[str, tuple[str, ...]]
) -> dict[str, list[_Member]]:
    groups: dict[str, list[_Member]] = {name: [] for name in PROBES}
    for member in members:
        for name in member.status.groups:
            if name not in configured:
                groups.setdefault(name, []).append(member)

    spelt = {variable(member.status.name): member for member in members}
    for name, checks in configured.items():
        found = (spelt.get(variable(check)) for check in checks)
        groups[name] = [member for member in found if member is not None]

    return groups


def _worst(members: list[_Member], *, go_on: bool) -> str:
    levels = (member.level() for member in members)
    return max(levels, key=_ORDER.__getitem__, default="pass") if go_on else "fail"


def _liveness(lifecycle: str, members: list[_Member]) -> str:
    failing = any(m.status.critical and m.status.status == "fail" for m in members)
    return "fail" if failing or lifecycle == "stopped" else "pass"


def _is_started(lifecycle: str, groups: Mapping[str, list[_Member]]) -> bool:
    # A dependency that is down when we start is readiness's business: failing start-up
    # would have us restarted again and again until it is back.
    return (
        lifecycle != "starting"
        and not any(
            member.status.critical and member.status.status == "pending"
            for member in groups["readiness"]
        )
        and not any(
            member.status.critical and member.status.status in {"pending", "fail"}
            for member in groups["startup"]
        )
    )
