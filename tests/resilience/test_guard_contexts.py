"""Blocks that are entered in one context or thread and left in another."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import math
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi import Depends, FastAPI

from svcready._core import fork
from svcready.errors import AttemptTimeout
from svcready.resilience import (
    Bulkhead,
    bulkhead,
    circuit_breaker,
    get_bulkhead,
    policy,
)
from svcready.resilience._admitting._permits import Level
from svcready.resilience._layering import _guard
from svcready.resilience._timing import _deadline
from svcready.testing import FakeClock
from tests.conftest import Faults
from tests.resilience import timed_loop
from tests.resilience.peers import breaker_of, run_on

IDLE = Level(0, 0, 1)


@pytest.fixture
def made() -> Iterator[Bulkhead]:
    """Have room for one, and see that no block is left open."""
    yield bulkhead("payments", max_concurrent=1)
    assert get_bulkhead("payments").level.in_use == 0
    assert not _guard._OPEN


def elsewhere(call: Callable[[], object]) -> object:
    """Call in a thread and a copy of the context, as frameworks do."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, call).result(30)


def test_a_dependency_that_runs_in_threads_is_guarded_and_told(
    made: Bulkhead, faults: Faults
) -> None:
    """Its block holds until it is left, and what it should be is said."""
    breaker = circuit_breaker("payments", consecutive_failures=2)

    def dependency() -> Generator[int, None, None]:
        with made, breaker:
            yield 1

    for outcome in ("answer", "failure", "failure"):
        begun = dependency()
        assert elsewhere(lambda one=begun: next(one)) == 1  # type: ignore[misc]
        assert made.level.in_use == 1
        if outcome == "answer":
            elsewhere(lambda one=begun: next(one, None))  # type: ignore[misc]
        else:
            with pytest.raises(ConnectionError):
                elsewhere(lambda one=begun: one.throw(ConnectionError()))  # type: ignore[misc]

        assert made.level == IDLE
        told = str(faults.claim("resilience.guard"))
        assert "circuit breaker 'payments'" in told
        assert ".guard()" in told
        assert "bulkhead 'payments'" in str(faults.claim("resilience.guard"))

    assert breaker.state == "open"


def test_the_right_spelling_is_not_complained_of(made: Bulkhead) -> None:
    """`.guard()` keeps its state in itself, wherever it is left."""
    breaker = circuit_breaker("payments", consecutive_failures=1)

    def dependency() -> Generator[int, None, None]:
        with made.guard(), breaker.guard():
            yield 1

    begun = dependency()
    elsewhere(lambda: next(begun))
    assert made.level.in_use == 1
    with pytest.raises(ConnectionError):
        elsewhere(lambda: begun.throw(ConnectionError()))

    assert made.level == IDLE
    assert breaker.state == "open"


@pytest.mark.parametrize("spelt", ["with bank", "with bank.guard()", "async with bank"])
def test_fastapi_dependencies(made: Bulkhead, faults: Faults, spelt: str) -> None:
    """Each spelling holds the permit for the request; one of them is complained of."""
    seen: list[int] = []

    def plain() -> Iterator[None]:
        with made if spelt == "with bank" else made.guard():
            yield

    async def on_loop() -> AsyncIterator[None]:
        async with made:
            yield

    app = FastAPI()
    depends = Depends(on_loop if spelt.startswith("async") else plain)

    @app.get("/", dependencies=[depends])
    def read() -> None:
        seen.append(made.level.in_use)

    async def main() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport) as client:
            for _ in range(3):
                assert (await client.get("http://service/")).status_code == 200

    asyncio.run(main())
    assert seen == [1, 1, 1]
    if spelt == "with bank":
        assert ".guard()" in str(faults.claim("resilience.guard"))
        faults.claim("resilience.guard")
        faults.claim("resilience.guard")


