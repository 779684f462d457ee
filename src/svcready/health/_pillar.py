"""The health pillar: checks, lifecycle and probes as one runtime has them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.redaction import default_redactor
from svcready.health._board import FAILING, PROBES, Board, word_of
from svcready.health._check import CHECKS
from svcready.health._groups import Groups
from svcready.health._life._lifecycle import Lifecycle
from svcready.health._life._startup import holds_start
from svcready.health._life._vitals import Vitals
from svcready.health._life._watch import Watch
from svcready.health._report import Reporter, stamp
from svcready.health._roster import Roster
from svcready.health._running._demand import on_demand
from svcready.health._running._loops import Loops
from svcready.health._running._pool import DaemonPool, spawn_daemon
from svcready.health._running._runner import Runner

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready._core.redaction import Redactor
    from svcready.config._sections.health import HealthSettings
    from svcready.config._sections.lifecycle import LifecycleSettings
    from svcready.health._board import Probe
    from svcready.health._running._demand import Demand
    from svcready.health._running._pool import Pool
    from svcready.health._running._state import CheckStatus

__all__ = ["HealthPillar"]

_VITAL = ("liveness", "readiness")


def _nothing_said(_: str) -> Mapping[str, object]:
    return {}


class HealthPillar:
    """
    Runs the declared checks in the background and answers probes from what they said.

    Nothing runs before `wake`: a server's master process, which forks its workers,
    starts the pillar but never wakes it.

    Args:
        settings: The section HEALTH.
        lifecycle: The section LIFECYCLE.
        service: The service's name, for the report.
        version: Its version, for the report.
        clock: Decides what is due and measures it.
        redactor: Hides the secrets in what checks say.
        check_values: Returns what environment and file say of the check of a name, by
            field: `enabled`, `criticality`, `timeout_s`, `interval_s`, `fail_after`,
            `recover_after`.
        groups: Groups whose members the configuration names; it wins over code.
        on_groups: Called when there are other groups than before.
        quiet: Makes a context in which a check's own calls are not traced.
        pool: Makes the threads of synchronous checks.
        spawn: Starts a thread.
        uniform: Draws the jitter between two bounds.
    """

    def __init__(
        self,
        settings: HealthSettings,
        lifecycle: LifecycleSettings,
        *,
        service: str = "",
        version: str = "",
        clock: Clock = SYSTEM_CLOCK,
        redactor: Redactor | None = None,
        check_values: Callable[[str], Mapping[str, object]] = _nothing_said,
        groups: Mapping[str, tuple[str, ...]] | None = None,
        on_groups: Callable[[], None] = lambda: None,
        quiet: Callable[[], AbstractContextManager[object]] | None = None,
        pool: Callable[[], Pool] | None = None,
        spawn: Callable[[Callable[[], None], str], bool] = spawn_daemon,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.settings = settings
        self.lifecycle_settings = lifecycle
        self._monotonic = clock.monotonic
        self._reporter = Reporter(service, version, redactor or default_redactor())
        self._groups = Groups(groups or {})
        own_loop = settings.loop == "private"
        self._loops = Loops(settings.loop_wait_s, private=own_loop, spawn=spawn)
        self._board = Board(self._read, self._groups.members, on_groups)
        self.vitals = Vitals()
        """What else must go on for the process to count as alive."""
        self._asleep = False
        self.lifecycle = Lifecycle(clock, self._board.render, holds_start)
        """Where in its life the service is; runtime and adapters move it on."""
        self.watch = Watch(
            self.lifecycle,
            self.vitals,
            clock.monotonic,
            hide=self._reporter.hide,
            nudge=self._look_soon,
        )
        """Knows the startup tasks and the heartbeats."""
        self.runner = Runner(
            clock=clock,
            loops=self._loops,
            make_pool=pool or (lambda: DaemonPool(settings.max_threads, spawn)),
            hide=self._reporter.hide,
            on_change=self._board.render,
            uniform=uniform,
            spawn=spawn,
            quiet=quiet,
            on_demand=on_demand(settings),
            look=self.watch.look,
        )
        """Runs the checks; a test drives it by `step`."""
        self._roster = Roster(
            settings,
            check_values,
            self.runner,
            is_late=lambda: self._board.view.started,
            on_change=self._board.render,
        )
        self._board.render()
        fork.reset_in_child(self._after_fork)

    def start(self) -> None:
        """Take the declared checks, and those to come; none runs before `wake`."""
        self._roster.is_open = self._asleep = True
        self.watch.begin()
        self.reload()

    def wake(self) -> None:
        """Run the checks in this process; cheap if they do."""
        if self._asleep:
            self._asleep = False
            if self.settings.enabled and not self.runner.wake():
                self._asleep = self._roster.is_open  # the next probe tries again

            if self.watch.ages():
                self.runner.look_soon()

    def wait_for_server(self) -> None:
        """Be starting, after all: something will serve that was not known of."""
        if self.lifecycle.wait():
            self._board.restart()

    def learn_loop(self, loop: AbstractEventLoop) -> None:
        """Take the application's event loop, on which asynchronous checks then run."""
        self.runner.learn(loop)

    def probe(self, name: str) -> Probe:
        """
        Answer a probe from the last results; runs nothing and waits for nothing.

        Args:
            name: `liveness`, `readiness`, `startup` or a group of `groups`.

        Raises:
            KeyError: There is no such group.
        """
        if self._asleep:
            self.wake()

        if self.vitals.watched and name in _VITAL and self.watch.faults():
            return FAILING

        view = self._board.view
        if self._monotonic() >= view.stale_at_s:
            return view.stale_probes[name]

        return view.probes[name]

    def asks(self, name: str) -> bool:
        """
        Tell whether a probe has to `refresh` before it is answered, which takes time.

        Args:
            name: A name that `probe` takes.
        """
        return self.settings.mode == "on_demand" and (
            name != "liveness" or bool(self._board.view.members[name])
        )

    def refresh(self, name: str | None = None) -> bool:
        """
        Run the checks of a group that have no fresh result, where they run on demand.

        Blocks until they are back, for SVCREADY_HEALTH_TOTAL_TIMEOUT_S at most, so it
        has no place on an event loop. All who ask at the same time share one run of
        each check, and nobody waits for one that has been under way that long.

        Args:
            name: A name that `probe` takes; every check if None.

        Returns:
            False if a check was not back: a probe then answers from what there is.
        """
        demand = self.demand(name)
        return demand is None or demand.wait(self.settings.total_timeout_s)

    def demand(self, name: str | None = None) -> Demand | None:
        """Begin what `refresh` waits for; None if there is nothing to wait for."""
        if self.settings.mode != "on_demand":
            return None

        if self._asleep:
            self.wake()

        every = self.runner.states
        names = every if name is None else self._board.view.asked_by(name)
        return self.runner.ask(name or "", names)

    @property
    def groups(self) -> tuple[str, ...]:
        """The names that `probe` answers."""
        return tuple(self._board.view.probes)

    def results(self) -> tuple[CheckStatus, ...]:
        """Return what is known of each check, in the order of declaration."""
        return tuple(state.status for state in self.runner.states.values())

    def report(self, *, details: bool = True, group: str = "") -> dict[str, object]:
        """
        Describe the service's health as `application/health+json`.

        Args:
            details: Whether to add checks, information and notes, in which secrets
                are hidden; otherwise the status is all.
            group: A probe or group, whose own status and checks are then all that is
                told.

        Raises:
            KeyError: There is no such group.
        """
        status = word_of(self.probe(group)) if group else self._status()
        if not details:
            return {"status": status}

        life = self.lifecycle
        lifecycle = {
            "state": life.shown,
            "since": stamp(life.since_ns),
            **({"reason": life.broken} if life.broken else {}),
            **self.watch.describe(),
        }
        statuses = self.results()
        if not group:
            return self._reporter.write(status, lifecycle, statuses, self._notes())

        names = self._board.view.members[group]
        members = [each for each in statuses if each.name in names]
        return self._reporter.begin(status, lifecycle, members)

    def add_info(self, name: str, tell: Callable[[], Mapping[str, object]]) -> None:
        """
        Add a part to the report: breakers, configuration problems, pools.

        Args:
            name: Its key under `info`; the same name again replaces it.
            tell: Returns it, at each report. A member `status` of `warn` or `fail`
                makes the report warn; no probe changes.
        """
        self._reporter.add_info(name, tell)

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with the groups, now that every check is declared."""
        return tuple(self._groups.problems(CHECKS.names()))

    def describe(self) -> dict[str, object]:
        """Tell what runs, for the start-up line."""
        statuses = self.results()
        return {
            "enabled": self.settings.enabled,
            "checks": len(statuses),
            "critical": [status.name for status in statuses if status.critical],
            "off": list(self._roster.off),
            "groups": [name for name in self.groups if name not in PROBES],
            "details": self.settings.details,
            "loop": self.settings.loop,
            **({"mode": mode} if (mode := self.settings.mode) != "background" else {}),
        }

    def reload(self) -> None:
        """Tune every check again, because the operator's values may have changed."""
        self._roster.bind()

    def close(self, timeout_s: float) -> bool:
        """
        Go to the state `stopped` and run no more checks.

        Returns:
            False if the runner was still busy after *timeout_s* seconds.
        """
        # The register keeps its binding: a runtime that was built anew in between may
        # have bound it to itself.
        self._roster.is_open = self._asleep = False
        self.lifecycle.stop()
        return self.runner.close(timeout_s)

    def _read(self) -> tuple[str, list[tuple[CheckStatus, bool]], float]:
        runner = self.runner
        checks = [(state.status, state.late) for state in runner.states.values()]
        return self.lifecycle.shown, checks, runner.stale_at_s

    def _status(self) -> str:
        self.probe("readiness")
        view = self._board.view
        if view.status == "pass" and self._monotonic() >= view.stale_at_s:
            return "warn"

        return view.status

    def _notes(self) -> list[str]:
        notes = list(self.problems())
        loop = self._loops.note()
        if loop is not None:
            notes.append(loop)

        if self._roster.off:
            notes.append(f"switched off: {', '.join(self._roster.off)}")

        return notes

    def _look_soon(self) -> None:
        if self._roster.is_open:
            self.wake()  # what beats, works
            self.runner.look_soon()

    def _after_fork(self) -> None:
        self.lifecycle.after_fork()
        self.runner.after_fork()
        self.watch.after_fork()
        self._asleep = self._roster.is_open
        self._board.after_fork()
