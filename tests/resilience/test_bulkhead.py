"""Bulkheads: how many at once, who is next, and that no permit is ever lost."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import threading
from typing import TYPE_CHECKING

import pytest

from svcready._core import fork
from svcready._core.guard import set_reporter
from svcready.errors import (
    BulkheadFull,
    CircuitOpen,
    DeadlineSpent,
    DeclarationError,
)
from svcready.resilience import (
    Waited,
    bulkhead,
    get_breaker,
    get_bulkhead,
    policy,
)
from svcready.resilience._admitting._compartment import Compartment
from svcready.resilience._admitting._config_gates import BulkheadConfig
from svcready.resilience._admitting._permits import Level
from svcready.resilience._layering._guard import Guard
from svcready.resilience._pillar import ResiliencePillar, apply
from svcready.resilience._pillar_model import PolicyLevel
from svcready.resilience._timing import _deadline
from svcready.testing import FakeClock
from tests.resilience.loops import FakeLoop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator

    from svcready.resilience._admitting._bulkhead import Bulkhead
    from svcready.resilience._admitting._waiters import ThreadWaiter
    from svcready.resilience._layering._gate import Gate

FOREVER_S = 60.0


@pytest.fixture(params=[True, False], ids=["gil", "no gil"], autouse=True)
def _build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test holds with and without permits that go without the lock."""
    monkeypatch.setattr(
        "svcready.resilience._admitting._compartment.can_count_unlocked",
        lambda: request.param,
    )


@pytest.fixture
def loop(clock: FakeClock) -> Iterator[FakeLoop]:
    """An event loop on the test's clock."""
    made = FakeLoop(clock)
    yield made
    for task in asyncio.all_tasks(made):
        task.cancel()

    made.turn()
    made.close()


def in_thread(function: Callable[[], object]) -> threading.Thread:
    """Start a thread that a failed test need not wait for."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def join(*threads: threading.Thread) -> None:
    """Wait until they are over."""
    for thread in threads:
        thread.join(FOREVER_S)
        assert not thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    """Give other threads their turn until *condition* holds."""
    pause = threading.Event()
    for _ in range(20_000):
        if condition():
            return

        pause.wait(0.0005)

    raise AssertionError


class Holder:
    """A thread that is in a bulkhead until it is told to leave."""

    def __init__(self, made: Bulkhead) -> None:
        self._inside, self._leave = threading.Event(), threading.Event()
        self.thread = in_thread(lambda: self._hold(made))
        assert self._inside.wait(FOREVER_S)

    def _hold(self, made: Bulkhead) -> None:
        with made.guard():
            self._inside.set()
            assert self._leave.wait(FOREVER_S)

    def leave(self) -> None:
        """Leave."""
        self._leave.set()
        join(self.thread)


def use(made: Bulkhead, clock: FakeClock) -> None:
    """Put a bulkhead on the test's clock."""
    made.core.use(made.core.config, clock)


def test_only_so_many_are_in_it() -> None:
    """The next one is refused at once, with name and reason, until one has left."""
    made = bulkhead("payments", max_concurrent=2)
    first, second = Holder(made), Holder(made)
    with pytest.raises(BulkheadFull) as refused:
        made.call(str)

    assert (refused.value.name, refused.value.reason) == ("payments", "full")
    assert refused.value.retry_after is None
    assert made.level == Level(in_use=2, waiting=0, limit=2)
    first.leave()
    assert made.call(str) == ""
    second.leave()
    assert made.level.in_use == 0
    assert made.core.counts() == {"admitted": 3, "rejected": 1}


def test_an_error_gives_the_permit_back() -> None:
    """Whatever a call raises, it is over."""
    made = bulkhead("payments", max_concurrent=1)
    for error in (ValueError, KeyboardInterrupt, asyncio.CancelledError):
        with pytest.raises(error):
            made.call(fail_with(error))

    assert made.level.in_use == 0


