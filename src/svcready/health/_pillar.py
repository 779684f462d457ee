"""The health pillar: checks, lifecycle and probes as one runtime has them."""

from __future__ import annotations

import random
import threading
from difflib import get_close_matches
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.declarations import variable
from svcready._core.guard import report_fault
from svcready._core.redaction import default_redactor
from svcready.health._board import PROBES, View, render
from svcready.health._check import CHECKS
from svcready.health._lifecycle import Lifecycle
from svcready.health._loops import Loops
from svcready.health._pool import DaemonPool, spawn_daemon
from svcready.health._report import check_entries, stamp
from svcready.health._runner import Runner
from svcready.health._state import CheckState, tune

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready._core.redaction import Redactor
    from svcready.config._sections.health import HealthSettings
    from svcready.config._sections.lifecycle import LifecycleSettings
    from svcready.health._board import Probe
    from svcready.health._check import Check
    from svcready.health._pool import Pool
    from svcready.health._state import CheckStatus

__all__ = ["HealthPillar"]

_MAX_OUTPUT = 500


def _nothing_said(_: str) -> Mapping[str, object]:
    return {}


def _ask(name: str, tell: Callable[[], Mapping[str, object]]) -> Mapping[str, object]:
    try:
        return dict(tell())
    except Exception as error:  # noqa: BLE001 - the rest of the report stands
        report_fault(f"health.info.{name}", error)
        return {"status": "warn", "output": type(error).__name__}


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
            field: `enabled`, `critical`, `timeout_s`, `interval_s`, `fail_after`,
            `recover_after`.
        groups: Groups whose members the configuration names; it wins over code.
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
        quiet: Callable[[], AbstractContextManager[object]] | None = None,
        pool: Callable[[], Pool] | None = None,
        spawn: Callable[[Callable[[], None], str], bool] = spawn_daemon,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.settings = settings
        self.lifecycle_settings = lifecycle
        self._service = service
        self._version = version
        self._monotonic = clock.monotonic
        self._redactor = redactor or default_redactor()
        self._check_values = check_values
        self._configured = dict(groups or {})
        self._refused = self._configured.pop("liveness", None) is not None
        self._off: tuple[str, ...] = ()
        self._info: dict[str, Callable[[], Mapping[str, object]]] = {}
        self._loops = Loops(
            settings.loop_wait_s, private=settings.loop == "private", spawn=spawn
        )
        # Re-entrant: the handler of SIGTERM renders on the thread that it interrupted.
        self._render_lock = threading.RLock()
        self._rendered = 0
        self._is_open = self._is_binding = self._asleep = False
        self.lifecycle = Lifecycle(clock, self._render)
        """Where in its life the service is; runtime and adapters move it on."""
        self.runner = Runner(
            clock=clock,
            loops=self._loops,
            make_pool=pool or (lambda: DaemonPool(settings.max_threads, spawn)),
            hide=self._hide,
            on_change=self._render,
            uniform=uniform,
            spawn=spawn,
            quiet=quiet,
        )
        """Runs the checks; a test drives it by `step`."""
        self._view = View({}, {}, 0.0, started=False, status="fail")
        self._render()
        fork.reset_in_child(self._after_fork)

    def start(self) -> None:
        """Take the declared checks, and those to come; none runs before `wake`."""
        self._is_open = self._asleep = True
        self.reload()

    def wake(self) -> None:
        """Run the checks in this process; cheap if they do."""
        if self._asleep:
            self._asleep = False
            if self.settings.enabled:
                self.runner.wake()

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

        view = self._view
        if self._monotonic() >= view.stale_at_s:
            return view.stale_probes[name]

        return view.probes[name]

    @property
    def groups(self) -> tuple[str, ...]:
        """The names that `probe` answers."""
        return tuple(self._view.probes)

    def results(self) -> tuple[CheckStatus, ...]:
        """Return what is known of each check, in the order of declaration."""
        return tuple(state.status for state in self.runner.states.values())

    def report(self, *, details: bool = True) -> dict[str, object]:
        """
        Describe the service's health as `application/health+json`.

        Args:
            details: Whether to add checks, information and notes, in which secrets
                are hidden; otherwise the status is all.
        """
        status = self._status()
        if not details:
            return {"status": status}

        told = {name: _ask(name, tell) for name, tell in tuple(self._info.items())}
        info = {name: self._redactor.fields(part) for name, part in told.items()}
        if status == "pass" and any(
            part.get("status") in {"warn", "fail"} for part in told.values()
        ):
            status = "warn"

        report: dict[str, object] = {"status": status}
        if self._version:
            report["version"] = report["releaseId"] = self._version

        if self._service:
            report["serviceId"] = self._service

        report["lifecycle"] = {
            "state": self.lifecycle.state,
            "since": stamp(self.lifecycle.since_ns),
        }
        report["checks"] = check_entries(self.results())
        if info:
            report["info"] = info

        notes = self._notes()
        if notes:
            report["notes"] = notes

        return report

    def add_info(self, name: str, tell: Callable[[], Mapping[str, object]]) -> None:
        """
        Add a part to the report: breakers, configuration problems, pools.

        Args:
            name: Its key under `info`; the same name again replaces it.
            tell: Returns it, at each report. A member `status` of `warn` or `fail`
                makes the report warn; no probe changes.
        """
        self._info[name] = tell

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with the groups, now that every check is declared."""
        problems = []
        if self._refused:
            problems.append(
                "health group 'liveness' cannot be configured: a check in it has the "
                "process killed, so only code can ask for it"
            )

        declared = {variable(name): name for name in CHECKS.names()}
        for group, names in self._configured.items():
            for name in names:
                if variable(name) not in declared:
                    near = get_close_matches(name.lower(), declared.values(), 1)
                    hint = f"; the nearest is {near[0]!r}" if near else ""
                    problems.append(
                        f"health group {group!r} names the check {name!r}, which is not"
                        f" declared{hint}"
                    )

        return tuple(problems)

    def describe(self) -> dict[str, object]:
        """Tell what runs, for the start-up line."""
        statuses = self.results()
        return {
            "enabled": self.settings.enabled,
            "checks": len(statuses),
            "critical": [status.name for status in statuses if status.critical],
            "off": list(self._off),
            "groups": [name for name in self.groups if name not in PROBES],
            "details": self.settings.details,
            "loop": self.settings.loop,
        }

    def reload(self) -> None:
        """Tune every check again, because the operator's values may have changed."""
        if self._is_open and self.settings.enabled:
            self._is_binding = True  # one rendering for all of them
            CHECKS.bind(self._take)
            self._is_binding = False
            self._render()

    def close(self, timeout_s: float) -> bool:
        """
        Go to the state `stopped` and run no more checks.

        Returns:
            False if the runner was still busy after *timeout_s* seconds.
        """
        # The register keeps its binding: a runtime that was built anew in between may
        # have bound it to itself.
        self._is_open = self._asleep = False
        self.lifecycle.stop()
        return self.runner.close(timeout_s)

    def _take(self, check: Check) -> None:
        if not self._is_open:
            return

        tuning = tune(check, self.settings, self._check_values(check.name))
        self._off = tuple(name for name in self._off if name != check.name)
        known = self.runner.states.get(check.name)
        if not tuning.enabled:
            self._off += (check.name,)
            self.runner.drop(check.name)
        elif known is not None:
            known.replace(check, tuning)
        else:
            late = self._view.started
            self.runner.add(CheckState(check, tuning, late=late))

        if not self._is_binding:
            self._render()

    def _render(self) -> None:
        with self._render_lock:
            self._rendered += 1
            turn = 0
            while turn != self._rendered:  # else a signal handler's would be lost
                turn = self._rendered
                runner = self.runner
                view = render(
                    self.lifecycle.state,
                    [(state.status, state.late) for state in runner.states.values()],
                    self._configured,
                    started=self._view.started,
                    stale_at_s=runner.stale_at_s,
                )

            self._view = view

    def _status(self) -> str:
        self.probe("readiness")
        view = self._view
        if view.status == "pass" and self._monotonic() >= view.stale_at_s:
            return "warn"

        return view.status

    def _notes(self) -> list[str]:
        notes = list(self.problems())
        loop = self._loops.note()
        if loop is not None:
            notes.append(loop)

        if self._off:
            notes.append(f"switched off: {', '.join(self._off)}")

        return notes

    def _hide(self, output: str) -> str:
        shown = self._redactor.text(output)
        if len(shown) > _MAX_OUTPUT:
            shown = f"{shown[: _MAX_OUTPUT - 1]}…"

        return shown

    def _after_fork(self) -> None:
        self._render_lock = threading.RLock()
        self.lifecycle.after_fork()
        self.runner.after_fork()
        self._asleep = self._is_open
        self._view = self._view._replace(started=False)
        self._render()