def test_another_thread_closes_the_stack(made: Bulkhead, faults: Faults) -> None:
    """The permit is back, and the first thread's next block is its own."""
    both = policy("both", breaker=True, timeout=5)

    def body() -> None:
        stack = contextlib.ExitStack()
        stack.enter_context(made)
        stack.enter_context(both)
        elsewhere(stack.close)
        assert made.level == IDLE
        with made:
            assert made.level.in_use == 1

    contextvars.copy_context().run(body)  # in which the deadline of `both` is left
    assert made.level == IDLE
    for _ in range(2):
        faults.claim("resilience.guard")


def test_as_many_blocks_end_as_were_entered(faults: Faults) -> None:
    """Whichever guard ends in another's place, none is lost and none ends twice."""
    made = bulkhead("many", max_concurrent=5)

    def dependency() -> Generator[int, None, None]:
        with made:
            yield 1

    with made:
        begun = [dependency() for _ in range(3)]
        for one in begun:
            elsewhere(lambda one=one: next(one))  # type: ignore[misc]

        assert made.level.in_use == 4
        for left, one in enumerate(begun):
            elsewhere(lambda one=one: next(one, None))  # type: ignore[misc]
            assert made.level.in_use == 3 - left

        assert made.level.in_use == 1

    assert made.level.in_use == 0
    assert not _guard._OPEN
    for _ in range(3):  # the block that ends where it began is not blamed
        faults.claim("resilience.guard")


def test_each_block_ends_as_itself(clock: FakeClock, faults: Faults) -> None:
    """However many are in flight: what one took is not taken for another's."""
    breaker = circuit_breaker("payments", slow_after=5, min_calls=3, slow_rate=0.9)
    run_on(clock)

    def dependency() -> Generator[int, None, None]:
        with breaker:
            yield 1

    begun = [dependency() for _ in range(3)]
    for one in begun:  # the first takes 9 s, the next 6 s, the last 3 s
        elsewhere(lambda one=one: next(one))  # type: ignore[misc]
        clock.advance(3)

    elsewhere(lambda: next(begun[2], None))
    assert breaker_of("payments").counts() == {"success": 1}
    for one in begun[:2]:
        elsewhere(lambda one=one: next(one, None))  # type: ignore[misc]

    assert breaker_of("payments").counts() == {"success": 1, "slow": 2}
    for _ in range(3):
        faults.claim("resilience.guard")


def test_a_block_of_another_context_is_not_ended(faults: Faults) -> None:
    """Its deadline would stay in force where it was entered, for ever."""
    bank = policy("bank", deadline=30, bulkhead=5)
    bulk = get_bulkhead("bank")

    def dependency() -> Generator[int, None, None]:
        with bank:
            yield 1

    def body() -> None:
        with bank:
            until_s = _deadline.until_s()
            begun = dependency()
            contextvars.copy_context().run(next, begun)
            assert bulk.level.in_use == 1  # nested in the block around it
            contextvars.copy_context().run(next, begun, None)
            assert bulk.level.in_use == 1
            assert _deadline.until_s() == until_s < math.inf

        assert bulk.level.in_use == 0
        assert _deadline.until_s() == math.inf

    contextvars.copy_context().run(body)
    faults.claim("resilience.guard")


def test_a_stack_ends_no_tasks_block(faults: Faults) -> None:
    """The time-out of `async with` is the task's, and no other thread's to stop."""
    bank = policy("bank", timeout=5, bulkhead=5)

    async def main() -> None:
        async with bank:
            stack = contextlib.ExitStack()
            await asyncio.to_thread(stack.enter_context, bank)
            await asyncio.to_thread(stack.close)
            faults.claim("resilience.guard")
            assert get_bulkhead("bank").level.in_use == 1
            assert [awaits for _, (*_, awaits) in _guard._OPEN.values()] == [True]

        assert not _guard._OPEN
        assert get_bulkhead("bank").level.in_use == 0

    asyncio.run(main())