def fail_with(error: type[BaseException]) -> Callable[[], object]:
    """Return a function that raises."""

    def fail() -> object:
        raise error

    return fail


def test_it_is_one_for_all_functions_of_its_name() -> None:
    """Two functions share the permits of the name that both are decorated with."""
    one = bulkhead("payments", max_concurrent=1)
    two = bulkhead("payments", max_concurrent=1)
    holder = Holder(one)
    with pytest.raises(BulkheadFull):
        two(lambda: None)()

    holder.leave()
    assert get_bulkhead("payments").level.limit == 1


def test_threads_wait_in_line(told: list[object]) -> None:
    """A permit goes to who waits longest, and only as many wait as may."""
    made = bulkhead("payments", max_concurrent=1, max_queue=3, max_wait=FOREVER_S)
    holder = Holder(made)
    order: list[int] = []
    threads = []
    for number in range(3):
        threads.append(in_thread(lambda n=number: made.call(order.append, n)))  # type: ignore[misc]
        until(lambda n=number: made.level.waiting == n + 1)  # type: ignore[misc]

    with pytest.raises(BulkheadFull) as refused:
        made.call(str)

    assert refused.value.reason == "full"
    holder.leave()
    join(*threads)
    assert order == [0, 1, 2]
    assert made.level == Level(0, 0, 1)
    assert made.core.counts() == {"admitted": 1, "rejected": 1, "waited": 3}
    assert [
        (event.kind, event.name) for event in told if isinstance(event, Waited)
    ] == [("bulkhead", "payments")] * 3


def test_nobody_passes_who_waits(loop: FakeLoop, clock: FakeClock) -> None:
    """Who comes when a permit is given back is behind who waited for it."""
    made = bulkhead("payments", max_concurrent=1, max_queue=9, max_wait=5)
    use(made, clock)
    order: list[str] = []

    async def visit(name: str, again: bool = False) -> None:
        async with made.guard():
            order.append(name)
            await asyncio.sleep(1)

        if again:
            await visit(f"{name} again")

    async def main() -> None:
        await asyncio.gather(visit("a", again=True), visit("b"), visit("c"))

    loop.run_until_complete(main())
    assert order == ["a", "b", "c", "a again"]


def test_a_wait_ends_after_its_time(loop: FakeLoop, clock: FakeClock) -> None:
    """A task waits no longer than it may, and is told so."""
    made = bulkhead("payments", max_concurrent=1, max_queue=1, max_wait=2.5)
    use(made, clock)
    holder = Holder(made)
    before_s = clock.monotonic()
    with pytest.raises(BulkheadFull) as refused:
        loop.run_until_complete(made.call(asyncio.sleep, 0))

    assert refused.value.reason == "waited"
    assert clock.monotonic() - before_s == pytest.approx(2.5)
    assert made.level == Level(1, 0, 1)
    holder.leave()
    assert made.core.counts() == {"admitted": 1, "rejected": 1}


def test_no_wait_passes_the_deadline(loop: FakeLoop, clock: FakeClock) -> None:
    """A task's wait ends with the work's deadline, and a spent one waits not at all."""
    made = bulkhead("payments", max_concurrent=1, max_queue=1, max_wait=9)
    use(made, clock)
    holder = Holder(made)
    before_s = clock.monotonic()
    token = _deadline.put(before_s + 2.0)
    try:
        with pytest.raises(DeadlineSpent) as spent:
            loop.run_until_complete(made.call(asyncio.sleep, 0))

        assert spent.value.name == "payments"
        assert clock.monotonic() - before_s == pytest.approx(2.0)
        with pytest.raises(BulkheadFull):
            loop.run_until_complete(made.call(asyncio.sleep, 0))
    finally:
        _deadline.lift(token)

    assert clock.monotonic() - before_s == pytest.approx(2.0)
    holder.leave()


