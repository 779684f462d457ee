"""Signs of life: what must go on for the process to count as alive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Vitals"]


class Vitals:
    """
    Judges by name; liveness fails while one of them says why the process is broken.

    They are asked at each liveness probe, so a judge reads a clock and no more.
    """

    def __init__(self) -> None:
        self._judges: dict[str, Callable[[], str]] = {}
        self.watched = False
        """Whether there is anything to ask."""

    def add(self, name: str, judge: Callable[[], str]) -> None:
        """
        Have *judge* asked from now on; the same name again replaces it.

        Args:
            name: What it watches, for people: `event loop`, `heartbeat consumer`.
            judge: Returns why the process is broken; empty while it is not. What it
                raises is reported and says nothing of the process.
        """
        self._judges = {**self._judges, name: judge}
        self.watched = True

    def remove(self, name: str) -> None:
        """Ask the judge of *name* no more."""
        self._judges = {n: judge for n, judge in self._judges.items() if n != name}
        self.watched = bool(self._judges)

    def faults(self) -> tuple[tuple[str, str], ...]:
        """Return the name and the reason of everything that is broken."""
        faults: tuple[tuple[str, str], ...] = ()
        for name, judge in self._judges.items():  # no comprehension: part of a probe
            reason = _ask(name, judge)
            if reason:
                faults += ((name, reason),)

        return faults


def _ask(name: str, judge: Callable[[], str]) -> str:
    try:
        return judge()
    except Exception as error:  # noqa: BLE001 - no fault of ours may kill the process
        report_fault(f"health.vitals.{name}", error)
        return ""
