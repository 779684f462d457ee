"""Rate limits in a Redis that is killed, paused, emptied, slow, or no Redis at all."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from svcready.resilience._admitting._gcra import Rate
from svcready.resilience._events import StoreBack, StoreLost
from svcready.resilience._limiting._store import Decision, MemoryStore, Want
from svcready.resilience._sharing._buckets import key_prefix
from svcready.resilience._sharing._rate_store import SharedRates
from tests.conftest import Faults
from tests.resilience.sharing.servers import (
    address_of,
    fake_server,
    paused,
    slow_proxy,
)
from tests.servers.harness import eventually, free_port
from tests.servers.redis_server import RedisServer, redis_server

ONE = [Want("k", Rate(0.001, 5))]
ADDED_S = 0.06
AT_ONCE_S = 0.01


class SystemClock:
    """Real time, as the stores' connections have it."""

    monotonic = staticmethod(time.monotonic)
    time_ns = staticmethod(time.time_ns)
    sleep = staticmethod(time.sleep)

    async def sleep_async(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


CLOCK = SystemClock()


class TooSlowError(AssertionError):
    """Something took longer than it may."""


def in_time(taken: Taken, at_most_s: float) -> Decision:
    """Return what was decided, if that was soon enough."""
    if taken.took_s >= at_most_s:
        raise TooSlowError(f"{taken.took_s * 1000:.1f} ms")

    return taken.decision


def timed(test: Callable[..., None]) -> Callable[..., None]:
    """Try again where it was too slow: the machine runs other tests beside this one."""

    @functools.wraps(test)
    def tried(**fixtures: Any) -> None:
        for _ in range(4):
            try:
                return test(**fixtures)
            except TooSlowError:
                if "told" in fixtures:
                    fixtures["told"].clear()

        return test(**fixtures)

    return tried


class Taken(NamedTuple):
    """What came of asking, and how long it took."""

    decision: Decision
    took_s: float


class Asker:
    """
    Asks a store, by a thread or on one event loop that goes on.

    Args:
        store: The store.
        on_loop: By which.
    """

    def __init__(self, store: SharedRates, *, on_loop: bool) -> None:
        self.store = store
        self.runner = asyncio.Runner() if on_loop else None

    def ask(self, wants: Sequence[Want] = ONE) -> Taken:
        """Ask once."""
        began_s = time.perf_counter()
        if self.runner is None:
            decision = self.store.take(wants)
        else:
            decision = self.runner.run(self.store.take_async(wants))

        return Taken(decision, time.perf_counter() - began_s)

    def idle(self) -> None:
        """Have the loop go on, as one that serves does between requests."""
        if self.runner is not None:
            self.runner.run(asyncio.sleep(0.01))

    def close(self) -> None:
        """Let go of everything."""

        async def closed() -> None:
            self.store.close()
            await asyncio.sleep(0.01)

        if self.runner is None:
            self.store.close()
        else:
            self.runner.run(closed())
            self.runner.close()


@contextmanager
def asking(
    port: int, *, on_loop: bool, on_failure: str = "local", timeout_s: float = 0.05
) -> Iterator[Asker]:
    """Make a store of a server, with connections ready where there can be any."""
    store = SharedRates(
        address_of(port),
        key_prefix("orders", "production"),
        MemoryStore(CLOCK),
        CLOCK,
        on_failure=on_failure,
        timeout_s=timeout_s,
    )
    store.contact._rng = lambda: 0.0  # asks again after half of each wait
    asker = Asker(store, on_loop=on_loop)
    try:
        yield asker
    finally:
        asker.close()


def warm(asker: Asker) -> None:
    """Ask until the answer is the server's."""

    def answers() -> bool:
        before = asker.store.without()
        asker.ask([Want("warm", Rate(1.0, 10_000))])
        return asker.store.without() == before

    eventually(answers, "Redis to decide")


def flush(server: RedisServer, *also: str) -> None:
    """Empty a server."""
    import redis

    with redis.Redis(port=server.port) as client:
        client.flushall()
        for command in also:
            client.execute_command(command)


both = pytest.mark.parametrize("on_loop", [False, True], ids=["thread", "loop"])
modes = pytest.mark.parametrize("on_failure", ["local", "open", "closed"])


def check_mode(asker: Asker, on_failure: str) -> None:
    """Ask more often than the limit allows, and see that the mode decides."""
    allowed = []
    for _ in range(8):
        decision = in_time(asker.ask(), AT_ONCE_S)
        allowed.append(decision.allowed)
        assert len(decision.left) == 1

    expected = {"local": range(3, 6), "open": [8], "closed": [0]}
    assert sum(allowed) in expected[on_failure]


@both
@modes
@timed
def test_a_killed_server(on_loop: bool, on_failure: str, told: list[object]) -> None:
    """The mode decides from the first request on, and Redis again once it is back."""
    port = free_port()
    with asking(port, on_loop=on_loop, on_failure=on_failure) as asker:
        with redis_server(port=port):
            warm(asker)

        in_time(asker.ask(), ADDED_S)
        check_mode(asker, on_failure)
        assert sum(asker.store.contact.failures().values()) >= 1
        assert asker.store.without()[on_failure] >= 9
        with redis_server(port=port) as server:
            eventually(lambda: asker.store.contact.is_up, "the server to be found")
            warm(asker)
            flush(server)
            assert sum(asker.ask().decision.allowed for _ in range(9)) == 5

    lost, back = [e for e in told if isinstance(e, StoreLost | StoreBack)][:2]
    assert lost == StoreLost("rate_limits", "connection")
    assert isinstance(back, StoreBack)


@both
@modes
@timed
def test_a_paused_server(on_loop: bool, on_failure: str) -> None:
    """One request waits 50 ms for it, those after it nothing; and it is found again."""
    with (
        redis_server() as server,
        asking(server.port, on_loop=on_loop, on_failure=on_failure) as asker,
    ):
        warm(asker)
        with paused(server):
            first = asker.ask()
            in_time(first, ADDED_S)
            assert first.took_s > 0.045
            check_mode(asker, on_failure)
            assert asker.store.contact.failures()["timeout"] >= 1
            time.sleep(0.6)  # half of a second is the first wait: it is asked again
            assert not asker.store.contact.is_up, "it takes connections, and no more"
            in_time(asker.ask(), AT_ONCE_S)

        eventually(lambda: asker.store.contact.is_up, "the server to be found")
        warm(asker)
        flush(server)
        assert sum(asker.ask().decision.allowed for _ in range(9)) == 5


def test_a_blocked_loop_is_no_lost_server(told: list[object]) -> None:
    """Where the application blocks its event loop, Redis still decides."""

    async def blocked(store: SharedRates) -> None:
        for turns in range(4):
            asked = asyncio.ensure_future(store.take_async(ONE))
            for _ in range(turns):
                await asyncio.sleep(0)

            time.sleep(0.08)  # noqa: ASYNC251 - as an application must not
            await asked

    with redis_server() as server, asking(server.port, on_loop=True) as asker:
        warm(asker)
        before = asker.store.without()
        assert asker.runner is not None
        asker.runner.run(blocked(asker.store))
        assert asker.store.without() == before
        assert asker.store.contact.failures().keys() <= {"busy"}

    assert told == []


def test_a_plain_call_never_holds_up_its_event_loop(faults: Faults) -> None:
    """Whatever the server is at, it is not asked, which is told of once."""

    async def called(store: SharedRates) -> list[bool]:
        return [store.take(ONE).allowed for _ in range(8)]

    with redis_server() as server, asking(server.port, on_loop=True) as asker:
        warm(asker)
        assert asker.runner is not None
        with paused(server):
            allowed = asker.runner.run(called(asker.store))

        assert allowed == [True] * 5 + [False] * 3
        assert asker.store.without()["event_loop"] == 8
        assert asker.store.contact.failures() == {}
        assert "a plain function that a coroutine calls" in str(
            faults.claim("limits.event_loop")
        )
        assert asker.ask().decision.left[0].remaining == 4  # of the shared bucket


def test_what_is_given_back_on_a_loop_is_given_to_the_server() -> None:
    """Nobody waits for that: it is sent after."""

    async def returned(store: SharedRates) -> int:
        await store.take_async([ONE[0]._replace(cost=3)])
        assert store.take([ONE[0]._replace(cost=-3)]).allowed
        await asyncio.wait(store._returning)
        return (await store.take_async(ONE)).left[0].remaining

    with redis_server() as server, asking(server.port, on_loop=True) as asker:
        warm(asker)
        assert asker.runner is not None
        assert asker.runner.run(returned(asker.store)) == 4
        assert "event_loop" not in asker.store.without()


def test_a_thread_that_keeps_the_gil_is_no_lost_server(told: list[object]) -> None:
    """Where a C function of the application keeps the GIL, Redis still decides."""
    over = threading.Event()

    def keep() -> None:
        while not over.is_set():
            sum(range(10_000_000))

    with redis_server() as server, asking(server.port, on_loop=False) as asker:
        warm(asker)
        before = asker.store.without()
        keeper = threading.Thread(target=keep)
        keeper.start()
        try:
            for _ in range(5):
                asker.ask()
        finally:
            over.set()
            keeper.join()

        failures = asker.store.contact.failures()
        assert failures.get("timeout", 0) == 0
        assert sum(asker.store.without().values()) == (
            sum(before.values()) + failures.get("busy", 0)
        )

    assert told == []


@both
def test_an_emptied_server(on_loop: bool) -> None:
    """After FLUSHALL and SCRIPT FLUSH limits begin anew, and nothing failed."""
    with (
        redis_server() as server,
        asking(server.port, on_loop=on_loop) as asker,
    ):
        warm(asker)
        for _ in range(2):
            flush(server, "SCRIPT FLUSH")
            assert sum(asker.ask().decision.allowed for _ in range(9)) == 5

        assert asker.store.contact.failures() == {}


@both
@timed
def test_a_restarted_server(on_loop: bool) -> None:
    """A restart between two requests costs at most one of them its answer."""
    port = free_port()
    with asking(port, on_loop=on_loop) as asker:
        with redis_server(port=port):
            warm(asker)

        with redis_server(port=port):
            asker.idle()
            before = sum(asker.store.without().values())
            for _ in range(5):
                in_time(asker.ask(), ADDED_S)

            assert sum(asker.store.without().values()) <= before + 1
            assert asker.store.contact.failures() == {}


@both
@timed
def test_a_slow_server(on_loop: bool) -> None:
    """A server slower than the time-out counts as lost until it is fast again."""
    delay_s = [0.0]
    with (
        redis_server() as server,
        slow_proxy(server.port, delay_s) as port,
        asking(port, on_loop=on_loop) as asker,
    ):
        warm(asker)
        delay_s[0] = 0.2
        in_time(asker.ask(), ADDED_S)
        check_mode(asker, "local")
        time.sleep(1.2)
        assert not asker.store.contact.is_up, "it answers, but not in time"
        delay_s[0] = 0.0
        eventually(lambda: asker.store.contact.is_up, "the server to be fast")
        warm(asker)


@both
@pytest.mark.parametrize(
    "answer",
    [b"\x00" * 100, b"+PONG\r\n" * 2, b":1\r\n", b"-NOSCRIPT no\r\n", b"-OOM no\r\n"],
)
@timed
def test_a_server_that_talks_nonsense(on_loop: bool, answer: bytes) -> None:
    """Whatever it says, the mode decides, in time, and it is counted."""
    with (
        fake_server(answer) as port,
        asking(port, on_loop=on_loop, on_failure="closed") as asker,
    ):
        for _ in range(3):
            assert not in_time(asker.ask(), ADDED_S).allowed

        assert sum(asker.store.contact.failures().values()) >= 1
        assert not asker.store.contact.is_up


@both
@timed
def test_a_server_that_changes_its_mind(on_loop: bool) -> None:
    """One that greets as Redis does and then answers rubbish is no better."""
    with (
        fake_server(b"+PONG\r\n") as port,
        asking(port, on_loop=on_loop) as asker,
    ):
        eventually(lambda: asker.ask() and asker.store.contact.failures(), "a failure")
        assert set(asker.store.contact.failures()) <= {"garbage", "timeout"}
        check_mode(asker, "local")


@both
@timed
def test_a_name_that_nobody_resolves_in_time(
    on_loop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that hangs costs a request no more than the time-out."""
    import socket

    over = threading.Event()

    def hang(*_: object, **__: object) -> None:
        over.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with asking(free_port(), on_loop=on_loop) as asker:
        try:
            in_time(asker.ask(), ADDED_S)
            check_mode(asker, "local")
        finally:
            over.set()
            eventually(lambda: asker.store._pool._failures, "the look-up to end")
            monkeypatch.undo()

        assert asker.store.contact.failures()["resolve"] >= 1


def test_a_fault_of_ours_ends_no_thread(faults: Faults) -> None:
    """The thread that connects goes on after an error that nobody expected."""
    with redis_server() as server, asking(server.port, on_loop=False) as asker:
        pool = asker.store._pool
        dialled, pool._dialled = pool._dialled, None  # type: ignore[assignment]
        assert asker.ask().decision.allowed
        assert isinstance(faults.claim("redis"), TypeError)
        pool._dialled = dialled
        eventually(lambda: asker.store.contact.is_up, "the server to be found")
        warm(asker)


def test_every_loop_and_thread_has_its_own(told: list[object]) -> None:
    """Threads and loops at the same time take of one limit exactly what there is."""
    with redis_server() as server, asking(server.port, on_loop=False) as asker:
        warm(asker)
        flush(server)
        wants = [Want("shared", Rate(0.001, 200))]
        store, allowed = asker.store, []

        def threaded() -> None:
            allowed.append(sum(store.take(wants).allowed for _ in range(60)))

        def looped() -> None:
            async def all_at_once() -> None:
                taken = (store.take_async(wants) for _ in range(60))
                allowed.append(sum(d.allowed for d in await asyncio.gather(*taken)))
                task = store._links.get(asyncio.get_running_loop())
                if task is not None and task.done() and task.exception() is None:
                    task.result().end("connection", "over")  # type: ignore[union-attr]

                await asyncio.sleep(0)

            asyncio.run(all_at_once())

        threads = [threading.Thread(target=target) for target in (threaded, looped) * 4]
        for thread in threads:
            thread.start()

        for thread in threads:
            thread.join(20)

        if not store.without():  # else a thread was held up for more than 50 ms
            assert sum(allowed) == 200

        assert len(allowed) == 8


def test_a_cancelled_request_takes_nobody_elses_answer() -> None:
    """Requests that are given up while they wait leave the others their own replies."""

    async def some_given_up(store: SharedRates) -> list[int]:
        await store.take_async(ONE)
        remaining = []
        for burst in range(10, 60):
            wants = [Want(f"b{burst}", Rate(0.001, burst))]
            given_up = asyncio.create_task(store.take_async([Want("x", Rate(1, 1000))]))
            asked = asyncio.create_task(store.take_async(wants))
            await asyncio.sleep(0)
            given_up.cancel()
            decision = await asked
            remaining.append(burst - decision.left[0].remaining)

        return remaining

    with (
        redis_server() as server,
        asking(server.port, on_loop=True, timeout_s=2.0) as asker,
    ):
        assert asker.runner is not None
        assert asker.runner.run(some_given_up(asker.store)) == [1] * 50
        assert asker.store.contact.failures() == {}


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_forked_child_begins_anew(is_lost: bool) -> None:
    """A child shares the limit, and no connection, with its parent."""
    port = free_port()
    with asking(port, on_loop=False, timeout_s=2.0) as asker:
        with redis_server(port=port) as server:
            warm(asker)
            flush(server)
            asker.ask()
            if not is_lost:
                assert child_allows(asker) == 4
                assert not asker.ask().decision.allowed

        if is_lost:
            asker.ask()
            with redis_server(port=port):
                assert child_allows(asker) == 5


def child_allows(asker: Asker) -> int:
    """Return how often a forked child that waits for Redis was allowed."""
    from svcready._core import fork

    fork.install()
    child = os.fork()
    if child == 0:
        try:
            for _ in range(100):
                if asker.store.contact.is_up:
                    break

                asker.ask()
                time.sleep(0.1)

            os._exit(sum(asker.ask().decision.allowed for _ in range(9)))
        finally:
            os._exit(99)

    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def test_processes_share_one_limit_exactly() -> None:
    """What several processes may do together is the limit, to the request."""
    with redis_server() as server, asking(server.port, on_loop=False) as asker:
        asker.store._timeout_s = 5.0
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                try:
                    store = SharedRates(
                        address_of(server.port),
                        key_prefix("orders", "production"),
                        MemoryStore(CLOCK),
                        CLOCK,
                        timeout_s=5.0,
                    )
                    wants = [Want("all", Rate(0.001, 100))]
                    os._exit(sum(store.take(wants).allowed for _ in range(60)))
                finally:
                    os._exit(255)

            children.append(child)

        codes = [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]
        assert 255 not in codes
        assert sum(codes) == 100