@pytest.mark.parametrize(
    ("left_s", "error", "waits_s"),
    [
        (2.0, DeadlineSpent, [2.0]),
        (99.0, BulkheadFull, [9.0]),
        (-1.0, BulkheadFull, []),
    ],
)
def test_no_threads_wait_passes_the_deadline(
    clock: FakeClock, left_s: float, error: type[Exception], waits_s: list[float]
) -> None:
    """A thread waits for the shorter of what it may and what is left."""
    waits: list[float] = []

    def wait(waiter: ThreadWaiter, seconds: float) -> None:
        del waiter
        waits.append(seconds)
        clock.advance(seconds)

    core = Compartment("payments", BulkheadConfig(1, 1, 9.0), clock=clock, wait=wait)
    token = in_another_thread(core.enter)
    put = _deadline.put(clock.monotonic() + left_s)
    try:
        with pytest.raises(error):
            core.enter()
    finally:
        _deadline.lift(put)

    assert waits == pytest.approx(waits_s)
    core.leave(token, None, 0.0)
    assert core.level() == Level(0, 0, 1)


def in_another_thread(function: Callable[[], object]) -> object:
    """Return what *function* returns to another thread."""
    results: list[object] = []
    join(in_thread(lambda: results.append(function())))
    return results[0]


def test_who_is_in_enters_again() -> None:
    """A thread enters again with the permit that it has, and leaves with the last."""
    made = bulkhead("payments", max_concurrent=1)

    @made
    def outer(depth: int) -> int:
        assert made.level.in_use == 1
        return depth if depth == 3 else outer(depth + 1)

    assert outer(0) == 3
    assert made.level.in_use == 0


def test_a_task_enters_again_and_its_children_do_not() -> None:
    """A permit is the task's: what it hands to tasks or threads needs another one."""
    made = bulkhead("payments", max_concurrent=1)

    @made
    async def outer() -> None:
        await inner()
        plain()
        with pytest.raises(BulkheadFull):
            await asyncio.create_task(inner())

        with pytest.raises(BulkheadFull):
            await asyncio.to_thread(plain)

        assert made.level.in_use == 1

    @made
    async def inner() -> None:
        assert made.level.in_use == 1

    @made
    def plain() -> None:
        assert made.level.in_use == 1

    asyncio.run(outer())
    assert made.level.in_use == 0


def test_the_last_to_leave_gives_it_back() -> None:
    """A stream that is open after the call that opened it keeps the permit."""
    made = bulkhead("payments", max_concurrent=1)

    @made
    def rows() -> Generator[int, None, None]:
        yield 1
        yield 2

    @made
    def begin() -> Generator[int, None, None]:
        stream = rows()
        next(stream)
        return stream

    stream = begin()
    assert made.level.in_use == 1
    join(in_thread(stream.close))  # left by another thread
    assert made.level.in_use == 0


def test_a_stream_is_in_it_until_it_is_closed() -> None:
    """A generator holds from its first item to its end, its close, or its loss."""
    made = bulkhead("payments", max_concurrent=1)

    @made
    def rows() -> Generator[int, None, None]:
        yield 1
        yield 2

    streams = [rows() for _ in range(3)]
    assert made.level.in_use == 0
    ends: list[Callable[[], object]] = [
        lambda: list(streams[-1]),
        lambda: streams[-1].close(),
        lambda: None,
    ]
    for end in ends:
        next(streams[-1])
        assert made.level.in_use == 1
        end()
        streams.pop()
        assert made.level.in_use == 0


def test_an_async_stream_is_in_it_until_it_is_closed() -> None:
    """An async generator holds from its first item to its end or its close."""
    made = bulkhead("payments", max_concurrent=1)

    @made
    async def rows() -> AsyncGenerator[int, None]:
        yield 1
        yield 2

    async def main() -> None:
        async for _ in rows():
            assert made.level.in_use == 1

        assert made.level.in_use == 0
        stream = rows()
        await anext(stream)
        assert made.level.in_use == 1
        await stream.aclose()
        assert made.level.in_use == 0

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_what_nobody_awaits_is_given_back() -> None:
    """A plain function's awaitable that is dropped, or cancelled early, keeps none."""
    made = bulkhead("payments", max_concurrent=1)
    call = made(lambda: asyncio.sleep(0))

    async def main() -> None:
        promise = call()
        assert made.level.in_use == 1
        del promise
        assert made.level.in_use == 0
        task = asyncio.ensure_future(call())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        del task
        await asyncio.sleep(0)  # the loop lets go of it
        gc.collect()
        assert made.level.in_use == 0

    asyncio.run(main())


