"""The roster: which of the declared checks run, and how the operator tunes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.health._check import CHECKS
from svcready.health._running._state import CheckState, tune

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.config._sections.health import HealthSettings
    from svcready.health._check import Check
    from svcready.health._running._runner import Runner

__all__ = ["Roster"]


class Roster:
    """
    Takes the declared checks, and those to come, and hands them to the runner.

    Args:
        settings: What is said of checks that say nothing themselves.
        values: Returns what environment and file say of the check of a name.
        runner: Runs them.
        is_late: Tells whether start-up is over.
        on_change: Called when a check has come or was tuned anew.
    """

    def __init__(
        self,
        settings: HealthSettings,
        values: Callable[[str], Mapping[str, object]],
        runner: Runner,
        *,
        is_late: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        self.off: tuple[str, ...] = ()
        """The names of the checks that the operator switched off."""
        self.is_open = False
        """Whether checks are taken."""
        self._settings = settings
        self._values = values
        self._runner = runner
        self._is_late = is_late
        self._on_change = on_change
        self._is_binding = False

    def bind(self) -> None:
        """Take every declared check, or tune those that were taken anew."""
        if self.is_open and self._settings.enabled:
            self._is_binding = True  # one change for all of them
            CHECKS.bind(self._take)
            self._is_binding = False
            self._on_change()

    def _take(self, check: Check) -> None:
        if not self.is_open:
            return

        tuning = tune(check, self._settings, self._values(check.name))
        self.off = tuple(name for name in self.off if name != check.name)
        known = self._runner.states.get(check.name)
        if not tuning.enabled:
            self.off += (check.name,)
            self._runner.drop(check.name)
        elif known is not None:
            known.replace(check, tuning)
        else:
            self._runner.add(CheckState(check, tuning, late=self._is_late()))

        if not self._is_binding:
            self._on_change()
