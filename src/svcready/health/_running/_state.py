"""What is known of one check: its tuning, its thresholds, its settled status."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.health._running._agenda import NEVER
from svcready.health._subject import PLAIN, subject_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready.config._sections.health import HealthSettings
    from svcready.health._check import Check
    from svcready.health._result import CheckResult
    from svcready.health._running._runs import Run
    from svcready.health._subject import Subject

__all__ = ["CheckState", "CheckStatus", "Transition", "Tuning", "tune"]

_KEPT = 20
_STALE_INTERVALS = 3


class Tuning(NamedTuple):
    """How one check runs, everything considered."""

    enabled: bool
    criticality: str
    timeout_s: float
    interval_s: float
    fail_after: int
    recover_after: int


def tune(
    check: Check, settings: HealthSettings, overrides: Mapping[str, object]
) -> Tuning:
    """
    Settle how *check* runs.

    Args:
        check: What code says.
        settings: What is said of checks that say nothing themselves.
        overrides: What environment and file say of this check, the strongest word.
    """
    said: dict[str, object] = {
        "enabled": True,
        "criticality": check.criticality,
        "timeout_s": _first(check.timeout_s, settings.timeout_s),
        "interval_s": _first(check.interval_s, settings.interval_s),
        "fail_after": _first(check.fail_after, settings.fail_after),
        "recover_after": _first(check.recover_after, settings.recover_after),
    }
    for field in said.keys() & overrides.keys():
        said[field] = overrides[field]

    return Tuning(**said)  # type: ignore[arg-type] # the settings' kinds see to it


def _first(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


class Transition(NamedTuple):
    """A change of a check's settled status."""

    time_ns: int
    """Wall time."""
    before: str
    """`pending`, `pass`, `warn` or `fail`."""
    after: str
    """`pass`, `warn` or `fail`."""
    reason: str
    """Why, with secrets hidden; empty if it simply passes."""


class CheckStatus(NamedTuple):
    """What is known of a check at one moment."""

    name: str
    """The check's name."""
    status: str
    """`pending` until the first result, then `pass`, `warn` or `fail`, settled."""
    criticality: str
    """What its failure does: `critical`, `degraded` or `informational`."""
    groups: tuple[str, ...]
    """The groups that code puts it in."""
    output: str = ""
    """What the last run said, with secrets hidden; empty if it simply passed."""
    latency_s: float | None = None
    """How long the last run took; None before the first."""
    time_ns: int | None = None
    """Wall time of the last result; None before the first."""
    failures: int = 0
    """Failures in a row up to now."""
    stale: bool = False
    """No result for three intervals and a time-out: the status is an old one."""
    stuck: bool = False
    """A run is past its time and has not come back."""
    subject: Subject = PLAIN
    """What it looks at: the kind of thing, where, and what is measured there."""
    observed: float | None = None
    """What the last run measured; None if that is how long it took, or nothing."""
    unit: str = ""
    """The unit of `observed`."""
    transitions: tuple[Transition, ...] = ()
    """The last 20 changes of `status`, oldest first."""

    @property
    def critical(self) -> bool:
        """Whether its failure takes the service out of rotation."""
        return self.criticality == "critical"


class CheckState:
    """
    One check's way from single results to a settled status.

    Only the runner's thread changes it; `status` is replaced, never changed, so that
    every thread may read it.

    Args:
        check: Its declaration.
        tuning: How it runs.
        late: Declared when start-up was over: until its first result it warns rather
            than takes a working service out of rotation.
    """

    __slots__ = (
        *("asked_s", "check", "fresh_until_s", "is_async", "late", "planned"),
        *("run", "stale_at_s", "status", "tuning", "_settled", "_successes"),
    )

    def __init__(self, check: Check, tuning: Tuning, *, late: bool) -> None:
        self.tuning = tuning
        self.late = late
        self.reset(check)

    def reset(self, check: Check) -> None:
        """Forget all results, as a forked child does."""
        self.check = check
        self.is_async = check.is_async
        self.planned = -1
        """The number of its place in the runner's plan."""
        self.run: Run | None = None
        self.asked_s = NEVER
        """On demand, when somebody asked for the result that is not there yet."""
        self.fresh_until_s = -NEVER
        """On demand, until when nobody needs to ask again."""
        self.stale_at_s = NEVER
        self.status = CheckStatus(
            check.name,
            "pending",
            self.tuning.criticality,
            check.groups,
            subject=subject_of(check.function),
        )
        self._settled = "pending"
        self._successes = 0

    def replace(self, check: Check, tuning: Tuning) -> None:
        """Go on with another declaration of the same check; results so far count."""
        self.check = check
        self.is_async = check.is_async
        self.tuning = tuning
        self.status = self.status._replace(
            criticality=tuning.criticality,
            groups=check.groups,
            subject=subject_of(check.function),
        )

    def record(
        self, result: CheckResult, latency_s: float, now_s: float, now_ns: int
    ) -> None:
        """
        Take a result and settle the status by the thresholds.

        The first result counts at once. Warnings and recovery from them do, too: they
        move no traffic.
        """
        failures = self.status.failures + 1 if result.status == "fail" else 0
        self._successes = 0 if failures else self._successes + 1
        if self._settled == "pending":
            self._settled = result.status
        elif failures:
            if failures >= self.tuning.fail_after:
                self._settled = "fail"
        elif self._settled != "fail" or self._successes >= self.tuning.recover_after:
            self._settled = result.status

        self.asked_s = NEVER
        self.expect(now_s)
        self.status = self.status._replace(
            status=self._settled,
            output=result.output,
            latency_s=latency_s,
            time_ns=now_ns,
            failures=failures,
            stale=False,
            observed=result.observed,
            unit=result.unit,
        )

    def expect(self, now_s: float) -> None:
        """Let the result that is there be too old three intervals from now."""
        tuning = self.tuning
        wait_s = _STALE_INTERVALS * tuning.interval_s + tuning.timeout_s
        self.stale_at_s = now_s + wait_s

    def counts(self) -> bool:
        """Tell whether its status is part of any probe's."""
        return self.tuning.criticality != "informational"

    def keep(self, transition: Transition) -> None:
        """Keep a change for the report, and forget the oldest of many."""
        kept = (*self.status.transitions, transition)[-_KEPT:]
        self.status = self.status._replace(transitions=kept)

    def mark_stale(self) -> None:
        """Let an old result stand, but no longer for a clean pass."""
        self.stale_at_s = NEVER
        settled = "warn" if self._settled == "pass" else self._settled
        self.status = self.status._replace(status=settled, stale=True)

    def mark_stuck(self, *, stuck: bool) -> None:
        """Take note that a run is past its time, or has come back."""
        self.status = self.status._replace(stuck=stuck)
