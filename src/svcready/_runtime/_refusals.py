"""What policies refuse or end, summed up in a line now and then, not one for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcready._core.clock import Clock
    from svcready.logging._pillar import LogPillar
    from svcready.resilience._pillar import ResiliencePillar

__all__ = ["Refusals"]

_EVERY_S = 10.0
_WORDS = {
    "rejected": "rejected",
    "timed_out": "timed out",
    "observed": "would have rejected",
}


class Refusals:
    """
    Tells every ten seconds how many calls each policy has refused or timed out.

    Args:
        resilience: The pillar that counts them.
        logs: Where it is told.
        clock: Monotonic time.
    """

    def __init__(
        self, resilience: ResiliencePillar, logs: LogPillar, clock: Clock
    ) -> None:
        self._resilience = resilience
        self._logs = logs
        self._clock = clock
        self._told: dict[tuple[str, str, str], int] = {}
        self._told_at_s = clock.monotonic()
        self._totals()

    def tick(self) -> None:
        """Tell, if the time has come."""
        if self._clock.monotonic() - self._told_at_s >= _EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Tell of what came of it since the last time, if anything did."""
        now_s = self._clock.monotonic()
        passed_s, self._told_at_s = now_s - self._told_at_s, now_s
        before = self._told
        for (kind, name, what), total in self._totals().items():
            known = before.get((kind, name, what), 0)
            calls = total - known if total >= known else total  # a fork counts anew
            if calls:
                self._tell(kind, name, what, calls, passed_s)

    def _totals(self) -> dict[tuple[str, str, str], int]:
        self._told = {
            (count.kind, count.name, count.what): count.total
            for count in self._resilience.calls()
            if count.what in _WORDS and count.total
        }
        return self._told

    def _tell(
        self, kind: str, name: str, what: str, calls: int, passed_s: float
    ) -> None:
        times = "1 call" if calls == 1 else f"{calls} calls"
        self._logs.event(
            f"{kind.replace('_', ' ')} {name} {_WORDS[what]} {times} in "
            f"{passed_s:.3g} s",
            "INFO" if what == "observed" else "WARNING",
            event=f"resilience.{what}",
            component=kind,
            name=name,
            calls=calls,
            seconds=round(passed_s, 3),
        )
