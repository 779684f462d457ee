"""The circuit breaker under the situations that break others."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest

from svcready._core.events import subscribe
from svcready.errors import BulkheadFull, CircuitOpen, DeadlineExceeded
from svcready.resilience import (
    BreakerMoved,
    BreakerStarved,
    CircuitBreaker,
    circuit_breaker,
    get_breaker,
    retry,
)
from svcready.testing import FakeClock
from tests.conftest import Faults
from tests.resilience.peers import Dependency, breaker_of, run_on


def tripped(clock: FakeClock, name: str = "payments") -> CircuitBreaker:
    """Declare a breaker and open it for 10 s."""
    breaker = circuit_breaker(name, consecutive_failures=1)
    run_on(clock)
    with pytest.raises(ConnectionError):
        breaker.call(Dependency(ConnectionError()))

    assert breaker.state == "open"
    return breaker


def test_opens_at_the_rate_once_there_are_enough_calls(clock: FakeClock) -> None:
    """Ten failures in nineteen calls do not open it, the twentieth call does."""
    breaker = circuit_breaker("payments")
    run_on(clock)
    call = breaker(Dependency(*[ConnectionError() for _ in range(10)]))
    for _ in range(10):
        with pytest.raises(ConnectionError):
            call()

    for _ in range(9):
        call()

    assert breaker.state == "closed"
    call()  # a success, and the twentieth of which ten failed
    assert breaker.state == "open"


def test_old_failures_are_forgotten(clock: FakeClock) -> None:
    """Failures that left the window of 30 s count no more."""
    breaker = circuit_breaker("payments")
    run_on(clock)
    for _ in range(19):
        with pytest.raises(ConnectionError):
            breaker.call(Dependency(ConnectionError()))

    clock.advance(31.0)
    with pytest.raises(ConnectionError):
        breaker.call(Dependency(ConnectionError()))

    assert breaker.state == "closed"


def test_slow_calls_open_it(clock: FakeClock) -> None:
    """Calls that succeed but take too long open it at their own rate."""
    breaker = circuit_breaker("payments", slow_after="500ms", min_calls=5)
    run_on(clock)

    @breaker
    def slow() -> None:
        clock.advance(0.5)

    for _ in range(5):
        slow()

    assert breaker.state == "open"
    assert breaker.breaker.reason == "slow_rate"
    assert breaker.breaker.counts()["slow"] == 5


def test_slow_coroutines_open_it(clock: FakeClock) -> None:
    """The same for coroutines, and for functions that return an awaitable."""
    breaker = circuit_breaker("payments", slow_after="500ms", min_calls=6)
    run_on(clock)

    async def slow(seconds: float) -> None:
        await clock.sleep_async(seconds)

    async def main() -> None:
        for call in (breaker(slow), breaker(lambda seconds: slow(seconds))):
            await call(0.4)
            await call(0.5)
            await call(0.6)

    asyncio.run(main())
    assert breaker.breaker.counts() == {"success": 2, "slow": 4}
    assert breaker.state == "closed"  # four of six are less than 0.8


def test_a_slow_probe_opens_it_again(clock: FakeClock) -> None:
    """A dependency that answers as slowly as before has not recovered."""
    breaker = circuit_breaker("payments", slow_after=1.0, min_calls=1)
    run_on(clock)

    @breaker
    def slow() -> None:
        clock.advance(2.0)

    slow()
    clock.advance(10.0)
    slow()
    assert breaker.state == "open"
    assert breaker.breaker.reason == "probe_failed"


def test_the_tripping_call_raises_its_own_error(clock: FakeClock) -> None:
    """The error that opens the breaker reaches the caller; later calls are refused."""
    breaker = circuit_breaker("payments", consecutive_failures=1)
    run_on(clock)
    error = ConnectionError("reset by peer")
    with pytest.raises(ConnectionError) as caught:
        breaker.call(Dependency(error))

    assert caught.value is error
    dependency = Dependency()
    with pytest.raises(CircuitOpen) as refused:
        breaker.call(dependency)

    assert dependency.calls == 0
    assert (refused.value.name, refused.value.reason) == ("payments", "open")
    assert refused.value.retry_after == pytest.approx(10.0)
    assert refused.value.__context__ is None


def test_every_refusal_is_its_own_exception(clock: FakeClock) -> None:
    """Two refusals are two objects, so that tracebacks do not pile up on one."""
    breaker = tripped(clock)
    refusals = []
    for _ in range(2):
        with pytest.raises(CircuitOpen) as caught:
            breaker.call(Dependency())

        refusals.append(caught.value)

    assert refusals[0] is not refusals[1]


def test_it_stays_open_longer_each_time_up_to_a_cap(
    clock: FakeClock, told: list[object]
) -> None:
    """A failed probe doubles the time, up to two minutes."""
    breaker = tripped(clock)
    for _ in range(5):
        clock.advance(121.0)
        with pytest.raises(ConnectionError):
            breaker.call(Dependency(ConnectionError()))

    opened = [e for e in told if isinstance(e, BreakerMoved) and e.after == "open"]
    assert [round(e.open_s) for e in opened] == [10, 20, 40, 80, 120, 120]


def test_the_time_it_stays_open_is_spread(clock: FakeClock) -> None:
    """Two hundred breakers of as many processes reopen between 8 and 12 s, spread."""
    waits = []
    for number in range(200):
        breaker = circuit_breaker(f"payments-{number}", consecutive_failures=1)
        with pytest.raises(ConnectionError):
            breaker.call(Dependency(ConnectionError()))

        with pytest.raises(CircuitOpen) as refused:
            breaker.call(Dependency())

        waits.append(refused.value.retry_after or 0.0)

    assert 7.9 < min(waits) < 8.5
    assert 11.5 < max(waits) < 12.1


def test_a_full_closed_window_forgets_how_often_it_opened(
    clock: FakeClock, told: list[object]
) -> None:
    """After 30 s of being closed, it opens for 10 s again and not for 20 s."""
    breaker = tripped(clock)
    for closed_s in (29.0, 30.0):
        clock.advance(121.0)
        for _ in range(3):
            breaker.call(Dependency())

        assert breaker.state == "closed"
        clock.advance(closed_s)
        with pytest.raises(ConnectionError):
            breaker.call(Dependency(ConnectionError()))

    opened = [e for e in told if isinstance(e, BreakerMoved) and e.after == "open"]
    assert [round(e.open_s) for e in opened] == [10, 20, 10]


def test_three_probes_in_a_row_close_it(clock: FakeClock, told: list[object]) -> None:
    """Half-open, three successes close it, and the window begins empty."""
    breaker = tripped(clock)
    clock.advance(10.0)
    assert breaker.state == "half_open"
    for _ in range(3):
        breaker.call(Dependency())

    assert breaker.state == "closed"
    moves = [(e.before, e.after) for e in told if isinstance(e, BreakerMoved)]
    assert moves == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ]


def test_one_of_fifty_callers_probes() -> None:
    """Of fifty threads that arrive at half-open together, one reaches out."""
    clock = FakeClock()
    breaker = tripped(clock)
    clock.advance(10.0)
    inside = threading.Event()
    answer = threading.Event()
    reached: list[int] = []

    @breaker
    def call() -> None:
        reached.append(1)
        inside.set()
        assert answer.wait(20)

    def caller() -> bool:
        try:
            call()
        except CircuitOpen:
            return False

        return True

    with ThreadPoolExecutor(50) as pool:
        futures = [pool.submit(caller) for _ in range(50)]
        assert inside.wait(20)
        refused = as_completed(futures, timeout=20)
        for _ in range(49):
            assert next(refused).result() is False

        answer.set()

    assert len(reached) == 1
    assert sum(future.result() for future in futures) == 1


def test_one_of_fifty_tasks_probes(clock: FakeClock) -> None:
    """Of fifty tasks that arrive at half-open together, one reaches out."""
    breaker = tripped(clock)
    clock.advance(10.0)
    reached = 0

    @breaker
    async def call() -> None:
        nonlocal reached
        reached += 1
        await asyncio.sleep(0)

    async def main() -> list[object]:
        return await asyncio.gather(
            *(call() for _ in range(50)), return_exceptions=True
        )

    results = asyncio.run(main())
    assert reached == 1
    assert sum(isinstance(result, CircuitOpen) for result in results) == 49


def test_a_cancelled_probe_makes_way_for_the_next(clock: FakeClock) -> None:
    """Cancelling the probe frees its place and decides nothing."""
    breaker = tripped(clock)
    clock.advance(10.0)

    @breaker
    async def hang() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(hang())
        await asyncio.sleep(0)
        with pytest.raises(CircuitOpen):
            await hang()

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert breaker.state == "half_open"
    breaker.call(Dependency())
    assert breaker.breaker.counts()["cancelled"] == 1


def test_a_late_success_does_not_close_it(clock: FakeClock) -> None:
    """A call admitted before it opened says nothing when it ends after."""
    breaker = circuit_breaker("payments", consecutive_failures=1)
    run_on(clock)
    with breaker.guard():
        with pytest.raises(ConnectionError):
            breaker.call(Dependency(ConnectionError()))

        assert breaker.state == "open"

    assert breaker.state == "open"
    assert breaker.breaker.counts()["stale"] == 1


def test_a_late_call_of_an_older_round_does_not_settle_the_probe(
    clock: FakeClock,
) -> None:
    """A probe of the round before, failing late, leaves the running one alone."""
    breaker = tripped(clock)
    clock.advance(10.0)
    first = breaker.guard()
    first.__enter__()
    clock.advance(10.0)  # its lease is over
    with pytest.raises(CircuitOpen):
        breaker.call(Dependency())

    clock.advance(20.0)
    second = breaker.guard()
    second.__enter__()
    first.__exit__(ConnectionError, ConnectionError(), None)
    assert breaker.state == "half_open"
    with pytest.raises(CircuitOpen):
        breaker.call(Dependency())

    second.__exit__(None, None, None)
    assert breaker.breaker.counts()["stale"] == 1


def test_a_lost_probe_gives_its_place_back(clock: FakeClock) -> None:
    """A probe that never ends counts as failed after 10 s, and others follow."""
    breaker = tripped(clock)
    clock.advance(10.0)
    lost = breaker.guard().__enter__()
    clock.advance(9.9)
    with pytest.raises(CircuitOpen) as refused:
        breaker.call(Dependency())

    assert refused.value.reason == "half_open"
    clock.advance(0.1)
    with pytest.raises(CircuitOpen) as refused:
        breaker.call(Dependency())

    assert refused.value.reason == "open"
    clock.advance(20.0)
    breaker.call(Dependency())
    del lost


def test_what_was_not_the_dependency_is_not_blamed(clock: FakeClock) -> None:
    """Our own refusals, ignored errors and a spent deadline open nothing."""
    breaker = circuit_breaker(
        "payments", consecutive_failures=1, ignore=(KeyError, FileNotFoundError)
    )
    run_on(clock)
    for error in (
        BulkheadFull("pool", "full"),
        KeyError("order"),
        FileNotFoundError(),
        DeadlineExceeded(),
        KeyboardInterrupt(),
    ):
        with pytest.raises(type(error)):
            breaker.call(Dependency(error))

    assert breaker.state == "closed"
    assert breaker.breaker.counts() == {
        "success": 0,
        "inconclusive": 1,
        "ignored": 3,
        "cancelled": 1,
    }


def test_a_hung_dependency_behind_short_deadlines_is_seen(clock: FakeClock) -> None:
    """What a deadline cuts off is slow if it took that long, else ignored."""
    breaker = circuit_breaker("payments", slow_after=1.0, min_calls=2)
    run_on(clock)

    @breaker
    def hang(seconds: float) -> None:
        clock.advance(seconds)
        raise DeadlineExceeded

    for seconds in (0.9, 1.0, 1.1):
        with pytest.raises(DeadlineExceeded):
            hang(seconds)

    counts = breaker.breaker.counts()
    assert (counts["ignored"], counts["slow"]) == (1, 2)
    assert breaker.state == "open"


def test_a_deadline_that_cancels_is_told_from_a_client_that_leaves() -> None:
    """Cut off by the deadline a call was slow; cancelled from outside, nothing."""
    breaker = circuit_breaker("payments", slow_after=0.01)

    @retry("payments", on=ConnectionError, deadline=0.05)
    @breaker
    async def hang() -> None:
        await asyncio.Event().wait()

    @breaker
    async def left() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            await hang()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(left(), 0.05)

    asyncio.run(main())
    assert breaker.breaker.counts() == {"success": 0, "slow": 1, "cancelled": 1}


def test_an_ignoring_function_that_fails_is_reported(
    clock: FakeClock, faults: Faults
) -> None:
    """A fault in `ignore` counts the call as failed and hides nothing."""

    def broken(error: Exception) -> bool:
        raise LookupError

    breaker = circuit_breaker("payments", ignore=broken, consecutive_failures=1)
    run_on(clock)
    with pytest.raises(ConnectionError):
        breaker.call(Dependency(ConnectionError()))

    assert breaker.state == "open"
    assert str(faults.claim("resilience.ignore")).startswith("LookupError in ")


def test_states_held_by_hand(clock: FakeClock) -> None:
    """Forced states hold against all outcomes until `reset`."""
    breaker = circuit_breaker("payments", consecutive_failures=1)
    run_on(clock)
    breaker.force_open()
    clock.advance(1000.0)
    with pytest.raises(CircuitOpen) as refused:
        breaker.call(Dependency())

    assert refused.value.reason == "forced_open"
    assert refused.value.retry_after is None
    for hold, state in (
        (breaker.force_close, "forced_closed"),
        (breaker.disable, "disabled"),
    ):
        hold()
        with pytest.raises(ConnectionError):
            breaker.call(Dependency(ConnectionError()))

        assert breaker.state == state

    assert breaker.breaker.counts()["failure"] == 1  # a disabled one counts none
    breaker.reset()
    with pytest.raises(ConnectionError):
        breaker.call(Dependency(ConnectionError()))

    assert breaker.state == "open"


def test_observing_refuses_nothing(clock: FakeClock, told: list[object]) -> None:
    """In mode `observe` it moves and tells, and lets every call through."""
    breaker = circuit_breaker("payments", consecutive_failures=1)
    run_on(clock)
    state = breaker_of("payments")
    state.use(state.config._replace(mode="observe"), clock)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            breaker.call(Dependency(ConnectionError()))

    assert breaker.state == "open"
    assert state.counts()["observed"] == 2
    assert [type(event) for event in told] == [BreakerMoved]


def test_off_takes_no_part_and_keeps_the_state(clock: FakeClock) -> None:
    """Mode `off` lets all through; back in force, the state is what it was."""
    breaker = tripped(clock)
    state = breaker_of("payments")
    config = state.config
    state.use(config._replace(mode="off"), clock)
    breaker.call(Dependency())
    state.use(config, clock)
    with pytest.raises(CircuitOpen):
        breaker.call(Dependency())


def test_moves_are_told_in_order_and_outside_the_lock(clock: FakeClock) -> None:
    """A hook that uses the breaker does not block, and moves keep their order."""
    breaker = circuit_breaker("payments", consecutive_failures=1)
    run_on(clock)
    seen: list[str] = []

    def hook(moved: BreakerMoved) -> None:
        seen.append(moved.after)
        if moved.after == "open":
            breaker.reset()
            breaker.force_open()

        seen.append(f"told {moved.after}")

    end = subscribe(BreakerMoved, hook)
    with pytest.raises(ConnectionError):
        breaker.call(Dependency(ConnectionError()))

    end()
    order = ["open", "closed", "forced_open"]
    assert seen == [word for state in order for word in (state, f"told {state}")]


def test_a_failing_hook_hurts_nobody(clock: FakeClock, faults: Faults) -> None:
    """A hook that raises is reported; the call raises its own error."""

    def hook(moved: BreakerMoved) -> None:
        raise LookupError

    end = subscribe(BreakerMoved, hook)
    tripped(clock)
    end()
    assert isinstance(faults.claim("events"), LookupError)


def test_too_few_calls_are_said_once(clock: FakeClock, told: list[object]) -> None:
    """A breaker that never reaches its minimum says so once."""
    breaker = circuit_breaker("payments")
    run_on(clock)
    for _ in range(200):
        breaker.call(Dependency())
        clock.advance(10.0)

    assert told == [BreakerStarved("payments", 20, 30.0)]


def test_the_wall_clock_means_nothing(clock: FakeClock) -> None:
    """An hour forth or back on the wall clock changes no state."""
    breaker = tripped(clock)
    for hours in (1, -1):
        clock.set_wall(clock.time_ns() + hours * 3_600_000_000_000)
        assert breaker.state == "open"

    clock.advance(9.9)
    assert breaker.state == "open"
    clock.advance(0.1)
    assert breaker.state == "half_open"


def test_one_breaker_serves_threads_and_loops() -> None:
    """Four threads and two event loops share one; no call is lost."""
    breaker = circuit_breaker("payments")
    each = 5_000

    @breaker
    def plain() -> None:
        pass

    @breaker
    async def coroutine() -> None:
        await asyncio.sleep(0)

    def in_thread() -> None:
        for _ in range(each):
            plain()

    async def many() -> None:
        await asyncio.gather(*(coroutine() for _ in range(each)))

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(in_thread) for _ in range(4)]
        futures += [pool.submit(asyncio.run, many()) for _ in range(2)]

    for future in futures:
        future.result()

    assert breaker.breaker.counts() == {"success": 6 * each}


def test_counting_without_the_lock_loses_nothing() -> None:
    """Threads that succeed while others move the window lose not one call."""
    clock = FakeClock()
    breaker = circuit_breaker("payments", window=1.0)
    run_on(clock)
    each, threads = 40_000, 4

    @breaker
    def call() -> None:
        pass

    def caller() -> None:
        for number in range(each):
            call()
            if number % 50 == 0:
                clock.advance(0.05)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            for future in [pool.submit(caller) for _ in range(threads)]:
                future.result()
    finally:
        sys.setswitchinterval(interval)

    assert breaker.breaker.counts() == {"success": each * threads}


def test_as_a_context_manager(clock: FakeClock) -> None:
    """`with` and `async with` guard a block, again and again, nested too."""
    breaker = circuit_breaker("payments", consecutive_failures=2)
    run_on(clock)

    async def block(error: Exception | None) -> None:
        async with breaker:
            with breaker:
                pass

            if error is not None:
                raise error

    asyncio.run(block(None))
    assert breaker.breaker.counts() == {"success": 2}
    for _ in range(2):
        with pytest.raises(ConnectionError), breaker:
            raise ConnectionError

    with pytest.raises(CircuitOpen), breaker:
        pytest.fail("entered an open breaker")


def test_blocks_that_take_turns(clock: FakeClock) -> None:
    """Generators that enter in one order and leave in another settle each its own."""
    first = circuit_breaker("payments")
    second = circuit_breaker("orders")
    run_on(clock)

    def block(breaker: CircuitBreaker) -> Generator[None, None, None]:
        with breaker:
            yield

    one, other = block(first), block(second)
    next(one)
    next(other)
    next(one, None)
    next(other, None)
    assert first.breaker.counts() == {"success": 1}


def test_a_slow_block_counts_as_slow(clock: FakeClock) -> None:
    """A block is measured as a call is."""
    breaker = circuit_breaker("payments", slow_after=1.0)
    run_on(clock)
    for seconds in (0.5, 1.0):
        with breaker.guard():
            clock.advance(seconds)

    assert breaker.breaker.counts() == {"success": 1, "slow": 1}


def test_a_guard_that_was_refused_settles_nothing(
    clock: FakeClock, faults: Faults
) -> None:
    """Leaving a block that was never entered does nothing, and is told."""
    breaker = tripped(clock)
    guard = breaker.guard()
    with pytest.raises(CircuitOpen):
        guard.__enter__()

    guard.__exit__(None, None, None)
    breaker.__exit__(None, None, None)
    assert breaker.breaker.counts() == {"success": 0, "failure": 1, "rejected": 1}
    faults.claim("resilience.guard")


def test_calls_under_way_when_it_is_taken_out(clock: FakeClock) -> None:
    """Switched off or disabled in the middle of a call, its outcome is nothing."""
    breaker = circuit_breaker("payments", consecutive_failures=1)
    run_on(clock)
    state = breaker_of("payments")
    config = state.config
    guard = breaker.guard()
    guard.__enter__()
    state.use(config._replace(mode="off"), clock)
    guard.__exit__(ConnectionError, ConnectionError(), None)
    assert state.counts() == {"success": 0}
    assert state.admit() is state.timed  # a caller that looked before the change
    state.use(config, clock)
    guard = breaker.guard()
    guard.__enter__()
    breaker.disable()
    guard.__exit__(ConnectionError, ConnectionError(), None)
    assert state.counts() == {"success": 0, "stale": 1}


def test_it_says_what_it_is(clock: FakeClock) -> None:
    """Its text shows name and state, so that a debugger does."""
    assert repr(tripped(clock)) == "<circuit breaker 'payments': open>"
    assert "without a name" in repr(circuit_breaker())


def test_a_block_left_elsewhere(clock: FakeClock) -> None:
    """A guard is left in another thread than it was entered in."""
    breaker = tripped(clock)
    clock.advance(10.0)
    guard = breaker.guard()
    guard.__enter__()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(guard.__exit__, None, None, None).result()

    assert breaker.breaker.counts()["success"] == 1
    with pytest.raises(RuntimeError):
        guard.__enter__()


def test_looked_up_by_name() -> None:
    """`get_breaker` finds what was declared, and raises for what was not."""
    circuit_breaker("payments").force_open()
    assert get_breaker("payments").state == "forced_open"
    with pytest.raises(KeyError):
        get_breaker("orders")
