"""The bulkhead against a model: a list of who is in, and a list of who waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant

from svcready.errors import BulkheadFull, DeadlineSpent
from svcready.resilience._admitting._compartment import Compartment
from svcready.resilience._admitting._config_gates import BulkheadConfig
from svcready.resilience._admitting._permits import Permit, Permits
from svcready.resilience._admitting._waiters import ThreadWaiter
from svcready.resilience._timing import _deadline
from svcready.testing import FakeClock
from tests.examples import examples
from tests.resilience.loops import FakeLoop
from tests.resilience.stepping import begin, run, run_for_long, step

LOOPS = 2
IN = "in"
WAITING = "waiting"
OVER = "over"


@dataclass
class Model:
    """The specification: who is in, in any order, and who waits, in theirs."""

    limit: int
    max_queue: int
    max_wait: float
    inside: list[int] = field(default_factory=list)
    queue: list[tuple[int, float]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, outcome: str) -> None:
        """Count a call."""
        self.counts[outcome] = self.counts.get(outcome, 0) + 1

    def come(self, who: int, now: float, wait: float) -> str:
        """Let somebody come who waits so long at most; return what becomes of them."""
        if not self.queue and len(self.inside) < self.limit:
            self.inside.append(who)
            self.count("admitted")
            return IN

        if wait <= 0 or len(self.queue) >= self.max_queue:
            self.count("rejected")
            return OVER

        self.queue.append((who, now + wait))
        return WAITING

    def serve(self) -> list[int]:
        """Return who may go in now."""
        served = []
        while self.queue and len(self.inside) < self.limit:
            who, _ = self.queue.pop(0)
            self.inside.append(who)
            self.count("waited")
            served.append(who)

        return served

    def forget(self, who: int, outcome: str) -> None:
        """Take somebody out of the queue."""
        self.queue = [each for each in self.queue if each[0] != who]
        self.count(outcome)


@dataclass
class Caller:
    """Somebody who calls: a task, or a thread as its shell would drive it."""

    number: int
    task: asyncio.Task[None] | None = None
    leave: asyncio.Event | None = None
    waiter: ThreadWaiter | None = None
    until: float = 0.0
    permit: Permit | None = None
    error: str = ""


class Machine(RuleBasedStateMachine):
    """Does the same to the bulkhead and to the model."""

    unlocked = True

    @begin(limit=range(1, 5), queue=range(6), wait=(1.0, 2.5, 10.0))
    def declare(self, limit: int, queue: int, wait: float) -> None:
        """Make both alike."""
        wait = wait if queue else 0.0
        self.clock = FakeClock(start_s=0.0)
        self.loops = [FakeLoop(self.clock) for _ in range(LOOPS)]
        config = BulkheadConfig(limit, queue, wait)
        self.core = Compartment(
            "model", config, clock=self.clock, unlocked=self.unlocked
        )
        self.model = Model(limit, queue, wait)
        self.callers: dict[int, Caller] = {}
        self.made = 0

    def new(self) -> Caller:
        """Return a caller."""
        self.made += 1
        caller = self.callers[self.made] = Caller(self.made)
        return caller

    def turn(self) -> None:
        """Let all loops do what they can, and threads see what they were granted."""
        for loop in self.loops:
            loop.turn()

        for caller in tuple(self.callers.values()):
            if caller.waiter is not None and caller.waiter.permit is not None:
                permits = self.core._permits
                waiter, caller.waiter = caller.waiter, None
                caller.permit = self.core._waited(permits, waiter, 0.0, 1.0)

    @step(loop=range(LOOPS), left=(None, 0.5, 2.0))
    def call_as_task(self, loop: int, left: float | None) -> None:
        """Let a task call, under a deadline or none."""
        caller = self.new()
        on = self.loops[loop]
        leave = caller.leave = asyncio.Event()
        now = self.clock.monotonic()

        async def run() -> None:
            if left is not None:
                _deadline.put(now + left)

            try:
                permit = await self.core.enter_async()
            except (BulkheadFull, DeadlineSpent) as error:
                caller.error = error.reason
                return

            try:
                await leave.wait()
            finally:
                self.core.leave(permit, None, 0.0)

        caller.task = on.create_task(run())
        wait = self.model.max_wait if left is None else min(self.model.max_wait, left)
        expected = self.model.come(caller.number, now, wait)
        self.turn()
        if expected == OVER:
            assert caller.task.done()
            assert caller.error == "full"
            del self.callers[caller.number]
        else:
            assert not caller.task.done()

    @step()
    def call_as_thread(self) -> None:
        """Let a thread call, as `enter` does up to the point where it would block."""
        caller = self.new()
        now = self.clock.monotonic()
        wait = self.model.max_wait
        waiter = ThreadWaiter(object()) if wait else None
        expected = self.model.come(caller.number, now, wait)
        permits: Permits = self.core._permits
        try:
            owner = waiter.owner if waiter else object()
            permit = self.core._ask(permits, owner, waiter)
        except BulkheadFull:
            assert expected == OVER
            del self.callers[caller.number]
            return

        if permit is None:
            assert waiter is not None
            caller.waiter, caller.until = waiter, now + wait
            assert expected == WAITING
        else:
            caller.permit = permit
            assert expected == IN

    @step(pick=range(1001))
    def leave(self, pick: int) -> None:
        """Let somebody leave who is in, from the outside of its loop."""
        if not self.model.inside:
            return

        number = self.model.inside.pop(pick % len(self.model.inside))
        caller = self.callers.pop(number)
        if caller.leave is not None:
            caller.leave.set()
        else:
            self.core.leave(caller.permit, None, 0.0)

        self.model.serve()
        self.turn()
        self.turn()

    @step(pick=range(1001), race=(False, True))
    def cancel(self, pick: int, race: bool) -> None:
        """Cancel or interrupt somebody, perhaps just after they were granted one."""
        if not self.callers:
            return

        numbers = sorted(self.callers)
        caller = self.callers[numbers[pick % len(numbers)]]
        waits = caller.number in [who for who, _ in self.model.queue]
        first = waits and self.model.queue[0][0] == caller.number
        if race and first and self.free_one():
            self.model.queue.pop(0)
            self.model.count("cancelled")
        elif waits:
            self.model.forget(caller.number, "cancelled")
        else:
            self.model.inside.remove(caller.number)

        del self.callers[caller.number]
        if caller.task is not None:
            caller.task.cancel()
        elif caller.waiter is not None:
            self.core._give_up(self.core._permits, caller.waiter)
        else:
            self.core.leave(caller.permit, None, 0.0)

        self.model.serve()
        self.turn()
        self.turn()

    def free_one(self) -> bool:
        """Let a thread that is in leave, so that the next one is granted its permit."""
        for number in self.model.inside:
            caller = self.callers[number]
            if caller.permit is not None and len(self.model.inside) <= self.model.limit:
                self.model.inside.remove(number)
                del self.callers[number]
                self.core.leave(caller.permit, None, 0.0)
                return True

        return False

    @step(seconds=(0.25, 0.5, 1.0, 3.0, 3600.0))
    def pass_time(self, seconds: float) -> None:
        """Let time pass, an hour at once now and then: who waits too long goes."""
        self.clock.advance(seconds)
        now = self.clock.monotonic()
        for number, until in tuple(self.model.queue):
            if until <= now:
                self.model.forget(number, "rejected")
                caller = self.callers.pop(number)
                if caller.waiter is not None:
                    with pytest.raises(BulkheadFull):
                        self.core._waited(
                            self.core._permits, caller.waiter, 0.0, self.model.max_wait
                        )

        self.turn()

    @step(limit=range(1, 7))
    def resize(self, limit: int) -> None:
        """Have another limit."""
        self.model.limit = limit
        config = self.core.config._replace(max_concurrent=limit)
        self.core.use(config, self.clock)
        self.model.serve()
        self.turn()

    @invariant()
    def agree(self) -> None:
        """Both have the same inside and in the queue, and have counted the same."""
        if not hasattr(self, "model"):
            return

        model = self.model
        assert self.core.level() == (len(model.inside), len(model.queue), model.limit)
        counts = {key: n for key, n in self.core.counts().items() if n}
        assert counts == model.counts
        for number in model.inside:
            caller = self.callers[number]
            assert caller.waiter is None
            assert caller.permit is not None or caller.task is not None

    def teardown(self) -> None:
        """End everything: nobody is in it then."""
        if not hasattr(self, "model"):
            return

        for caller in self.callers.values():
            if caller.task is not None:
                caller.task.cancel()
            elif caller.waiter is not None:
                self.core._give_up(self.core._permits, caller.waiter)
            else:
                self.core.leave(caller.permit, None, 0.0)

        for loop in (*self.loops, *self.loops):
            loop.turn(8)

        assert self.core.level() == (0, 0, self.model.limit)
        for loop in self.loops:
            loop.close()


class LockedMachine(Machine):
    """The same on a build where nothing goes without the lock."""

    unlocked = False


@pytest.mark.parametrize("machine", [Machine, LockedMachine])
def test_bulkhead_is_its_model(machine: type[Machine]) -> None:
    """In 20 000 steps of any kind the bulkhead does as the model does."""
    run(machine, examples(200), 50)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_bulkhead_is_its_model_for_long() -> None:
    """The same in a million steps."""
    run_for_long(Machine)
