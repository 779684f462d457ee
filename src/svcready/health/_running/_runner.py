"""The runner: runs every check in its turn and keeps what they say."""

from __future__ import annotations

import random
import threading
from collections import deque
from typing import TYPE_CHECKING

from svcready.health._result import CheckResult
from svcready.health._running._agenda import NEVER, Agenda
from svcready.health._running._book import Book
from svcready.health._running._demand import Demand, Demands
from svcready.health._running._pool import spawn_daemon
from svcready.health._running._pulse import Pulse
from svcready.health._running._runs import AWAITABLE, Run
from svcready.health._subject import let_go

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready.health._running._demand import OnDemand
    from svcready.health._running._loops import Loops
    from svcready.health._running._pool import Pool
    from svcready.health._running._state import CheckState

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
        on_demand: How checks run that run only when asked for; None if they repeat.
        look: Looks after what else the thread watches, told the time; returns when to
            look again.
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
        on_demand: OnDemand | None = None,
        look: Callable[[float], float] = lambda _: NEVER,
    ) -> None:
        self._clock = clock
        self._loops = loops
        self._make_pool = make_pool
        self._hide = hide
        self._on_change = on_change
        self._uniform = uniform
        self._quiet = quiet
        self._on_demand = on_demand
        self._look = look
        self.states: dict[str, CheckState] = {}
        """The checks by name; replaced as a whole, so that every thread may read it."""
        self._pulse = Pulse(self.step, spawn)
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._inbox: deque[CheckState | Demand | Run] = deque()
        ttl_s, total_s = self._on_demand or (None, 0.0)
        self._agenda = Agenda(self._uniform, repeats=ttl_s is None)
        self._demands = Demands(total_s)
        self._waiting: deque[CheckState] = deque()  # for a thread
        self._held: list[CheckState] = []  # for the application's loop
        self._book = Book(self._clock, self._hide, self._on_change, ttl_s)
        self._pool = self._make_pool()
        self._look_at_s = NEVER

    @property
    def stale_at_s(self) -> float:
        """No check turns stale before this time on the monotonic clock."""
        return self._book.stale_at_s

    def add(self, state: CheckState) -> None:
        """Run a check from now on; a known name's history goes with the old one."""
        with self._lock:
            self.states = {**self.states, state.check.name: state}

        self._post(state)

    def drop(self, name: str) -> None:
        """Run a check no more; a run in progress ends by itself."""
        with self._lock:
            if name in self.states:
                self.states[name].asked_s = NEVER  # nobody waits for it

            self.states = {n: s for n, s in self.states.items() if n != name}

    def learn(self, loop: AbstractEventLoop) -> None:
        """Run asynchronous checks on the application's loop from now on."""
        if self._loops.learn(loop):
            self._post(None)

    def wake(self) -> bool:
        """Start the thread, unless none is needed yet; False if none can be had."""
        self._loops.begin(self._clock.monotonic())
        return self._on_demand is not None or self._pulse.start()

    def ask(self, key: str, names: Iterable[str]) -> Demand | None:
        """
        Run the checks of *names*, on demand, that have no fresh result.

        Args:
            key: Whoever asks for the same has the same key, and shares the runs.
            names: The checks' names; unknown ones mean nothing.

        Returns:
            What to wait for; None if every result is fresh.
        """
        now_s = self._clock.monotonic()
        known = map(self.states.get, names)
        states = [s for s in known if s is not None and now_s >= s.fresh_until_s]
        if not states:
            return None

        demand, is_new = self._demands.ask(key, states)
        if is_new:
            self._post(demand)
            if not self._pulse.start():
                demand.is_whole = False
                demand.end()

        return demand

    def look_soon(self) -> None:
        """Do what `look` is for now, on the thread."""
        self._pulse.nudge()
        self._pulse.start()

    def close(self, timeout_s: float) -> bool:
        """
        Run no more checks.

        Returns:
            False if the thread was still busy after *timeout_s* seconds.
        """
        ended = self._pulse.stop(timeout_s)
        self._demands.close()
        for run in filter(None, [state.run for state in self.states.values()]):
            run.cancel()

        for state in self.states.values():
            let_go(state.check.function)

        self._loops.close()
        self._pool.close()
        return ended

    def after_fork(self) -> None:
        """Forget all results and threads in a child; `wake` starts anew."""
        self._begin_anew()
        self._pulse.after_fork()
        self._loops.after_fork()
        for state in self.states.values():
            state.late = False  # the child has not started yet
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
        over = self._demands.take_over(now_s)
        self._book.age(self.states.values(), now_s, now=bool(over))
        self._book.show(now_s, at_once=bool(over))
        for demand in over:
            demand.end()

        self._book.tell()
        self._look_at_s = self._look(now_s)
        return self._next()

    def _has(self, state: CheckState) -> bool:
        return self.states.get(state.check.name) is state

    def _post(self, item: CheckState | Demand | Run | None) -> None:
        if item is not None:
            self._inbox.append(item)

        self._pulse.nudge()

    def _next(self) -> float | None:
        now_s = self._clock.monotonic()
        at_s = min(
            self._agenda.next_at_s(),
            self._look_at_s,
            self._book.look_at_s,
            self._book.show_at_s,
            self._demands.next_at_s(),
        )
        if self._waiting:  # maybe for a thread that the system did not give
            at_s = min(at_s, now_s + _RETRY_S)
        elif self._held:
            at_s = min(at_s, max(self._loops.decide_at_s, now_s + _RETRY_S))

        return None if at_s == NEVER else max(0.0, at_s - now_s)

    def _take_in(self, now_s: float) -> None:
        while self._inbox:
            item = self._inbox.popleft()
            if isinstance(item, Run):
                self._finish(item, now_s)
            elif isinstance(item, Demand):
                self._meet(item, now_s)
            elif self._on_demand is None:
                self._agenda.plan(item, now_s)

    def _meet(self, demand: Demand, now_s: float) -> None:
        for state in demand.states:
            if state.asked_s == NEVER and now_s >= state.fresh_until_s:
                self._book.expect(state, now_s)
                self._agenda.plan(state, now_s)

        self._demands.begin(demand, now_s)

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
        elif run.result is None:
            state.asked_s = NEVER  # nothing will come of it
        elif self._has(state):
            self._book.record(state, run.result, run.duration_s)

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
        if self._on_demand is None or run.state.asked_s != NEVER:
            self._agenda.plan(run.state, now_s)

    def _time_out(self, run: Run) -> None:
        state = run.state
        run.timed_out = True
        state.mark_stuck(stuck=True)
        self._pool.give_up(run.execute, len(self.states))
        timeout_s = state.tuning.timeout_s
        result = CheckResult("fail", f"not back within {timeout_s:g} s")
        if self._has(state):
            self._book.record(state, result, timeout_s)

        if not run.cancel():
            self._abandon(run, self._clock.monotonic())

    def _start(self, now_s: float) -> None:
        for state in filter(self._has, self._agenda.pop_due(now_s)):
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

        run.disown()
        result = CheckResult("fail", "still not back from an earlier run")
        self._book.record(state, result, None)
        self._agenda.plan_next(state, now_s)

    def _begin(self, state: CheckState, now_s: float) -> bool:
        if not self._has(state):
            return True

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
