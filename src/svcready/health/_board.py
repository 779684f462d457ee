"""The probes' answers, made whenever something changes and only read when asked."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.declarations import variable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from svcready.health._running._state import CheckStatus

__all__ = [
    "FAILING",
    "PROBES",
    "Board",
    "Probe",
    "View",
    "answer_of",
    "render",
    "word_of",
    "worst_of",
]

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
FAILING = _ANSWERS["fail"]
"""The answer of a probe that fails."""

_WORDS = {answer: word for word, answer in _ANSWERS.items()}


def answer_of(word: str) -> Probe:
    """Return the answer that says `pass`, `warn` or `fail`."""
    return _ANSWERS[word]


def worst_of(words: Iterable[str]) -> str:
    """Return the worst of `pass`, `warn` and `fail`; `pass` of none."""
    return max(words, key=_ORDER.__getitem__, default="pass")


def word_of(probe: Probe) -> str:
    """Return what an answer says: `pass`, `warn` or `fail`."""
    return _WORDS[probe]


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
    members: Mapping[str, tuple[str, ...]]
    """The names of the checks of each group, informational ones included."""

    def asked_by(self, name: str) -> Collection[str]:
        """Return the names of the checks on which the answer of a probe depends."""
        if name != "startup":
            return self.members.get(name, ())

        # Once start-up is over, nothing that a check says changes it.
        names = {*self.members[name], *self.members["readiness"]}
        return () if self.started else names


class Board:
    """
    Holds the answers up, and makes them anew when something has changed.

    Args:
        read: Returns the state of the service's life, what is known of each check and
            whether it was declared late, and when results turn stale.
        configured: Groups whose members the configuration names.
        on_groups: Called when there are other groups than before.
    """

    def __init__(
        self,
        read: Callable[[], tuple[str, list[tuple[CheckStatus, bool]], float]],
        configured: Mapping[str, tuple[str, ...]],
        on_groups: Callable[[], None],
    ) -> None:
        self.view = View({}, {}, 0.0, started=False, status="fail", members={})
        """The answers; replaced as a whole."""
        self._read = read
        self._configured = configured
        self._on_groups = on_groups
        # Re-entrant: the handler of SIGTERM renders on the thread that it interrupted.
        self._lock = RLock()
        self._rendered = 0

    def render(self) -> None:
        """Make the answers anew."""
        with self._lock:
            self._rendered += 1
            turn = 0
            while turn != self._rendered:  # else a signal handler's would be lost
                turn = self._rendered
                lifecycle, checks, stale_at_s = self._read()
                view = render(
                    lifecycle,
                    checks,
                    self._configured,
                    started=self.view.started,
                    stale_at_s=stale_at_s,
                )

            before, self.view = self.view, view

        if before.probes.keys() != view.probes.keys():
            self._on_groups()

    def restart(self) -> None:
        """Begin anew: start-up is not over."""
        with self._lock:
            self.view = self.view._replace(started=False)
            self.render()

    def after_fork(self) -> None:
        """Begin anew in a child, which has not started."""
        self._lock = RLock()
        self.restart()


class _Member(NamedTuple):
    """A check as one group sees it."""

    status: CheckStatus
    late: bool

    def counts(self) -> bool:
        return self.status.criticality != "informational"

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
        lifecycle: The state of the service's life, or `broken`.
        checks: The status of each check, and whether it was declared late.
        configured: Groups whose members the configuration names; it wins over code.
        started: Whether start-up was over before.
        stale_at_s: When results turn stale, on the monotonic clock.
    """
    members = _groups([_Member(*check) for check in checks], configured)
    groups = {name: [m for m in of if m.counts()] for name, of in members.items()}
    started = started or _is_started(lifecycle, groups)
    levels = {
        name: _worst(group, go_on=name != "readiness" or lifecycle == "ready")
        for name, group in groups.items()
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
        {name: tuple(m.status.name for m in of) for name, of in members.items()},
    )


def _groups(
    members: list[_Member], configured: Mapping[str, tuple[str, ...]]
) -> dict[str, list[_Member]]:
    groups: dict[str, list[_Member]] = {name: [] for name in PROBES}
    for member in members:
        for name in member.status.groups:
            groups.setdefault(name, []).append(member)

    if not configured:
        return groups

    # Both kinds of names are compared as variables spell them.
    names = {variable(name): name for name in groups}
    spelt = {variable(member.status.name): member for member in members}
    for name, checks in configured.items():
        found = (spelt.get(variable(check)) for check in checks)
        group = names.get(variable(name), name)
        groups[group] = [member for member in found if member is not None]

    return groups


def _worst(members: list[_Member], *, go_on: bool) -> str:
    return worst_of(member.level() for member in members) if go_on else "fail"


def _liveness(lifecycle: str, members: list[_Member]) -> str:
    failing = any(m.status.critical and m.status.status == "fail" for m in members)
    return "fail" if failing or lifecycle in {"broken", "stopped"} else "pass"


def _is_started(lifecycle: str, groups: Mapping[str, list[_Member]]) -> bool:
    # A dependency that is down when we start is readiness's business: failing start-up
    # would have us restarted again and again until it is back.
    return (
        lifecycle == "ready"
        and not any(
            member.status.critical and member.status.status == "pending"
            for member in groups["readiness"]
        )
        and not any(
            member.status.critical and member.status.status in {"pending", "fail"}
            for member in groups["startup"]
        )
    )
