"""The bulkhead's state: who is in, who waits, and who is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.events import publish
from svcready.errors import BulkheadFull, DeadlineSpent
from svcready.resilience._admitting._permits import Permits
from svcready.resilience._admitting._waiters import LoopWaiter, ThreadWaiter
from svcready.resilience._admitting._whose import running_loop, whose
from svcready.resilience._events import Waited
from svcready.resilience._tally import can_count_unlocked
from svcready.resilience._timing import _deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock
    from svcready.resilience._admitting._config_gates import BulkheadConfig
    from svcready.resilience._admitting._permits import Level, Permit
    from svcready.resilience._admitting._waiters import Waiter

__all__ = ["Compartment"]


class Compartment:
    """
    One bulkhead, shared by every thread, task and event loop of the process.

    A permit belongs to the task or thread that entered, which enters again with the
    one that it has while it is in: further down in the same call, block or stream. A
    stream between two items, and what nobody awaits yet, is nobody's to enter by. Work
    that is handed to another task or thread needs a permit of its own, whatever
    context it copies.

    Args:
        name: The bulkhead's name.
        config: Its numbers.
        clock: Monotonic time.
        unlocked: Permits may go without the lock; None: as the build allows.
        wait: Blocks a waiting thread for so many seconds at most; None: as the clock
            has it, of which another than the system's passes at once.
    """

    def __init__(
        self,
        name: str,
        config: BulkheadConfig,
        *,
        clock: Clock = SYSTEM_CLOCK,
        unlocked: bool | None = None,
        wait: Callable[[ThreadWaiter, float], None] | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.clock = clock
        self._unlocked = can_count_unlocked() if unlocked is None else unlocked
        self._wait = wait or self._block
        self._permits = Permits(config.max_concurrent, unlocked=self._unlocked)
        fork.reset_in_child(self._reset_in_child)

    def peek(self) -> None:
        """Refuse nothing: until an attempt gets here there may be room."""

    def at_once(self) -> Permit | None:
        """
        Return a permit that nobody waits for, to who has none yet.

        Returns:
            None: `enter` knows more.
        """
        permits = self._permits
        owner = whose()
        if permits.calm and owner not in permits.holders and not permits.resting:
            try:
                permit = permits.free.pop()
            except IndexError:
                return None

            permit.owner = owner
            permit.depth = 1
            permits.holders[owner] = permit
            permits.admitted += 1
            return permit

        return None

    def enter(self) -> Permit | None:
        """
        Return a permit, after a wait if there may be one.

        On the thread of a running event loop nobody waits: it would stop the loop.

        Raises:
            BulkheadFull: There is none, and no place in the queue or no time left;
                reason `loop`: it would have waited in another thread.
            DeadlineSpent: The deadline came while this call waited.
        """
        permit = self.at_once()
        if permit is not None:
            return permit

        if self.config.mode == "off":
            return None

        permits, owner = self._permits, whose()
        wait_s = self._may_wait_s()
        bars = wait_s > 0.0 and running_loop() is not None
        waiter = ThreadWaiter(owner) if wait_s > 0.0 and not bars else None
        started_s = self.clock.monotonic()
        got = self._ask(permits, owner, waiter, bars=bars)
        if got is not None or waiter is None:
            return got

        try:
            self._wait(waiter, wait_s)
        except BaseException:
            self._give_up(permits, waiter)
            raise

        return self._waited(permits, waiter, started_s, wait_s)

    async def enter_async(self) -> Permit | None:
        """Return a permit as `enter` does, waiting as a task."""
        permit = self.at_once()
        if permit is not None:
            return permit

        if self.config.mode == "off":
            return None

        permits, owner = self._permits, whose()
        wait_s = self._may_wait_s()
        loop = running_loop() if wait_s > 0.0 else None
        waiter = None if loop is None else LoopWaiter(owner, loop)
        started_s = self.clock.monotonic()
        got = self._ask(permits, owner, waiter)
        if got is not None or waiter is None:
            return got

        try:
            await waiter.wait(wait_s)
        except BaseException:
            self._give_up(permits, waiter)
            raise

        return self._waited(permits, waiter, started_s, wait_s)

    def leave(
        self, token: object, error: BaseException | None, elapsed_s: float
    ) -> None:
        """Give the permit back, or to who waits longest."""
        del error, elapsed_s
        permit = cast("Permit | None", token)
        if permit is None:
            return

        home = permit.home
        if home.unlocked and permit.depth == 1 and permit.owner is not None:
            # No thread gets a turn between here and the append's end.
            permit.depth = 0
            home.holders.pop(permit.owner, None)
            permit.owner = None
            home.free.append(permit)
            if not home.calm:
                home.settle()
        else:
            home.give_back(permit)

    def renew(self, token: object) -> None:
        """Take note of nothing: a permit is held for as long as it takes."""

    def use(self, config: BulkheadConfig, clock: Clock) -> None:
        """Put other numbers or another clock in force; who is in stays in."""
        self.config = config
        self.clock = clock
        permits = self._permits
        permits.resize(config.max_concurrent, is_off=config.mode == "off")
        if config.mode != "enforce":
            permits.admit_all()

    def level(self) -> Level:
        """Return how many are in it and wait for it."""
        return self._permits.level()

    def counts(self) -> dict[str, int]:
        """Return how many calls were admitted and refused since the process began."""
        return self._permits.counts()

    def _block(self, waiter: ThreadWaiter, wait_s: float) -> None:
        clock = self.clock
        waiter.wait(wait_s if clock is SYSTEM_CLOCK else 0.0)
        if clock is not SYSTEM_CLOCK and waiter.permit is None:
            clock.sleep(wait_s)

    def _may_wait_s(self) -> float:
        config = self.config
        if not config.max_queue or config.mode != "enforce":
            return 0.0

        return min(config.max_wait_s, _deadline.until_s() - self.clock.monotonic())

    def _ask(
        self,
        permits: Permits,
        owner: object,
        waiter: Waiter | None,
        *,
        bars: bool = False,
    ) -> Permit | None:
        """
        Return a permit, or put *waiter* into the queue: None.

        Args:
            permits: Those there are.
            owner: For whom.
            waiter: Who waits; None: nobody.
            bars: It is an event loop's thread that keeps the call from waiting.
        """
        config = self.config
        permits.reclaim()
        with permits.lock:
            permit = permits.take(owner)
            if permit is None and config.mode == "observe":
                permit = permits.add(owner)
                permits.count("observed")
            elif permit is None:
                room = waiter is not None and len(permits.waiters) < config.max_queue
                if not room:
                    permits.count("rejected")
                    raise BulkheadFull(self.name, "loop" if bars else "full")

                permits.join(cast("Waiter", waiter))

        permits.settle()  # what came back since, or what a finalizer gave back
        return permit

    def _waited(
        self, permits: Permits, waiter: Waiter, started_s: float, wait_s: float
    ) -> Permit:
        """Return what *waiter* got; its wait is over."""
        permit = permits.gone(waiter)
        permits.count("rejected" if permit is None else "waited")
        publish(Waited("bulkhead", self.name, self.clock.monotonic() - started_s))
        if permit is not None:
            return permit

        if wait_s < self.config.max_wait_s:
            raise DeadlineSpent(self.name, "spent")

        raise BulkheadFull(self.name, "waited")

    def _give_up(self, permits: Permits, waiter: Waiter) -> None:
        """Pass on what an interrupted or cancelled *waiter* may have been granted."""
        permit = permits.gone(waiter)
        permits.count("cancelled")
        if permit is not None:
            permits.give_back(permit)

    def _reset_in_child(self) -> None:
        self._permits.orphan()
        config = self.config
        self._permits = Permits(config.max_concurrent, unlocked=self._unlocked)
        self._permits.resize(config.max_concurrent, is_off=config.mode == "off")
