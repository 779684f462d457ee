"""A health pillar whose time and threads a test moves by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core import events
from svcready.config._sections.health import HealthSettings
from svcready.config._sections.lifecycle import LifecycleSettings
from svcready.health import CheckChanged, CheckRan, HealthPillar, LifecycleChanged
from svcready.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from svcready._core.redaction import Redactor
    from svcready.health import CheckStatus
    from svcready.health._running._pool import Pool


class InlinePool:
    """Runs a job at once, on the calling thread."""

    def submit(self, job: Callable[[], None], then: Callable[[], None]) -> bool:
        """Run *job*."""
        job()
        then()
        return True

    def give_up(self, job: Callable[[], None], most: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class HeldPool:
    """Takes jobs and runs them when told; at most *cap* that are not given up."""

    def __init__(self, cap: int = 1000) -> None:
        self.cap = cap
        self.jobs: list[tuple[Callable[[], None], Callable[[], None]]] = []
        self.given_up: list[Callable[[], None]] = []
        self.taken = 0

    def submit(self, job: Callable[[], None], then: Callable[[], None]) -> bool:
        """Keep *job*."""
        if sum(kept not in self.given_up for kept, _ in self.jobs) >= self.cap:
            return False

        self.taken += 1
        self.jobs.append((job, then))
        return True

    def give_up(self, job: Callable[[], None], most: int) -> None:
        """Let another job take the place of *job*."""
        if len(self.given_up) < most:
            self.given_up.append(job)

    def begin(self) -> Callable[[], None]:
        """Begin the oldest job; what is returned ends it."""
        job, then = self.jobs[0]
        job()

        def end() -> None:
            self.jobs.pop(0)
            if job in self.given_up:
                self.given_up.remove(job)

            then()

        return end

    def finish(self) -> None:
        """Run the oldest job."""
        self.begin()()

    def close(self) -> None:
        """Do nothing."""


class Rig:
    """A pillar on a fake clock, and everything that it told."""

    def __init__(
        self,
        pool: Callable[[], Pool] = InlinePool,
        *,
        settings: HealthSettings | None = None,
        redactor: Redactor | None = None,
        values: Mapping[str, Mapping[str, object]] | None = None,
        groups: Mapping[str, tuple[str, ...]] | None = None,
        quiet: Callable[[], AbstractContextManager[object]] | None = None,
        spawn: Callable[[Callable[[], None], str], bool] = lambda _target, _name: True,
    ) -> None:
        self.clock = FakeClock()
        self.changes: list[CheckChanged] = []
        self.runs: list[CheckRan] = []
        self.moves: list[LifecycleChanged] = []
        self._unsubscribe = (
            events.subscribe(CheckChanged, self.changes.append),
            events.subscribe(CheckRan, self.runs.append),
            events.subscribe(LifecycleChanged, self.moves.append),
        )
        said = {} if values is None else values
        self.pillar = HealthPillar(
            settings or HealthSettings(),
            LifecycleSettings(),
            service="orders",
            version="1.2.3",
            clock=self.clock,
            redactor=redactor,
            check_values=lambda name: said.get(name, {}),
            groups=groups,
            quiet=quiet,
            pool=pool,
            spawn=spawn,
            uniform=lambda _low, _high: 0.0,
        )

    def start(self, *, ready: bool = True) -> Rig:
        """Start and wake the pillar, and run what is due."""
        self.pillar.start()
        self.pillar.wake()
        if ready:
            self.pillar.lifecycle.ready()

        self.pillar.runner.step()
        return self

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass at once, then do what is due; inline jobs end within."""
        self.clock.advance(seconds)
        self.step()

    def step(self) -> None:
        """Do what is due, and take in what ended meanwhile."""
        self.pillar.runner.step()
        self.pillar.runner.step()

    def status(self, name: str) -> CheckStatus:
        """Return what is known of a check."""
        (found,) = [s for s in self.pillar.results() if s.name == name]
        return found

    def answers(self) -> tuple[int, int, int]:
        """Return the codes of liveness, readiness and startup."""
        liveness, readiness, startup = (
            self.pillar.probe(name).status
            for name in ("liveness", "readiness", "startup")
        )
        return liveness, readiness, startup

    def close(self) -> None:
        """End it."""
        self.pillar.close(0.0)  # its thread is the test itself
        for end in self._unsubscribe:
            end()
