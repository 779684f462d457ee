"""Rate limits that all processes of a service share, as long as Redis answers."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready._transport.redis._loop_link import LoopLink, dial_on_loop
from svcready._transport.redis._pool import Pool
from svcready._transport.redis._resp import RedisError, RedisRefused
from svcready._transport.redis._script import is_unknown
from svcready._transport.redis._whereabouts import Whereabouts
from svcready.errors import DeclarationError
from svcready.resilience._admitting._whose import running_loop
from svcready.resilience._limiting._store import Decision, Left
from svcready.resilience._sharing._buckets import TAKE, decided, words
from svcready.resilience._sharing._contact import Contact

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import Mapping, Sequence

    from svcready._core.clock import Clock
    from svcready.config._redis_address import RedisAddress
    from svcready.resilience._limiting._store import Store, Want

__all__ = ["SharedRates"]

_DIAL_S = 1.0
_CLOSED_RETRY_S = 1.0


class SharedRates:
    """
    A `Store` in Redis: every bucket of a request in one script, in one round trip.

    Asking takes no longer than its time-out, connecting included. Once that has
    failed, nobody asks any more: what the code calls *on_failure* decides, until a
    thread of the pool's has found that the server answers in time again, which it
    looks for at once where it may have been this process that was held up.

    Threads have a pool of connections, every event loop one of its own that its tasks
    share; a forked child begins without any. No event loop waits: what a plain function
    asks that a coroutine calls is decided by *local*.

    Args:
        address: The server.
        prefix: What every bucket's key begins with.
        local: Decides while the server is lost and *on_failure* is `local`, and where
            nobody may wait for it.
        clock: Monotonic time.
        on_failure: `local`; `open`: everything is allowed; `closed`: nothing is.
        timeout_s: How long asking may take.
    """

    def __init__(
        self,
        address: RedisAddress,
        prefix: str,
        local: Store,
        clock: Clock,
        *,
        on_failure: str = "local",
        timeout_s: float = 0.05,
    ) -> None:
        self.contact = Contact("rate_limits", clock)
        self._prefix = prefix
        self._local = local
        self._on_failure = on_failure
        self._timeout_s = timeout_s
        self._where = Whereabouts(address)
        self._pool = Pool(self._where, self.contact, timeout_s=timeout_s)
        self._lock = threading.Lock()
        self._without: Counter[str] = Counter()
        self._links: dict[AbstractEventLoop, Task[LoopLink | RedisError]] = {}
        self._told: set[str] = set()
        self._returning: set[Task[Decision]] = set()
        fork.reset_in_child(self._reset_in_child)

    def wake(self) -> None:
        """Connect in the background, so that the first request finds a connection."""
        self._pool.seek()

    def close(self) -> None:
        """Let go of every connection."""
        self._pool.close()
        with self._lock:
            links, self._links = self._links, {}

        for loop, task in links.items():
            if loop.is_running():
                loop.call_soon_threadsafe(_end, task)

    def without(self) -> Mapping[str, int]:
        """Return how many requests were decided without Redis, by how."""
        with self._lock:
            return dict(self._without)

    def take(self, wants: Sequence[Want]) -> Decision:
        """Decide; waits for no longer than the time-out, and on no event loop."""
        if not self.contact.is_up:
            return self._decide_without(wants)

        loop = running_loop()
        if loop is not None:
            return self._take_at_once(wants, loop)

        ends_s = time.monotonic() + self._timeout_s
        address = self._where.address
        try:
            taken = self._pool.take(ends_s)
            is_good = False
            try:
                keys, numbers = words(self._prefix, wants)
                reply = TAKE.run(taken[1], keys, numbers, ends_s)
                decision = decided(wants, reply)
                is_good = True
            except RedisError as error:
                is_good = error.reason == "busy"
                raise
            finally:
                (self._pool.give if is_good else self._pool.drop)(taken)
        except RedisError as error:
            self._failed(error, address)
            return self._decide_without(wants)

        self.contact.served()
        return decision

    async def take_async(self, wants: Sequence[Want]) -> Decision:
        """Decide on an event loop; without one of asyncio's it is as `take`."""
        import asyncio

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # Trio's, which nobody serves on without knowing
            return self.take(wants)

        if not self.contact.is_up:
            return await self._decide_without_async(wants)

        ends_s = time.monotonic() + self._timeout_s
        address = self._where.address
        try:
            link = await self._link_of(loop, ends_s)
            keys, numbers = words(self._prefix, wants)
            (reply,) = await link.ask([TAKE.by_digest(keys, numbers)], ends_s)
            if is_unknown(reply):
                (reply,) = await link.ask([TAKE.whole(keys, numbers)], ends_s)

            if isinstance(reply, RedisRefused):
                link.retire()  # it may be a replica's by now, or of another node
                raise reply

            decision = decided(wants, reply)
        except RedisError as error:
            self._failed(error, address)
            return await self._decide_without_async(wants)

        self.contact.served()
        return decision

    def _take_at_once(self, wants: Sequence[Want], loop: AbstractEventLoop) -> Decision:
        """Decide here: all that the loop serves would wait for the answer, too."""
        if all(want.cost < 0 for want in wants):  # nobody waits for what is given back
            task = loop.create_task(self.take_async(wants), name="svcready.redis")
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)
            whole = (Left(True, want.rate.burst, 0.0, 0.0) for want in wants)
            return Decision(True, tuple(whole))

        with self._lock:
            self._without["event_loop"] += 1
            new = {want.limit for want in wants} - self._told
            self._told |= new

        for limit in sorted(new):
            text = (
                f"limit {limit} is on a plain function that a coroutine calls: Redis "
                "would hold up the event loop, so each process counts it by itself; "
                "put it on a coroutine function"
            )
            report_fault("limits.event_loop", DeclarationError(text))

        return self._local.take(wants)

    async def _link_of(self, loop: AbstractEventLoop, ends_s: float) -> LoopLink:
        """Return the loop's connection, made by a task that outlives who waits."""
        import asyncio

        with self._lock:
            task = self._links.get(loop)
            if task is None or _is_over(task):
                # Loops that ended would be kept by what they made.
                self._links = {
                    each: made
                    for each, made in self._links.items()
                    if not each.is_closed()
                }
                task = loop.create_task(self._dial(loop), name="svcready.redis")
                self._links[loop] = task

        if not task.done():
            await asyncio.wait({task}, timeout=max(0.0, ends_s - time.monotonic()))
            if not task.done():
                raise RedisError("timeout", "no connection in time")

        made = task.result()
        if isinstance(made, RedisError):
            raise RedisError(made.reason, str(made), made.code)

        return made

    async def _dial(self, loop: AbstractEventLoop) -> LoopLink | RedisError:
        import asyncio

        ends_s = time.monotonic() + _DIAL_S
        address = self._where.address
        try:
            if not self._pool.hosts and not address.path:
                # Names are looked up by the pool's thread, which nobody waits for.
                found: Future[None] = loop.create_future()
                self._pool.seek(lambda: _tell(loop, found))
                async with asyncio.timeout(_DIAL_S):
                    await found

            return await dial_on_loop(address, self._pool.hosts, ends_s)
        except TimeoutError:
            return RedisError("timeout", "no connection in time")
        except RedisError as error:
            return error

    def _failed(self, error: RedisError, address: RedisAddress) -> None:
        if error.reason == "busy":
            self.contact.missed(error.reason)
            return

        self._pool.empty()
        if not self._where.learn(error, address):
            if error.reason == "timeout":
                self.contact.doubted(error.reason)
            else:
                self.contact.failed(error.reason, error.code)

        self._pool.hosts = ()
        self._pool.seek()

    def _decide_without(self, wants: Sequence[Want]) -> Decision:
        decision = self._decide_by_word(wants)
        return self._local.take(wants) if decision is None else decision

    async def _decide_without_async(self, wants: Sequence[Want]) -> Decision:
        decision = self._decide_by_word(wants)
        return await self._local.take_async(wants) if decision is None else decision

    def _decide_by_word(self, wants: Sequence[Want]) -> Decision | None:
        with self._lock:
            self._without[self._on_failure] += 1

        self._pool.seek()  # in a forked child nobody looks for it yet
        if self._on_failure == "open":
            whole = (Left(True, want.rate.burst, 0.0, 0.0) for want in wants)
            return Decision(True, tuple(whole), blind=True)

        if self._on_failure == "closed":
            nothing = Left(False, 0, _CLOSED_RETRY_S, _CLOSED_RETRY_S)
            return Decision(False, tuple(nothing for _ in wants), blind=True)

        return None

    def _reset_in_child(self) -> None:
        self._lock = threading.Lock()
        self._without.clear()
        self._links = {}
        self._returning = set()


def _is_over(task: Task[LoopLink | RedisError]) -> bool:
    if not task.done():
        return False

    if task.cancelled():
        return True

    made = task.result()
    return isinstance(made, RedisError) or made.is_over


def _tell(loop: AbstractEventLoop, future: Future[None]) -> None:
    def tell() -> None:
        if not future.done():
            future.set_result(None)

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:  # the loop has ended meanwhile
        pass


def _end(task: Task[LoopLink | RedisError]) -> None:
    if not task.done():
        task.cancel()
    elif not task.cancelled() and isinstance(made := task.result(), LoopLink):
        made.end("connection", "it is closed")