def test_stacks_and_turns_in_one_context_are_nobodys_fault(made: Bulkhead) -> None:
    """A stack's blocks are the context's last; generators know their own."""
    room = bulkhead("room", max_concurrent=9)

    def turns() -> Generator[int, None, None]:
        with room:
            yield 1

    with contextlib.ExitStack() as stack:
        stack.enter_context(room)
        first, second = turns(), turns()
        next(first)
        next(second)
        next(first, None)
        stack.enter_context(made)
        next(second, None)
        assert made.level.in_use == 1

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack, room:
            await stack.enter_async_context(made)
            stack.enter_context(room)

    asyncio.run(main())
    assert room.level == Level(0, 0, 9)


def test_a_task_that_is_lost_is_left(made: Bulkhead) -> None:
    """The collector closes it in a context of its own, and nobody is blamed."""

    async def hang() -> None:
        async with made:
            await asyncio.get_running_loop().create_future()

    async def main() -> None:
        coroutine = hang()
        contextvars.copy_context().run(coroutine.send, None)
        assert made.level.in_use == 1
        coroutine.close()
        assert made.level == IDLE

    asyncio.run(main())
    gc.collect()


def test_a_forked_child_leaves_its_own_block(made: Bulkhead) -> None:
    """What the child's hook does: other threads' are nobody's, and it is not blamed."""
    with made:
        fork._run_resets()
        assert not _guard._OPEN


FORKED = """
import contextvars, os, signal, threading
from svcready._core import fork
from svcready.resilience import bulkhead

fork.install()
bank = bulkhead("bank", max_concurrent=9)
permits = bank.core._permits
contextvars.Context().run(bank.__enter__)  # as a dependency's: nothing else holds it
held, over = threading.Event(), threading.Event()

def hold():
    with permits.lock:
        held.set()
        over.wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if not child:
    signal.alarm(20)
    with bank:
        assert bank.level.in_use == 1, bank.level

    os._exit(bank.level.in_use)

print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
over.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_comes_up_whatever_was_open_and_locked() -> None:
    """Blocks of threads that it lacks are not left: their locks may be held."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("0\n", "")


def test_blocks_that_end_elsewhere_leave_nothing(made: Bulkhead) -> None:
    """A consumer that breaks off generators with blocks keeps none of their guards."""

    async def items() -> AsyncGenerator[int, None]:
        async with made:
            yield 1

    async def main() -> None:
        for _ in range(50):
            async for _ in items():
                break

            await asyncio.sleep(0)  # in which the loop closes it, by another task
            await asyncio.sleep(0)

        gc.collect()
        alive = sum(isinstance(one, _guard.Guard) for one in gc.get_objects())
        assert alive <= 2

    contextvars.copy_context().run(asyncio.run, main())


def test_who_enters_for_others_ends_their_own_blocks(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A wrapper's functions are gone when its block ends, and ids are used again.

    The blocks of two tasks, each left by a function whose id the other one's had that
    entered, end as themselves: with their own time-outs, and without a word.
    """
    bounded = policy("payments", timeout=5, bulkhead=2)
    run_on(clock)
    ids = {"_slow_in": 1, "_quick_in": 2, "_slow_out": 2, "_quick_out": 1}
    monkeypatch.setattr(
        _guard, "id", lambda frame: ids[frame.f_code.co_name], raising=False
    )

    async def _slow_in() -> None:
        await bounded.__aenter__()

    async def _slow_out(error: BaseException) -> None:
        await bounded.__aexit__(type(error), error, None)

    async def _quick_in() -> None:
        await bounded.__aenter__()

    async def _quick_out() -> None:
        await bounded.__aexit__(None, None, None)

    async def slow() -> None:
        await _slow_in()
        try:
            await asyncio.sleep(50)
        except asyncio.CancelledError as error:
            await _slow_out(error)

    async def quick() -> None:
        await _quick_in()
        await asyncio.sleep(1)
        await _quick_out()
        await asyncio.sleep(50)

    async def main() -> None:
        begun = asyncio.create_task(slow()), asyncio.create_task(quick())
        ended = await asyncio.gather(*begun, return_exceptions=True)
        assert [type(each) for each in ended] == [AttemptTimeout, type(None)]

    timed_loop.run(clock, main())
    assert get_bulkhead("payments").level.in_use == 0
    assert not _guard._OPEN
