"""An error object that is raised again is an error of its own to every retry."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import pickle
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import svcready
from svcready.resilience import RetryNested
from svcready.resilience._retrying import _marks, _nested
from svcready.resilience._retrying._marks import MARK, Running
from svcready.resilience._retrying._nested import given_up
from svcready.resilience._retrying._retry import Retry
from svcready.resilience.clients.httpx import PolicyTransport
from svcready.testing import FakeClock
from tests.resilience.peers import forget_declared, retrier_of, run_on

ERROR = httpx.ConnectError("a module's constant")
Leaf = Callable[[], object]
Shape = Callable[[str, Leaf], Callable[[], object]]


@pytest.fixture(autouse=True)
def _new_error() -> Iterator[None]:
    """Begin with an error that was never raised, and tell of nested retries."""
    ERROR.__dict__.clear()
    _nested.begin_telling()
    yield
    _nested.begin_telling(on=False)


class Down:
    """A dependency that raises the same object each time."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self.error = error or ERROR

    def __call__(self) -> object:
        """Fail."""
        self.calls += 1
        raise self.error


def retry(name: str, *, deadline: float | None = None) -> Retry:
    """Declare three attempts of whatever fails, whatever they cost."""
    return svcready.retry(name, on=Exception, budget=False, deadline=deadline)


def plain(name: str, leaf: Leaf) -> Callable[[], object]:
    """Retry a function."""
    return retry(name)(leaf)


def coroutine(name: str, leaf: Leaf) -> Callable[[], object]:
    """Retry a coroutine function."""

    async def call() -> object:
        await asyncio.sleep(0)
        return leaf()

    retried = retry(name)(call)
    return lambda: asyncio.run(retried())


def awaitable(name: str, leaf: Leaf) -> Callable[[], object]:
    """Retry a function that returns an awaitable."""

    async def call() -> object:
        return leaf()

    retried = retry(name)(lambda: call())

    async def main() -> object:
        return await retried()

    return lambda: asyncio.run(main())


def stream(name: str, leaf: Leaf) -> Callable[[], object]:
    """Retry a generator till its first item."""

    def items() -> Iterator[object]:
        yield leaf()

    retried = retry(name)(items)
    return lambda: next(retried())


def async_stream(name: str, leaf: Leaf) -> Callable[[], object]:
    """Retry an async generator till its first item."""

    async def items() -> AsyncIterator[object]:
        yield leaf()

    retried = retry(name)(items)

    async def main() -> object:
        return await anext(retried())

    return lambda: asyncio.run(main())


def bounded(name: str, leaf: Leaf) -> Callable[[], object]:
    """Retry within a deadline."""
    return retry(name, deadline=3_600.0)(leaf)


def whole(name: str, leaf: Leaf) -> Callable[[], object]:
    """Retry in a policy with a short way."""
    policy = svcready.policy(
        name, deadline=60.0, retry=retry(name), breaker=True, timeout=10.0
    )
    return policy(leaf)


def whole_async(name: str, leaf: Leaf) -> Callable[[], object]:
    """Retry in the short way of a coroutine function."""

    async def call() -> object:
        return leaf()

    policy = svcready.policy(name, deadline=60.0, retry=retry(name), breaker=True)
    guarded = policy(call)
    return lambda: asyncio.run(guarded())


def gated(name: str, leaf: Leaf) -> Callable[[], object]:
    """Retry behind a bulkhead."""
    return svcready.policy(name, retry=retry(name), bulkhead=10)(leaf)


def client(name: str, leaf: Leaf) -> Callable[[], object]:
    """Retry in a client."""
    svcready.policy(name, retry=retry(name))

    def answer(_: httpx.Request) -> httpx.Response:
        return leaf()  # type: ignore[return-value]

    transport = PolicyTransport(name, httpx.MockTransport(answer))
    return lambda: httpx.Client(transport=transport).get("http://shop")


def in_thread(name: str, leaf: Leaf) -> Callable[[], object]:
    """Retry in another thread."""
    call = retry(name)(leaf)

    def run() -> object:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(contextvars.copy_context().run, call).result()

    return run


SHAPES: dict[str, Shape] = {
    shape.__name__: shape
    for shape in (
        plain,
        coroutine,
        awaitable,
        stream,
        async_stream,
        bounded,
        whole,
        whole_async,
        gated,
        client,
        in_thread,
    )
}


