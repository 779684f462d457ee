"""The bulkhead under threads and tasks that take turns anywhere."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from svcready.errors import BulkheadFull
from svcready.resilience._admitting._compartment import Compartment
from svcready.resilience._admitting._config_gates import BulkheadConfig
from tests.examples import examples
from tests.resilience.interleaving import Stuck
from tests.resilience.races import ACTORS, LONG, Game, Interrupted, play

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from svcready.resilience._admitting._permits import Permit
    from svcready.resilience._admitting._waiters import ThreadWaiter
    from tests.resilience.interleaving import Stage

LONGEST_S = 3600.0


@dataclass
class BulkheadOracle:
    """How many are in; who waits may be refused or interrupted at any time."""

    limit: int
    may_wait: bool
    inside: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def copy(self) -> BulkheadOracle:
        """Return one like it."""
        return BulkheadOracle(self.limit, self.may_wait, self.inside, self.counts)

    def do(self, who: int, what: str, *arguments: Any) -> object:
        """Come in if there is room; whoever may wait chooses what becomes of it."""
        del who
        if what == "leave":
            self.inside -= 1
            return None

        has_room = self.inside < self.limit
        wanted = arguments[0]
        if not has_room and not self.may_wait:
            return "refused"

        if wanted == "in" or not self.may_wait:
            self.inside += has_room
            return "in" if has_room else "nothing"

        return wanted


class BulkheadGame(Game):
    """Threads that enter, wait, are interrupted and leave, and tasks on a loop."""

    def __init__(self, stage: Stage, *, unlocked: bool) -> None:
        super().__init__(stage, unlocked=unlocked)
        rng = stage.rng
        limit, queue = rng.randint(1, 2), rng.choice((0, 4))
        self.loop: asyncio.AbstractEventLoop | None = None
        self.core = Compartment(
            "raced",
            BulkheadConfig(limit, queue, LONGEST_S if queue else 0.0),
            clock=self.clock,
            unlocked=unlocked,
            wait=self.wait,
        )
        self.oracle = BulkheadOracle(limit, may_wait=queue > 0)
        self.limit = limit
        self.inside = 0
        self.calls = 0
        self.tasks = ACTORS  # numbers above are theirs

    def wait(self, waiter: ThreadWaiter, seconds: float) -> None:
        """Wait, or be interrupted at any time."""
        self.stage.point(surely=True)
        if self.stage.rng.random() < 0.2:
            raise Interrupted

        waiter.wait(seconds if self.stage.rng.random() < 0.3 else -1)
        if self.stage.rng.random() < 0.1:
            raise Interrupted

    def came(self, who: int) -> None:
        """Note that somebody is in."""
        self.history.told(who, "in")
        self.inside += 1
        assert self.inside <= self.limit

    def leave(self, who: int, permit: Permit | None) -> None:
        """Leave."""
        self.inside -= 1
        self.history.begin(who, "leave")
        self.core.leave(permit, None, 0.0)
        self.history.end(who)

    def act(self, who: int, rng: random.Random) -> None:
        """Be in for a while, as a thread or as a few tasks."""
        if who == ACTORS - 1 and rng.random() < 0.5:
            self.run_tasks(rng)
            return

        self.calls += 1
        self.history.begin(who, "enter")
        try:
            permit = self.core.enter()
        except BulkheadFull:
            self.history.told(who, "refused")
        except Interrupted:
            self.history.told(who, "interrupted")
        else:
            self.came(who)
            self.stage.point(surely=True)
            self.leave(who, permit)

    async def call(self, who: int) -> None:
        """Be in for a while, as a task."""
        self.calls += 1
        self.history.begin(who, "enter")
        try:
            permit = await self.core.enter_async()
        except BulkheadFull:
            self.history.told(who, "refused")
            return
        except asyncio.CancelledError:
            self.history.told(who, "interrupted")
            raise

        self.came(who)
        try:
            await asyncio.sleep(0)
        finally:
            self.leave(who, permit)

    def run_tasks(self, rng: random.Random) -> None:
        """Run two tasks on a loop of the thread's, and perhaps cancel one."""
        loop = asyncio.SelectorEventLoop()
        tasks = []
        for _ in range(2):
            tasks.append(loop.create_task(self.call(self.tasks)))
            self.tasks += 1

        with contextlib.closing(loop):
            for _ in range(500):
                loop.run_until_complete(asyncio.sleep(0))
                self.stage.point(surely=True)
                if rng.random() < 0.1:
                    rng.choice(tasks).cancel()

                if all(task.done() for task in tasks):
                    break
            else:
                raise Stuck("a task was never told")

            for task in tasks:
                if not task.cancelled():
                    task.result()

    def look(self) -> None:
        """Nobody is in, nobody waits, and every call was counted once."""
        assert self.core.level() == (0, 0, self.limit)
        counts = self.core.counts()
        assert sum(counts.values()) == self.calls


def test_threads_and_tasks_share_a_bulkhead(monkeypatch: pytest.MonkeyPatch) -> None:
    """In 20 000 deeds nobody is in too many, refused for nothing or left waiting."""
    deeds = examples(20_000)
    assert play(BulkheadGame, monkeypatch, deeds) > deeds / 10


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_threads_and_tasks_share_a_bulkhead_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same as long as the others."""
    play(BulkheadGame, monkeypatch, LONG)


def forget(game: BulkheadGame) -> None:
    """Look for who waits before a permit is given back, not after."""
    permits = game.core._permits
    plain = game.core.leave

    def leave(token: Any, error: BaseException | None, elapsed_s: float) -> None:
        calm = permits.calm
        game.stage.point(surely=True)
        if token is None or not calm:
            plain(token, error, elapsed_s)
            return

        token.depth = 0
        del permits.holders[token.owner]
        token.owner = None
        permits.free.append(token)

    game.core.leave = leave  # type: ignore[method-assign]


def disarm(game: BulkheadGame) -> None:
    """Take the lock out."""
    game.core._permits.lock = contextlib.nullcontext()  # type: ignore[assignment]


@pytest.mark.parametrize("change", [forget, disarm])
def test_a_lost_permit_is_found_out(
    change: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a permit can pass by who waits, or no lock is taken, somebody notices."""
    with pytest.raises((AssertionError, KeyError, RuntimeError)):
        play(BulkheadGame, monkeypatch, 200_000, change)
