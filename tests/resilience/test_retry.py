"""What is retried, how long it waits, and what the caller gets in the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from svcready.errors import (
    CircuitOpen,
    DeadlineExceeded,
    DeclarationError,
    RateLimited,
)
from svcready.resilience import (
    RetryExhausted,
    RetryRecovered,
    RetryScheduled,
    circuit_breaker,
    get_retry,
    retry,
    stale,
)
from svcready.resilience._retrying._backoff import full_jitter_s
from svcready.testing import FakeClock
from tests.conftest import Faults
from tests.resilience.peers import Dependency, retrier_of, run_on


def test_a_passing_failure_is_retried(clock: FakeClock, told: list[object]) -> None:
    """The answer comes through after two failures, with waits that double."""
    policy = retry("payments", on=ConnectionError)
    run_on(clock)
    dependency = Dependency(ConnectionError(), ConnectionResetError())

    assert policy.call(dependency) == "answer"
    assert clock.sleeps == [0.05, 0.1]  # the middle of (0, 0.1) and (0, 0.2)
    assert told == [
        RetryScheduled("payments", 1, 0.05, "ConnectionError"),
        RetryScheduled("payments", 2, 0.1, "ConnectionResetError"),
        RetryRecovered("payments", 3),
    ]
    assert retrier_of("payments").counts() == {"success": 0, "recovered": 1}
    assert retrier_of("payments").retries() == {"error": 2}


def test_the_last_error_goes_out_as_it_is(clock: FakeClock, told: list[object]) -> None:
    """The third error is raised itself, with one note and no chain of the others."""
    policy = retry("payments", on=ConnectionError)
    run_on(clock)
    last = ConnectionError("third")
    with pytest.raises(ConnectionError) as caught:
        policy.call(Dependency(ConnectionError(), ConnectionError(), last))

    assert caught.value is last
    assert last.__notes__ == [
        "svcready: retry 'payments' gave up after 3 attempts: attempts"
    ]
    assert last.__context__ is None
    assert last.__cause__ is None
    assert told[-1] == RetryExhausted("payments", 3, "attempts", "ConnectionError")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_only_what_is_named_is_retried(
    clock: FakeClock, told: list[object], asynchronous: bool
) -> None:
    """Another error goes out at once, without a note or an event."""
    policy = retry("payments", on=(ConnectionError, TimeoutError))
    run_on(clock)
    dependency = Dependency(KeyError("order"))

    async def call() -> object:
        return dependency()

    with pytest.raises(KeyError) as caught:
        asyncio.run(policy(call)()) if asynchronous else policy.call(dependency)

    assert dependency.calls == 1
    assert not hasattr(caught.value, "__notes__")
    assert told == []
    assert retrier_of("payments").counts()["not_retryable"] == 1


def test_a_function_may_say_what_is_retried(clock: FakeClock) -> None:
    """`on` may be a function of the error."""
    policy = retry("payments", on=lambda error: "again" in str(error))
    run_on(clock)
    assert policy.call(Dependency(OSError("again"))) == "answer"
    with pytest.raises(OSError, match="never"):
        policy.call(Dependency(OSError("never")))


def test_a_function_that_fails_retries_nothing(
    clock: FakeClock, faults: Faults
) -> None:
    """A fault in `on` or `retry_after` is reported; the call's error goes out."""

    def broken(error: Exception) -> bool:
        raise LookupError

    policy = retry("payments", on=broken)
    with pytest.raises(ConnectionError):
        policy.call(Dependency(ConnectionError()))

    assert str(faults.claim("resilience.on")).startswith("LookupError in ")
    policy = retry("orders", on=ConnectionError, retry_after=broken)
    run_on(clock)
    assert policy.call(Dependency(ConnectionError())) == "answer"
    assert str(faults.claim("resilience.retry_after")).startswith("LookupError in ")


async def awaited(error: Exception) -> bool:
    """Have to be awaited, which makes what it returns no False."""
    return False