def fail(call: Callable[[], object], leaf: Down) -> int:
    """Make a call that fails; returns how many attempts it made."""
    before = leaf.calls
    with pytest.raises(type(leaf.error)) as caught:
        call()

    assert caught.value is leaf.error
    return leaf.calls - before


@pytest.mark.parametrize("first", SHAPES)
@pytest.mark.parametrize("then", SHAPES)
def test_what_another_gave_up_on_is_retried(
    first: str, then: str, clock: FakeClock, told: list[object]
) -> None:
    """Whoever gave up on the object before, and wherever: three attempts each."""
    leaf = Down()
    calls = [SHAPES[first]("orders", leaf), SHAPES[then]("payments", leaf)]
    run_on(clock)
    assert [fail(call, leaf) for call in calls * 2] == [3, 3, 3, 3]
    assert not any(isinstance(event, RetryNested) for event in told)


TASKS = {"coroutine", "awaitable", "async_stream", "whole_async"}
NO_LOOP_IN_A_LOOP = [
    (outer, inner)
    for outer in SHAPES
    for inner in SHAPES
    if not {outer, inner} <= TASKS
]


@pytest.mark.parametrize(("outer", "inner"), NO_LOOP_IN_A_LOOP)
def test_retries_inside_retries_stay_one(
    outer: str, inner: str, clock: FakeClock, told: list[object]
) -> None:
    """The object raised again, attempts do not multiply either."""
    leaf = Down()
    alone = plain("others", leaf)
    call = SHAPES[outer]("payments", SHAPES[inner]("orders", leaf))
    run_on(clock)
    assert fail(call, leaf) == 3
    assert fail(alone, leaf) == 3
    is_elsewhere = inner in TASKS | {"in_thread"}
    assert fail(call, leaf) <= (6 if is_elsewhere else 3)  # there not told apart once
    assert [fail(call, leaf), fail(call, leaf)] == [3, 3]
    nested = [event for event in told if isinstance(event, RetryNested)]
    assert nested == [RetryNested("payments", "orders")]


async def awaited(call: Callable[[], Awaitable[object]]) -> object:
    """Await it."""
    return await call()


async def as_task(call: Callable[[], Awaitable[object]]) -> object:
    """Await a task of it."""
    return await asyncio.ensure_future(call())


async def gathered(call: Callable[[], Awaitable[object]]) -> object:
    """Await it beside another."""
    return (await asyncio.gather(call(), asyncio.sleep(0)))[0]


async def waited_for(call: Callable[[], Awaitable[object]]) -> object:
    """Await it for an hour."""
    return await asyncio.wait_for(call(), 3_600)


async def in_another_loop(call: Callable[[], Awaitable[object]]) -> object:
    """Run it in a thread's own loop."""
    return await asyncio.to_thread(lambda: asyncio.run(awaited(call)))


async def hedged(call: Callable[[], Awaitable[object]]) -> object:
    """Run it as an attempt of a hedge."""
    return await svcready.hedge("mirrors", 3_600.0).call(call)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    "boundary", [awaited, as_task, gathered, waited_for, in_another_loop, hedged]
)
def test_tasks_inside_retries_are_inside(
    boundary: Callable[..., Awaitable[object]], clock: FakeClock, *, shared: bool
) -> None:
    """A retry in a task, a thread or a race of its own is still inside."""
    leaf = Down()

    async def attempt() -> object:
        if not shared:
            leaf.error = httpx.ConnectError("new")

        return leaf()

    inner = retry("orders")(attempt)
    call = retry("payments")(lambda: boundary(inner))
    run_on(clock)

    async def main() -> list[int]:
        made = []
        for _ in range(4):
            before = leaf.calls
            with pytest.raises(httpx.ConnectError):
                await call()

            made.append(leaf.calls - before)

        return made

    assert asyncio.run(main()) == [3, 3, 3, 3]


def by_pool(call: Leaf) -> object:
    """Run in a pool's thread, which knows nothing of its caller."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def by_copy(call: Leaf) -> object:
    """Run in a pool's thread with the caller's context."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, call).result()


def by_timeout(call: Leaf) -> object:
    """Run in the thread of a time-out."""
    return svcready.timeout("slow", 3_600.0, threads=True).call(call)


def by_hedge(call: Leaf) -> object:
    """Run in the thread of a hedge."""
    return svcready.hedge("mirrors", 3_600.0, threads=True).call(call)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("boundary", [by_pool, by_copy, by_timeout, by_hedge])
