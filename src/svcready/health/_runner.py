"""The runner: runs every check in its turn and keeps what they say."""

from __future__ import annotations

import random
import threading
from collections import deque
from typing import TYPE_CHECKING

from svcready._core import events
from svcready._core.guard import report_fault
from svcready.health._agenda import NEVER, Agenda
from svcready.health._events import CheckChanged, CheckRan
from svcready.health._pool import spawn_daemon
from svcready.health._result import CheckResult
from svcready.health._runs import AWAITABLE, Run

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready.health._loops import Loops
    from svcready.health._pool import Pool
    from svcready.health._state import CheckState

__all__ = ["Runner"]

_RETRY_S = 1.0


class Runner:
    """
    Starts checks when they are due, watches their time and records their results.

    All bookkeeping happens in `step`, which one thread calls; checks run elsewhere.

    Args:
        clock: Decides what is due.
        loops: Where asynchronous checks run.
        make_pool: Makes the threads for synchronous ones, anew in a forked child.
        hide: Hides the secrets in what a check says, and cuts it.
        on_change: Called when something changed that a probe may show.
        uniform: Draws the jitter between two bounds.
        spawn: Starts the runner's thread.
        quiet: Makes a context in which a check's own calls are not traced.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        loops: Loops,
        make_pool: Callable[[], Pool],
        hide: Callable[[str], str],
        on_change: Callable[[], None],
        uniform: Callable[[float, float], float] = random.uniform,
        spawn: Callable[[Callable[[], None], str], bool] = spawn_daemon,
        quiet: Callable[[], AbstractContextManager[object]] | None = None,
    ) -> None:
        self._clock = clock
        self._loops = loops
        self._make_pool = make_pool
        self._hide = hide
        self._on_change = on_change
        self._uniform = uniform
        self._spawn = spawn
        self._quiet = quiet
        self.states: dict[str, CheckState] = {}
        """The checks by name; replaced as a whole, so that every thread may read it."""
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._changed = threading.Condition()
        self._inbox: deque[CheckState | Run] = deque()
        self._agenda = Agenda(self._uniform)
        self._waiting: deque[CheckState] = deque()  # for a thread
        self._held: list[CheckState] = []  # for the application's loop
        self._news: list[object] = []
        self.stale_at_s = NEVER
        """No check turns stale before this time on the monotonic clock."""
        self._refresh_at_s = NEVER
        self._dirty = False
        self._nudged = False
        self._pool = self._make_pool()
        self._stopping = False
        self._runs = False
        self._thread_ended = threading.Event()

    def add(self, state: CheckState) -> None:
        """Run a check from now on; a known name's history goes with the old one."""
        with self._changed:
            self.states = {**self.states, state.check.name: state}

        self._post(state)

    def drop(self, name: str) -> None:
        """Run a check no more; a run in progress ends by itself."""
        with self._changed:
            self.states = {n: s for n, s in self.states.items() if n != name}

    def learn(self, loop: AbstractEventLoop) -> None:
        """Run asynchronous checks on the application's loop from now on."""
        if self._loops.learn(loop):
            self._post(None)

    def wake(self) -> None:
        """Start the thread, unless it runs."""
        with self._changed:
            if self._runs or self._stopping:
                return

            self._runs = True

        self._loops.begin(self._clock.monotonic())
        if not self._spawn(self._run, "svcready-health"):
            self._runs = False

    def close(self, timeout_s: float) -> bool:
        """
        Run no more checks.

        Returns:
            False if the thread was still busy after *timeout_s* seconds.
        """
        self._stopping = True
        self._post(None)
        ended = not self._runs or self._thread_ended.wait(timeout_s)
        for run in filter(None, [state.run for state in self.states.values()]):
            run.cancel()

        self._loops.close()
        self._pool.close()
        return ended

    def after_fork(self) -> None:
        """Forget all results and threads in a child; `wake` starts anew."""
        self._begin_anew()
        self._loops.after_fork()
        for state in self.states.values():
            state.reset(state.check)
            self._inbox.append(state)

    def step(self) -> float | None:
        """
        Do everything that is due now.

        Returns:
            Seconds until there is more to do; None if nothing is planned.
        """
        now_s = self._clock.monotonic()
        self._take_in(now_s)
        self._watch(now_s)
        self._start(now_s)
        self._refresh(now_s)
        if self._dirty:
            self._dirty = False
            self._on_change()

        news, self._news = self._news, []
        for event in news:
            events.publish(event)

        return self._next()

    def _run(self) -> None:
        try:
            while not self._stopping:
                try:
                    wait_s = self.step()
                except Exception as error:  # noqa: BLE001 - checks must go on
                    report_fault("health.runner", error)
                    wait_s = _RETRY_S

                with self._changed:
                    if not self._nudged:
                        self._changed.wait(wait_s)

                    self._nudged = False
        finally:
            self._thread_ended.set()

    def _post(self, item: CheckState | Run | None) -> None:
        if item is not None:
            self._inbox.append(item)

        with self._changed:
            self._nudged = True
            self._changed.notify()

    def _next(self) -> float | None:
        now_s = self._clock.monotonic()
        at_s = min(self._agenda.next_at_s(), self._refresh_at_s)
        if self._held:
            at_s = min(at_s, max(self._loops.decide_at_s, now_s + _RETRY_S))

        return None if at_s == NEVER else max(0.0, at_s - now_s)

    def _take_in(self, now_s: float) -> None:
        while self._inbox:
            item = self._inbox.popleft()
            if isinstance(item, Run):
                self._finish(item, now_s)
            else:
                self._agenda.plan(item, now_s)

    def _finish(self, run: Run, now_s: float) -> None:
        state = run.state
        if state.run is not run:
            return

        state.run = None
        if run.timed_out:  # its time-out was its result
            state.mark_stuck(stuck=False)
        elif run.result is AWAITABLE:
            state.is_async = True
            self._agenda.plan(state, now_s)
        elif run.result is not None:
            self._record(state, run.result, run.duration_s)

    def _record(
        self, state: CheckState, result: CheckResult, ran_s: float | None
    ) -> None:
        before = state.status.status
        result = result._replace(output=self._hide(result.output))
        now_s = self._clock.monotonic()
        latency_s = state.tuning.timeout_s if ran_s is None else ran_s
        state.record(result, latency_s, now_s, self._clock.time_ns())
        if state.stale_at_s < self.stale_at_s:
            self._bound_staleness(state.stale_at_s, now_s)

        if ran_s is not None:
            self._news.append(CheckRan(state.check.name, result.status, ran_s))

        self._tell(state, before)

    def _tell(self, state: CheckState, before: str) -> None:
        now = state.status
        if now.status != before:
            self._dirty = True
            reason = "no result for too long" if now.stale else now.output
            change = CheckChanged(now.name, before, now.status, reason, now.critical)
            self._news.append(change)

    def _watch(self, now_s: float) -> None:
        for run in self._agenda.pop_watched(now_s):
            timeout_s = run.state.tuning.timeout_s
            began_s = run.began_s
            if began_s is None and run.is_lost():
                self._abandon(run, now_s)
            elif began_s is None:  # a busy loop says nothing of what is checked
                self._agenda.watch(run, now_s + timeout_s)
            elif now_s < began_s + timeout_s:
                self._agenda.watch(run, began_s + timeout_s)
            else:
                self._time_out(run)

    def _abandon(self, run: Run, now_s: float) -> None:
        run.abandoned = True
        run.state.run = None
        run.state.mark_stuck(stuck=False)
        self._loops.forget(run.loop)
        self._agenda.plan(run.state, now_s)

    def _time_out(self, run: Run) -> None:
        state = run.state
        run.timed_out = True
        state.mark_stuck(stuck=True)
        timeout_s = state.tuning.timeout_s
        result = CheckResult("fail", f"not back within {timeout_s:g} s")
        self._record(state, result, timeout_s)
        if not run.cancel():
            self._abandon(run, self._clock.monotonic())

    def _start(self, now_s: float) -> None:
        for state in self._agenda.pop_due(now_s):
            run = state.run
            if run is None:
                (self._held if state.is_async else self._waiting).append(state)
            elif run.timed_out:
                self._pass_over(run, now_s)
            else:
                self._agenda.plan_next(state, now_s)

        while self._waiting and self._begin(self._waiting[0], now_s):
            self._waiting.popleft()

        self._held = [state for state in self._held if not self._begin(state, now_s)]

    def _pass_over(self, run: Run, now_s: float) -> None:
        # Never a second run beside one that hangs: it would cost a thread each time.
        state = run.state
        if run.is_lost():
            self._abandon(run, now_s)
            return

        result = CheckResult("fail", "still not back from an earlier run")
        self._record(state, result, None)
        self._agenda.plan_next(state, now_s)

    def _begin(self, state: CheckState, now_s: float) -> bool:
        if self.states.get(state.check.name) is not state:
            return True  # dropped

        loop = None
        if state.is_async:
            loop = self._loops.choose(now_s, private=state.check.private_loop)
            if loop is None:
                return False

        run = Run(state, self._clock, self._post, self._quiet)
        state.run = run  # it may be over before the next line is
        if loop is not None:
            begun = run.launch(loop, ours=self._loops.owns(loop))
        else:
            begun = self._pool.submit(run.execute, lambda: self._post(run))

        if not begun:
            state.run = None
            self._loops.forget(loop)
            return False

        self._agenda.watch(run, now_s + state.tuning.timeout_s)
        self._agenda.plan_next(state, now_s)
        return True

    def _refresh(self, now_s: float) -> None:
        if now_s < self._refresh_at_s:
            return

        earliest_s = NEVER
        for state in self.states.values():
            if state.stale_at_s <= now_s:
                before = state.status.status
                state.mark_stale()
                self._tell(state, before)

            earliest_s = min(earliest_s, state.stale_at_s)

        self._bound_staleness(earliest_s, now_s)

    def _bound_staleness(self, earliest_s: float, now_s: float) -> None:
        # Probes trust the bound even if this thread is dead, so it is moved on long
        # before it is reached, and not at every result.
        self.stale_at_s = earliest_s
        half_way_s = max((now_s + earliest_s) / 2, now_s + _RETRY_S)
        self._refresh_at_s = min(earliest_s, half_way_s)
        self._dirty = True