@pytest.mark.parametrize("argument", ["on", "retry_after", "success", "key"])
def test_a_function_that_must_be_awaited_is_refused(argument: str) -> None:
    """Nobody awaits it: a coroutine would be a yes to every error, or no call's key."""
    declare: Callable[..., object] = retry
    arguments: dict[str, object] = {"on": OSError, argument: awaited}
    if argument in {"success", "key"}:
        declare, arguments = circuit_breaker, {argument: awaited}
        if argument == "key":
            declare, arguments = stale, {"max_age": 1, "key": awaited}

    with pytest.raises(DeclarationError, match=f"{argument}=.*plain function"):
        declare(**arguments)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_exits_pass(clock: FakeClock, error: BaseException) -> None:
    """What is no `Exception` is never retried."""
    policy = retry("payments", on=lambda _: True)
    dependency = Dependency(error)
    with pytest.raises(type(error)):
        policy.call(dependency)

    assert dependency.calls == 1


def test_cancellation_passes(clock: FakeClock) -> None:
    """Cancelling the attempt cancels the call."""
    calls = 0

    @retry("payments", on=lambda _: True)
    async def hang() -> None:
        nonlocal calls
        calls += 1
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(hang())
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert calls == 1


def test_refusals_are_not_retried(clock: FakeClock) -> None:
    """A refusal of ours goes out, save a rate limit that says how long to wait."""
    policy = retry("payments", on=Exception)
    run_on(clock)
    for error in (CircuitOpen("payments", "open", 1.0), RateLimited("api", "rate")):
        dependency = Dependency(error)
        with pytest.raises(type(error)):
            policy.call(dependency)

        assert dependency.calls == 1

    dependency = Dependency(RateLimited("api", "rate", 2.0))
    assert policy.call(dependency) == "answer"
    assert clock.sleeps == [2.1]  # the hint, and half of a tenth of it
    assert retrier_of("payments").retries() == {"hint": 1}


@dataclass
class Busy(Exception):
    """A server's answer with its own Retry-After."""

    after: float | None


def hinted(error: Exception) -> float | None:
    """Read the hint from the answer."""
    return error.after if isinstance(error, Busy) else None


@pytest.mark.parametrize(
    ("after", "waits"),
    [
        (None, [0.05]),
        (0.01, [0.0505]),  # the backoff is longer
        (5.0, [5.25]),
        (20.0, [20.5]),  # the spread ends at one second
        (30.1, []),
        (float("nan"), [0.05]),
        (-1.0, [0.05]),
        (10**400, []),
    ],
)
def test_the_server_may_date_the_retry(
    clock: FakeClock, after: float | None, waits: list[float]
) -> None:
    """The wait is never before the hint, spread, and over 30 s there is none."""
    policy = retry("payments", on=Busy, retry_after=hinted)
    run_on(clock)
    dependency = Dependency(Busy(after))
    if waits:
        assert policy.call(dependency) == "answer"
    else:
        with pytest.raises(Busy) as caught:
            policy.call(dependency)

        assert "hint" in caught.value.__notes__[0]

    assert clock.sleeps == pytest.approx(waits)


def test_jitter_is_full_at_the_cap_too() -> None:
    """At the cap, waits spread evenly from 0 to the cap."""
    rng = random.Random(11).random
    waits = [full_jitter_s(60, 0.1, 5.0, rng) for _ in range(2_000)]
    assert max(waits) <= 5.0
    quarters = [sum(i <= w / 1.25 < i + 1 for w in waits) for i in range(4)]
    assert all(400 < quarter < 600 for quarter in quarters)


def test_no_wait_passes_the_deadline(clock: FakeClock, told: list[object]) -> None:
    """A retry whose wait would end after the deadline is not begun."""
    policy = retry("payments", on=ConnectionError, deadline=0.12)
    run_on(clock)
    with pytest.raises(ConnectionError) as caught:
        policy.call(Dependency(*[ConnectionError() for _ in range(3)]))

    assert clock.sleeps == [0.05]  # the next, 0.1, would end at 0.15
    assert "2 attempts: deadline" in caught.value.__notes__[0]
    assert told[-1] == RetryExhausted("payments", 2, "deadline", "ConnectionError")