def test_a_guard_that_is_dropped_is_left() -> None:
    """A block that was entered by hand and forgotten keeps no permit."""
    made = bulkhead("payments", max_concurrent=1)
    guard = made.guard().__enter__()
    assert made.level.in_use == 1
    del guard
    gc.collect()
    assert made.level.in_use == 0


def test_a_gate_that_fails_keeps_no_other_from_being_left() -> None:
    """A fault in one gate's leave is reported, and the permit is given back."""
    made = bulkhead("payments", max_concurrent=1)

    class Broken:
        name = "broken"
        clock = FakeClock()

        def peek(self) -> None: ...

        def enter(self) -> None: ...

        async def enter_async(self) -> None: ...

        def leave(self, *args: object) -> None:
            del args
            raise RuntimeError

        def renew(self, token: object) -> None: ...

    faults: list[str] = []
    before = set_reporter(lambda component, error: faults.append(component))
    try:
        gate: Gate = Broken()
        with Guard(made.core, gate):
            assert made.level.in_use == 1
    finally:
        set_reporter(before)

    assert faults == ["resilience.gate"]
    assert made.level.in_use == 0


def test_a_block_is_guarded() -> None:
    """`with` and `async with`, of the bulkhead itself or of its policy."""
    made = bulkhead("payments", max_concurrent=1)
    both = policy("orders", bulkhead=1, breaker=True)
    with made, both:
        assert made.level.in_use == get_bulkhead("orders").level.in_use == 1

    async def main() -> None:
        async with made, both:
            assert made.level.in_use == get_bulkhead("orders").level.in_use == 1

    asyncio.run(main())
    assert made.level.in_use == get_bulkhead("orders").level.in_use == 0


def test_a_plain_function_never_blocks_the_loop() -> None:
    """On a loop's thread it takes a free permit, and is refused without one."""
    made = bulkhead("payments", max_concurrent=1, max_queue=5, max_wait=FOREVER_S)
    call = made(lambda: "answer")

    async def main() -> None:
        assert call() == "answer"
        holder = Holder(made)
        with pytest.raises(BulkheadFull) as refused:
            call()

        assert refused.value.reason == "loop"  # not `full`: there is a queue
        holder.leave()

    asyncio.run(main())


def test_cancelled_while_it_waits_it_leaves_the_line(
    loop: FakeLoop, clock: FakeClock
) -> None:
    """Who is cancelled in the queue is no longer in it, and the next one is next."""
    made = bulkhead("payments", max_concurrent=1, max_queue=5, max_wait=5)
    use(made, clock)
    done: list[int] = []

    async def visit(number: int) -> None:
        async with made.guard():
            done.append(number)

    holder = Holder(made)
    tasks = [loop.create_task(visit(number)) for number in range(3)]
    loop.turn()
    tasks[0].cancel()
    loop.turn()
    assert made.level.waiting == 2
    holder.leave()
    loop.turn()
    assert done == [1, 2]
    assert made.level == Level(0, 0, 1)
    assert made.core.counts()["cancelled"] == 1


def test_cancelled_after_the_grant_it_passes_the_permit_on(
    loop: FakeLoop, clock: FakeClock
) -> None:
    """Granted and cancelled before it ran again, a task's permit is the next one's."""
    made = bulkhead("payments", max_concurrent=1, max_queue=5, max_wait=5)
    use(made, clock)
    done: list[int] = []

    async def visit(number: int) -> None:
        async with made.guard():
            done.append(number)

    holder = Holder(made)
    tasks = [loop.create_task(visit(number)) for number in range(2)]
    loop.turn()
    holder.leave()  # grants to the first, which runs only when the loop does
    assert made.level == Level(1, 1, 1)
    tasks[0].cancel()
    loop.turn(8)
    assert done == [1]
    assert tasks[0].cancelled()
    assert made.level == Level(0, 0, 1)


