"""Blocks that are entered in one context or thread and left in another."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi import Depends, FastAPI

from svcready._core import fork
from svcready.resilience import (
    Bulkhead,
    bulkhead,
    circuit_breaker,
    get_bulkhead,
    policy,
)
from svcready.resilience._admitting._permits import Level
from svcready.resilience._layering._guard import _OPEN
from tests.conftest import Faults

IDLE = Level(0, 0, 1)


@pytest.fixture
def made() -> Iterator[Bulkhead]:
    """Have room for one, and see that no block is left open."""
    yield bulkhead("payments", max_concurrent=1)
    assert get_bulkhead("payments").level.in_use == 0
    assert not _OPEN


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
    assert not _OPEN
    for _ in range(4):
        faults.claim("resilience.guard")


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


def test_a_forked_child_has_no_open_blocks(made: Bulkhead, faults: Faults) -> None:
    """What the child's hook does: those of threads it lacks are forgotten."""
    with made:
        fork._run_resets()
        assert not _OPEN

    faults.claim("resilience.guard")