def test_a_slow_answer_after_the_deadline_is_an_answer(clock: FakeClock) -> None:
    """A plain function that succeeds late has succeeded."""
    policy = retry("payments", on=ConnectionError, deadline=1.0)
    run_on(clock)

    def late() -> str:
        clock.advance(2.0)
        return "late"

    assert policy.call(late) == "late"


def test_an_outer_deadline_binds_an_inner_retry(clock: FakeClock) -> None:
    """Retries of another policy inside keep to the deadline around them."""
    outer = retry("orders", on=KeyError, deadline=0.12)
    inner = retry("payments", on=ConnectionError)
    run_on(clock)
    dependency = Dependency(*[ConnectionError() for _ in range(3)])
    with pytest.raises(ConnectionError):
        outer.call(inner(dependency))

    assert dependency.calls == 2


def test_the_deadline_cancels_a_coroutine(told: list[object]) -> None:
    """A hanging attempt is cut off; the error is ours and names the last one."""
    dependency = Dependency(ConnectionError())
    cancelled = []

    @retry("payments", on=ConnectionError, deadline=0.05, wait_base=0.001)
    async def hang() -> None:
        dependency()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(DeadlineExceeded) as caught:
        asyncio.run(hang())

    assert cancelled
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert told[-1] == RetryExhausted("payments", 2, "deadline", "ConnectionError")


def test_a_timeout_of_the_dependency_is_its_own(clock: FakeClock) -> None:
    """A TimeoutError from inside is retried and raised like any other."""
    error = TimeoutError()

    @retry("payments", on=TimeoutError, deadline=60.0, attempts=1)
    async def call() -> None:
        raise error

    with pytest.raises(TimeoutError) as caught:
        asyncio.run(call())

    assert caught.value is error


def test_foreign_cancellation_passes_a_deadline() -> None:
    """Cancelled from outside, a call with a deadline is cancelled, not timed out."""

    @retry("payments", on=Exception, deadline=60.0)
    async def hang() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(hang())
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


@pytest.mark.parametrize("asynchronous", [False, True])
def test_nested_retries_are_one_layer(clock: FakeClock, asynchronous: bool) -> None:
    """Five retries inside one another make three attempts, not 243."""
    dependency = Dependency(*[ConnectionError() for _ in range(243)])

    async def coroutine() -> object:
        return dependency()

    call: Callable[[], object] = coroutine if asynchronous else dependency
    for number in range(5):
        call = retry(f"layer-{number}", on=ConnectionError)(call)

    run_on(clock)
    with pytest.raises(ConnectionError):
        asyncio.run(call()) if asynchronous else call()  # type: ignore[arg-type]

    assert dependency.calls == 3
    assert retrier_of("layer-4").counts()["exhausted_nested"] == 1


def test_nesting_may_be_asked_for(clock: FakeClock) -> None:
    """`nested=True` multiplies the attempts."""
    dependency = Dependency(*[ConnectionError() for _ in range(9)])
    inner = retry("inner", on=ConnectionError, budget=False)
    outer = retry("outer", on=ConnectionError, nested=True, budget=False)
    run_on(clock)
    with pytest.raises(ConnectionError):
        outer.call(inner(dependency))

    assert dependency.calls == 9


@dataclass(frozen=True)
class Frozen(Exception):
    """An error that refuses to be changed."""

    code: int


def test_an_error_that_cannot_be_changed(clock: FakeClock) -> None:
    """A frozen error goes out as it is, noted and marked all the same."""
    policy = retry("payments", on=Frozen, attempts=2)
    run_on(clock)
    with pytest.raises(Frozen) as caught:
        policy.call(Dependency(Frozen(1), Frozen(2)))

    assert caught.value.code == 2
    assert len(caught.value.__notes__) == 1


def test_a_shared_error_does_not_gather_notes(clock: FakeClock) -> None:
    """One error object raised by every call keeps one note."""
    error = ConnectionError()
    policy = retry("payments", on=ConnectionError, attempts=2, nested=True)
    run_on(clock)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            policy.call(Dependency(error, error))

    assert len(error.__notes__) == 1