@pytest.mark.parametrize("granted", [False, True])
def test_a_loop_that_is_closed_keeps_no_permit(granted: bool) -> None:
    """Tasks that wait on a closed loop lose their place, and what they were granted."""
    made = bulkhead("payments", max_concurrent=1, max_queue=1, max_wait=FOREVER_S)
    loop = asyncio.new_event_loop()

    async def visit() -> None:
        async with made.guard():
            raise AssertionError

    holder = Holder(made)
    task = loop.create_task(visit())
    loop.run_until_complete(asyncio.sleep(0))
    assert made.level.waiting == 1
    if granted:
        holder.leave()
        assert made.level == Level(1, 0, 1)

    loop.close()
    if not granted:
        holder.leave()

    assert made.call(str) == ""  # although somebody still keeps the task
    assert made.level == Level(0, 0, 1)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task
    gc.collect()
    assert made.level == Level(0, 0, 1)


def test_who_is_behind_a_closed_loop_is_not_kept_waiting() -> None:
    """What a task of a closed loop can't take goes to the next in line at once."""
    made = bulkhead("payments", max_concurrent=1, max_queue=2, max_wait=FOREVER_S)
    loop = asyncio.new_event_loop()
    holder = Holder(made)
    task = loop.create_task(made.call(asyncio.sleep, 0))
    loop.run_until_complete(asyncio.sleep(0))
    thread = in_thread(lambda: made.call(str))
    until(lambda: made.level.waiting == 2)
    loop.close()
    holder.leave()
    join(thread)
    assert made.level == Level(0, 0, 1)
    task._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("granted", [False, True])
def test_a_thread_that_is_interrupted_keeps_no_permit(
    clock: FakeClock, granted: bool
) -> None:
    """Interrupted while it waits, even after the grant, a thread leaves nothing."""

    def wait(waiter: ThreadWaiter, seconds: float) -> None:
        del waiter, seconds
        if granted:
            core.leave(token, None, 0.0)

        raise KeyboardInterrupt

    core = Compartment("payments", BulkheadConfig(1, 1, 9.0), clock=clock, wait=wait)
    token = in_another_thread(core.enter)
    with pytest.raises(KeyboardInterrupt):
        core.enter()

    assert core.level() == Level(0 if granted else 1, 0, 1)
    core.leave(token, None, 0.0)
    assert core.level() == Level(0, 0, 1)


def test_growing_wakes_who_waits(clock: FakeClock) -> None:
    """An operator's larger limit admits who waits, at once."""
    made = bulkhead("payments", max_concurrent=1, max_queue=3, max_wait=FOREVER_S)
    holders = [Holder(made)]
    over = threading.Event()
    threads = [in_thread(lambda: made.call(over.wait, FOREVER_S)) for _ in range(3)]
    until(lambda: made.level.waiting == 3)
    assert apply("payments", {"bulkhead_max_concurrent": 3}) == ()
    until(lambda: made.level == Level(3, 1, 3))
    holders[0].leave()
    until(lambda: made.level == Level(3, 0, 3))
    over.set()
    join(*threads)
    assert made.level == Level(0, 0, 3)
    del clock


def test_shrinking_drains() -> None:
    """A smaller limit takes no permit away, and holds when enough have left."""
    made = bulkhead("payments", max_concurrent=3)
    holders = [Holder(made) for _ in range(3)]
    apply("payments", {"bulkhead_max_concurrent": "1"})
    assert made.level == Level(3, 0, 1)
    for still_in in (2, 1):
        holders.pop().leave()
        assert made.level.in_use == still_in
        with pytest.raises(BulkheadFull):
            made.call(str)

    holders.pop().leave()
    assert made.call(str) == ""
    apply("payments", {})
    assert made.level == Level(0, 0, 3)