def test_threads_inside_retries_are_inside(
    boundary: Callable[[Leaf], object], clock: FakeClock, *, shared: bool
) -> None:
    """
    As in tasks. Only who hands on no context, and a shared object, isn't told apart.

    That one is retried: attempts are lost to nobody.
    """
    leaf = Down()

    def attempt() -> object:
        if not shared:
            leaf.error = httpx.ConnectError("new")

        return leaf()

    inner = retry("orders")(attempt)
    call = retry("payments")(lambda: boundary(inner))
    run_on(clock)
    made = []
    for _ in range(3):
        before = leaf.calls
        with pytest.raises(httpx.ConnectError):
            call()

        made.append(leaf.calls - before)

    anew = 9 if shared and boundary is by_pool else 3
    assert made == [3, anew, anew]


def test_a_call_beside_this_one_is_another(clock: FakeClock) -> None:
    """What one task gives up on between another's attempts does not end those."""
    leaf = Down()
    between = asyncio.Event()

    async def slow() -> object:
        if leaf.calls:  # its second attempt: the other call runs meanwhile
            between.set()
            await orders_done.wait()

        return leaf()

    async def quick() -> object:
        await between.wait()
        return leaf()

    orders_done = asyncio.Event()
    orders, payments = retry("orders")(quick), retry("payments")(slow)
    run_on(clock)

    async def order() -> None:
        with pytest.raises(httpx.ConnectError):
            await orders()

        orders_done.set()

    async def main() -> None:
        await asyncio.gather(order(), payments(), return_exceptions=True)

    asyncio.run(main())
    assert leaf.calls == 6
    assert retrier_of("payments").counts()["attempts"] == 1


def test_calls_of_one_name_are_beside_each_other(clock: FakeClock) -> None:
    """A mark of its own name, made elsewhere in a first attempt, is another call's."""
    leaf = Down()
    quick_is_over = asyncio.Event()

    async def call(*, is_slow: bool) -> object:
        if is_slow:
            await quick_is_over.wait()

        return leaf()

    payments = retry("payments")(call)
    run_on(clock)

    async def main() -> None:
        slow = asyncio.ensure_future(payments(is_slow=True))
        await asyncio.sleep(0)
        with pytest.raises(httpx.ConnectError):
            await payments(is_slow=False)

        quick_is_over.set()
        with pytest.raises(httpx.ConnectError):
            await slow

    asyncio.run(main())
    assert leaf.calls == 6


def test_threads_beside_each_other_are_others(clock: FakeClock) -> None:
    """Eight threads under one name and one object: all have their attempts."""
    leaf = Down()
    start = threading.Barrier(8)

    def attempt() -> object:
        return leaf()

    calls = [retry(f"name-{number % 2}")(attempt) for number in range(8)]
    run_on(clock)

    def work(call: Leaf) -> int:
        start.wait()
        for _ in range(50):
            with pytest.raises(httpx.ConnectError):
                call()

        return 50

    fail(calls[0], leaf)  # an object that was never marked is believed once
    leaf.calls = 0
    with ThreadPoolExecutor(8) as pool:
        made = sum(pool.map(work, calls))

    assert leaf.calls == made * 3


def test_what_a_future_keeps_is_old(clock: FakeClock) -> None:
    """A failed future gives the same object to all who ask, each with attempts."""
    leaf = Down()
    future: Future[object] = Future()
    with pytest.raises(httpx.ConnectError) as caught:
        retry("orders").call(leaf)

    future.set_exception(caught.value)
    asked = []

    def ask() -> object:
        asked.append(True)
        return future.result()

    call = retry("payments")(ask)
    run_on(clock)
    with pytest.raises(httpx.ConnectError):
        call()

    assert len(asked) == 3


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))],
)
def test_copies_are_as_old(
    copied: Callable[[Exception], Exception], clock: FakeClock
) -> None:
    """A copy of an error that was given up on is no newer than it."""
    error = ConnectionError("kept")
    run_on(clock)
    fail(plain("orders", Down(error)), Down(error))
    leaf = Down(error)
    assert MARK in error.__dict__

    def attempt() -> object:
        leaf.calls += 1
        raise copied(error)

    with pytest.raises(ConnectionError):
        retry("payments").call(attempt)

    assert leaf.calls == 3


def give_up_in_a_process() -> None:
    """Retry something to its end, in a process that knows no test."""
    retry = svcready.retry("orders", on=ConnectionError, attempts=2, wait_base=0.001)
    retry.call(Down(ConnectionError("new")))