def test_observing_changes_no_call(clock: FakeClock) -> None:
    """In mode `observe` nothing is retried, and what would have been is counted."""
    policy = retry("payments", on=ConnectionError)
    run_on(clock)
    retrier = retrier_of("payments")
    retrier.use(retrier.config._replace(mode="observe"), clock)
    dependency = Dependency(ConnectionError())
    with pytest.raises(ConnectionError) as caught:
        policy.call(dependency)

    assert dependency.calls == 1
    assert retrier.counts()["exhausted_observed"] == 1
    assert not hasattr(caught.value, "__notes__")


def test_durations_have_three_forms(clock: FakeClock) -> None:
    """A number of seconds, text with a unit and a timedelta mean the same."""
    for form in (0.25, "250ms", timedelta(milliseconds=250)):
        retry("payments", on=OSError, wait_base=form, deadline=form)

    config = get_retry("payments").retrier.config
    assert (config.base_s, config.deadline_s) == (0.25, 0.25)


@pytest.mark.parametrize(
    "arguments",
    [
        {"on": BaseException},
        {"on": "ConnectionError"},
        {"on": (ConnectionError, KeyboardInterrupt)},
        {"attempts": 0},
        {"attempts": True},
        {"attempts": 2.5},
        {"wait_base": -1},
        {"wait_base": float("nan")},
        {"wait_base": "soon"},
        {"wait_base": 10, "wait_max": 1},
        {"deadline": 0},
        {"deadline": object()},
    ],
)
def test_wrong_arguments_raise_at_once(arguments: dict[str, object]) -> None:
    """What cannot be meant is refused where it is declared, value in the message."""
    with pytest.raises(DeclarationError) as caught:
        retry("payments", **{"on": OSError, **arguments})  # type: ignore[call-overload]

    assert any(key in str(caught.value) for key in arguments)


def test_nothing_that_was_passed_is_told(clock: FakeClock, told: list[object]) -> None:
    """No argument and no message of an error is in an event, a note or a count."""
    policy = retry("payments", on=ConnectionError)
    run_on(clock)
    with pytest.raises(ConnectionError) as caught:
        policy.call(
            Dependency(*[ConnectionError("s3cr3t") for _ in range(3)]),
            "s3cr3t",
            password="s3cr3t",
        )

    retrier = retrier_of("payments")
    assert "s3cr3t" not in repr(told)
    assert "s3cr3t" not in repr(caught.value.__notes__)
    assert "s3cr3t" not in repr((retrier.counts(), retrier.retries(), policy))


class Lost(ConnectionError):
    """An error that a weak reference can watch."""


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_retried_error_is_freed_at_once(clock: FakeClock, asynchronous: bool) -> None:
    """No cycle of error, traceback and frame is left to the collector."""
    gone: list[weakref.ref[BaseException]] = []
    failures = 0

    def fail() -> str:
        nonlocal failures
        failures += 1
        if failures % 3:
            error = Lost()
            gone.append(weakref.ref(error))
            try:
                raise error
            finally:
                del error

        return "answer"

    async def coroutine() -> str:
        return fail()

    call: Callable[[], object] = coroutine if asynchronous else fail
    both = retry("payments", on=ConnectionError)(circuit_breaker("payments")(call))
    last = retry("orders", on=ConnectionError, attempts=1, deadline=60)(call)
    run_on(clock)

    async def main(wrapped: Callable[[], object]) -> None:
        with contextlib.suppress(ConnectionError):
            made = wrapped()
            if asynchronous:
                await made  # type: ignore[misc]

    gc.collect()
    gc.disable()
    try:
        for wrapped in (both, last):
            asyncio.run(main(wrapped))

        assert len(gone) == 3
        assert [reference() for reference in gone] == [None] * 3
    finally:
        gc.enable()


def test_an_error_that_is_raised_again_and_again_is_retried_each_time() -> None:
    """A client that keeps its error, or a mock, is no inner retry that gave up."""
    kept = ConnectionError("down")
    policy = retry("payments", on=ConnectionError, wait_base=0.001, budget=False)
    for _ in range(3):
        dependency = Dependency(kept, kept, kept)
        with pytest.raises(ConnectionError, match="down"):
            policy.call(dependency)

        assert dependency.calls == 3