def test_observed_nobody_is_refused() -> None:
    """In observe mode who finds no permit is counted and goes on, and is seen."""
    made = bulkhead("payments", max_concurrent=1, max_queue=1, max_wait=FOREVER_S)
    apply("payments", {"bulkhead_mode": "observe"})
    holders = [Holder(made) for _ in range(3)]
    assert made.level == Level(3, 0, 1)
    assert made.core.counts() == {"admitted": 1, "observed": 2}
    apply("payments", {})
    holders.pop().leave()
    assert made.level == Level(2, 0, 1)
    for holder in holders:
        holder.leave()

    assert made.level == Level(0, 0, 1)
    assert made.call(str) == ""


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_who_waits_goes_on_when_it_is_switched_off(mode: str) -> None:
    """Another mode lets everybody in who waits, and counts what it must."""
    made = bulkhead("payments", max_concurrent=1, max_queue=1, max_wait=FOREVER_S)
    holder = Holder(made)
    thread = in_thread(lambda: made.call(str))
    until(lambda: made.level.waiting == 1)
    apply("payments", {"mode": mode})
    join(thread)
    before = made.core.counts()
    assert made.call(str) == ""
    if mode == "off":
        assert made.core.counts() == before
        assert made.level == Level(1, 0, 1)

    apply("payments", {})
    no_time = _deadline.put(0.0)
    with pytest.raises(BulkheadFull):
        made.call(str)

    _deadline.lift(no_time)
    holder.leave()
    assert made.level == Level(0, 0, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_all_permits() -> None:
    """In a child nothing is held, and what its parent gave back there is nothing."""
    made = bulkhead("payments", max_concurrent=2)
    other = Holder(made)
    guard = made.guard()
    guard.__enter__()
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            fork._run_resets()
            told = [made.level.in_use]
            with made.guard():
                told.append(made.level.in_use)
                guard.__exit__(None, None, None)
                told.append(made.level.in_use)

            told += [made.level.in_use, made.core.counts()["admitted"]]
            os.write(writes, bytes(told))

        os._exit(0)

    os.waitpid(child, 0)
    assert list(os.read(reads, 64)) == [0, 1, 1, 0, 1]
    assert made.level.in_use == 2
    guard.__exit__(None, None, None)
    other.leave()
    assert made.level.in_use == 0
    os.close(reads)
    os.close(writes)


def test_the_limit_is_one_for_threads_and_loops() -> None:
    """Eight threads and two loops are never more than the limit in the dependency."""
    made = bulkhead("payments", max_concurrent=3, max_queue=1000, max_wait=FOREVER_S)
    inside, most, lock = 0, 0, threading.Lock()

    def step(by: int) -> None:
        nonlocal inside, most
        with lock:
            inside += by
            most = max(most, inside)

    def call(number: int) -> None:
        del number
        with made.guard():
            step(1)
            pause.wait(0.0)
            step(-1)

    async def call_async() -> None:
        async with made.guard():
            step(1)
            await asyncio.sleep(0)
            step(-1)

    async def calls() -> None:
        await asyncio.gather(*(call_async() for _ in range(100)))

    pause = threading.Event()
    threads = [in_thread(lambda: [*map(call, range(100))]) for _ in range(8)]
    threads += [in_thread(lambda: asyncio.run(calls())) for _ in range(2)]
    join(*threads)
    assert most == 3
    assert made.level == Level(0, 0, 3)
    counts = made.core.counts()
    assert counts["admitted"] + counts.get("waited", 0) == 1000


def test_ten_thousand_cancels_lose_nothing(loop: FakeLoop, clock: FakeClock) -> None:
    """However and whenever tasks are cancelled, in the end nobody is in it."""
    made = bulkhead("payments", max_concurrent=5, max_queue=500, max_wait=3)
    use(made, clock)
    rng = random.Random(7)
    inside = most = 0

    async def visit() -> None:
        nonlocal inside, most
        async with made.guard():
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(rng.random())
            finally:
                inside -= 1

    async def main() -> int:
        cancelled = 0
        tasks: list[asyncio.Task[None]] = []
        while cancelled < 10_000:
            tasks += [asyncio.create_task(visit()) for _ in range(rng.randrange(40))]
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0 if rng.random() < 0.7 else rng.random())

            for task in rng.sample(tasks, min(len(tasks), 35)):
                cancelled += task.cancel()

            tasks = [task for task in tasks if not task.done()]

        await asyncio.gather(*tasks, return_exceptions=True)
        return cancelled

    assert loop.run_until_complete(main()) >= 10_000
    assert most == 5
    assert made.level == Level(0, 0, 5)