def test_another_process_is_inside() -> None:
    """What a child process gave up on during an attempt is not tried again."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        running = Running()
        error = pool.submit(give_up_in_a_process).exception()

    assert error is not None
    assert given_up(error, running) == "orders"
    assert given_up(error, Running()) == ""


@pytest.mark.parametrize("threads", [False, True])
def test_a_hedge_believes_only_its_own(clock: FakeClock, *, threads: bool) -> None:
    """An object that a retry gave up on before starts the next attempt all the same."""
    leaf = Down()
    fail(plain("orders", leaf), leaf)
    leaf.calls = 0

    async def attempt() -> object:
        return leaf()

    hedge = svcready.hedge("mirrors", 3_600.0, on=Exception, threads=threads)
    with pytest.raises(httpx.ConnectError):
        hedge.call(leaf) if threads else asyncio.run(hedge(attempt)())

    assert leaf.calls == 2


def test_a_hedge_believes_a_pools_thread(clock: FakeClock) -> None:
    """What a retry in a thread without a context gave up on starts no other attempt."""
    inner = retry("orders")(new := Down(httpx.ConnectError("new")))

    async def attempt() -> object:
        with ThreadPoolExecutor(1) as pool:
            return await asyncio.wrap_future(pool.submit(inner))

    run_on(clock)
    hedge = svcready.hedge("mirrors", 3_600.0, on=Exception)
    with pytest.raises(httpx.ConnectError):
        asyncio.run(hedge(attempt)())

    assert new.calls == 3


@pytest.mark.parametrize("shape", [plain, coroutine, awaitable, stream, async_stream])
def test_a_fallback_answers_for_its_own_only(shape: Shape, clock: FakeClock) -> None:
    """An error that somebody gave up on before is the caller's, as a new one is."""
    leaf = Down()
    fail(plain("orders", leaf), leaf)
    guarded = svcready.fallback("prices", "later")
    run_on(clock)
    with pytest.raises(httpx.ConnectError):
        guarded.call(leaf)

    assert guarded.call(shape("payments", leaf)) == "later"


def test_a_body_that_was_gone_is_gone_for_that_call(clock: FakeClock) -> None:
    """A later request with a body that can be sent again is retried."""
    leaf = Down(httpx.ReadError("a module's constant"))
    svcready.policy("orders", retry=retry("orders"))
    svcready.policy("payments", retry=retry("payments"))
    run_on(clock)

    def answer(_: httpx.Request) -> httpx.Response:
        return leaf()  # type: ignore[return-value]

    def put(name: str, content: object) -> None:
        transport = PolicyTransport(name, httpx.MockTransport(answer))
        httpx.Client(transport=transport).put("http://shop", content=content)  # type: ignore[arg-type]

    assert fail(lambda: put("orders", iter([b"once"])), leaf) == 1
    assert fail(lambda: put("payments", b"often"), leaf) == 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
def test_any_history_leaves_three_attempts(
    stacks: list[list[str]], asynchronous: bool
) -> None:
    """However retries were stacked on an object before: the innermost has its three."""
    forget_declared()
    leaf = Down()

    async def attempt() -> object:
        return leaf()

    calls = []
    for stack in stacks:
        call: Callable[[], object] = attempt if asynchronous else leaf
        for name in stack:
            call = retry(name)(call)

        calls.append(call)

    run_on(FakeClock())

    async def ask(call: Callable[[], object]) -> None:
        result = call()
        if asynchronous:
            await result  # type: ignore[misc]

    async def main() -> list[int]:
        made = []
        for call in calls:
            before = leaf.calls
            with pytest.raises(httpx.ConnectError):
                await ask(call)

            made.append(leaf.calls - before)

        return made

    assert asyncio.run(main()) == [3] * len(stacks)


def test_a_pickled_error_needs_nothing_of_ours() -> None:
    """Who loads it may have no svcready, or another version of it."""
    error = ConnectionError("new")
    fail(plain("orders", Down(error)), Down(error))
    assert MARK in error.__dict__
    assert b"svcready." not in pickle.dumps(error)


def test_a_task_that_starts_its_successor_keeps_little() -> None:
    """The calls that a context is part of are bounded, however long the chain is."""
    hedge = svcready.hedge("polls", 3_600.0, on=ConnectionError)

    async def main() -> int:
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        tasks = []

        @hedge
        async def poll(left: int) -> None:
            if left:
                tasks.append(asyncio.ensure_future(poll(left - 1)))
            else:
                ended.set_result(len(_marks._AROUND.get()))

        await poll(100)
        return await ended

    assert asyncio.run(main()) <= 16