def test_an_open_breaker_refuses_before_anybody_queues() -> None:
    """Who would meet an open breaker takes no permit and no place in the queue."""
    both = policy("payments", bulkhead=1, breaker=True)
    get_breaker("payments").force_open()
    with pytest.raises(CircuitOpen):
        both.call(str)

    assert get_bulkhead("payments").core.counts() == {"admitted": 0}


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_concurrent": 0},
        {"max_concurrent": 1.5},
        {"max_concurrent": True},
        {"max_concurrent": 1, "max_queue": -1},
        {"max_concurrent": 1, "max_queue": 1},
        {"max_concurrent": 1, "max_wait": 1},
        {"max_concurrent": 1, "max_queue": 1, "max_wait": -1},
        {"max_concurrent": 1, "max_queue": 1, "max_wait": "soon"},
    ],
)
def test_wrong_numbers_are_refused(arguments: dict[str, object]) -> None:
    """What can't be meant raises where it is written."""
    with pytest.raises(DeclarationError, match="max_"):
        bulkhead("payments", **arguments)  # type: ignore[call-overload]


@pytest.mark.parametrize("value", [0, -1, 1.5, "10", True, None])
def test_the_short_spelling_is_a_number(value: object) -> None:
    """`policy(bulkhead=10)` is ten at once; what is no number of calls is refused."""
    policy("orders", bulkhead=10)
    assert get_bulkhead("orders").core.config == BulkheadConfig(10)
    if value is None:
        policy("payments", bulkhead=None)
        with pytest.raises(KeyError):
            get_bulkhead("payments")
    else:
        with pytest.raises(DeclarationError, match=r"bulkhead|max_concurrent"):
            policy("payments", bulkhead=value)  # type: ignore[arg-type]


def test_another_meaning_of_a_name_is_refused() -> None:
    """A name has one limit; both places are shown."""
    bulkhead("payments", max_concurrent=1)
    with pytest.raises(DeclarationError, match=r"test_bulkhead\.py.*test_bulkhead\.py"):
        bulkhead("payments", max_concurrent=2)


def test_a_queue_that_an_operator_takes_away_takes_the_wait_along() -> None:
    """Half of queue and wait means nothing: both are left, and the operator is told."""
    made = bulkhead("payments", max_concurrent=1, max_queue=2, max_wait=3)
    (problem,) = apply("payments", {"bulkhead_max_queue": 0})
    assert "bulkhead_max_wait_s" in problem
    assert made.core.config == BulkheadConfig(1, 2, 3.0)
    both = {"bulkhead_max_queue": 0, "bulkhead_max_wait_s": 0}
    assert apply("payments", both) == ()
    assert made.core.config == BulkheadConfig(1)


def test_the_pillar_shows_how_full_it_is(clock: FakeClock) -> None:
    """What is in it and waits is there for gauges, by kind and name."""
    made = bulkhead("payments", max_concurrent=4)
    pillar = ResiliencePillar(enabled=True, clock=clock, policy_values=lambda _: {})
    with made:
        assert pillar.levels() == [PolicyLevel("bulkhead", "payments", 1, 0, 4)]
