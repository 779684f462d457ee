"""Fallbacks: which errors they answer, with what, and who is told."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Generator

import pytest

import svcready
from svcready._core.context import ContextRecord, activate
from svcready.errors import (
    AttemptTimeout,
    CircuitOpen,
    DeadlineExceeded,
    DeclarationError,
    Rejected,
)
from svcready.resilience import (
    Fallback,
    FellBack,
    circuit_breaker,
    fallback,
    get_fallback,
    policy,
    retry,
)
from svcready.resilience._pillar import apply
from svcready.testing import FakeClock
from tests.resilience.peers import Dependency, run_on


def exhausted() -> ConnectionError:
    """Return an error that a retry gave up on."""
    again = retry("inner", on=ConnectionError, attempts=2, wait_base=0.001)
    with pytest.raises(ConnectionError) as caught:
        again.call(Dependency(ConnectionError(), ConnectionError()))

    return caught.value


def counts(name: str = "prices") -> dict[str, int]:
    """Return the outcomes of a fallback's calls."""
    return get_fallback(name).core.counts()


def refuse(kind: Callable[[], Exception] | None = None) -> list[int]:
    """Give no items, but an error."""
    raise CircuitOpen("prices", "open") if kind is None else kind()


GIVEN_UP: dict[str, Callable[[], Exception]] = {
    "refused": lambda: CircuitOpen("prices", "open"),
    "attempt": lambda: AttemptTimeout("late"),
    "deadline": lambda: DeadlineExceeded("late"),
    "exhausted": exhausted,
}


@pytest.mark.parametrize("error", GIVEN_UP)
def test_what_svcready_gave_up_on_is_answered(error: str) -> None:
    """Refusals, our time-outs and what a retry exhausted, without naming them."""
    prices = fallback("prices", lambda order: f"about {order}")

    def fail(order: int) -> object:
        failure = GIVEN_UP[error]()
        raise failure

    assert prices.call(fail, 7) == "about 7"
    assert counts() == {"success": 0, "fallback": 1}


@pytest.mark.parametrize("error", [ConnectionError(), TimeoutError(), KeyError()])
def test_other_errors_are_the_callers(error: Exception) -> None:
    """An error that nobody gave up on may mean anything, and is raised as it is."""
    prices = fallback("prices", lambda: "never")
    with pytest.raises(type(error)) as caught:
        prices.call(Dependency(error))

    assert caught.value is error
    assert error.__cause__ is None
    assert counts() == {"success": 0, "unmatched": 1}


def test_on_says_otherwise() -> None:
    """Named errors are answered, and then only those."""
    prices = fallback("prices", "none", on=(ConnectionError, Rejected))
    assert prices.call(Dependency(ConnectionError())) == "none"
    assert prices.call(Dependency(CircuitOpen("prices", "open"))) == "none"
    with pytest.raises(AttemptTimeout):
        prices.call(Dependency(AttemptTimeout()))


@pytest.mark.parametrize(
    "exit_", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]
)
def test_exits_and_cancellation_pass(exit_: type[BaseException]) -> None:
    """What is no Exception is never answered, and counts as nothing."""
    prices = fallback("prices", "never", on=lambda _: True)
    with pytest.raises(exit_):
        prices.call(Dependency(exit_()))

    assert counts() == {"success": 0}


def with_error_last(order: int, error: Exception) -> object:
    """Take the error as a positional parameter."""
    return (order, type(error))


def with_error_named(order: int, *, error: Exception | None = None) -> object:
    """Take the error by name only."""
    return (order, type(error))


class Held:
    """Has a method that stands in."""

    def answer(self, order: int, error: Exception) -> object:
        """Take the error."""
        return (order, type(error))


@pytest.mark.parametrize("to", [with_error_last, with_error_named, Held().answer])
def test_the_error_is_given_to_who_asks(to: Callable[..., object]) -> None:
    """A parameter called `error` that the call leaves free gets the error."""
    prices = fallback("prices", to)
    refused = CircuitOpen("prices", "open")
    assert prices.call(Dependency(refused), 7) == (7, CircuitOpen)
    assert prices.call(Dependency(refused, refused), order=7) == (7, CircuitOpen)


def test_an_argument_called_error_is_the_calls() -> None:
    """A call that has an argument of that name keeps it."""
    reports = fallback("reports", lambda error: f"kept {error}")
    refused = CircuitOpen("reports", "open")
    assert reports.call(Dependency(refused), "disk full") == "kept disk full"
    assert reports.call(Dependency(refused), error="disk full") == "kept disk full"


@pytest.mark.parametrize("to", [None, 0, (), "none"])
def test_a_value_stands_in(to: object) -> None:
    """What can't be called is the answer, None included."""
    assert fallback(to=to)(Dependency(CircuitOpen("prices", "open")))() is to


@pytest.mark.parametrize("to", [[], {}, set(), list, dict])
def test_what_callers_would_share_is_refused(to: object) -> None:
    """A list that every caller may append to is a mistake, as is its class."""
    with pytest.raises(DeclarationError, match="every call has its own"):
        fallback("prices", to)


def test_something_must_answer() -> None:
    """A fallback without an answer is none."""
    with pytest.raises(DeclarationError, match=r"to=.*stale="):
        fallback("prices")


def test_a_failure_of_the_fallback_has_the_calls_error_for_its_cause() -> None:
    """Both are told: what the fallback died of, and why it was asked."""

    def broken() -> object:
        raise LookupError("empty cache")

    def chained() -> object:
        raise LookupError from KeyError("deeper")

    refused = CircuitOpen("prices", "open")
    with pytest.raises(LookupError, match="empty cache") as caught:
        fallback("prices", broken).call(Dependency(refused))

    assert caught.value.__cause__ is refused
    assert counts() == {"success": 0, "failed": 1}
    with pytest.raises(LookupError) as caught:
        fallback("orders", chained).call(Dependency(refused))

    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__cause__.__cause__ is refused


def test_a_fallback_may_raise_the_error_itself() -> None:
    """It goes out as it came, without a circle of causes."""

    def give_up(error: Exception) -> object:
        raise error

    async def give_up_async(error: Exception) -> object:
        raise error

    async def fetch() -> object:
        raise refused

    refused = CircuitOpen("prices", "open")
    with pytest.raises(CircuitOpen) as caught:
        fallback("prices", give_up).call(Dependency(refused))

    assert caught.value.__cause__ is None
    with pytest.raises(CircuitOpen) as caught:
        asyncio.run(fallback("orders", give_up_async)(fetch)())

    assert caught.value is refused
    assert refused.__cause__ is None


def test_nothing_keeps_the_error_alive() -> None:
    """An answered error goes with the call, without the garbage collector."""
    prices = fallback("prices", lambda: "none")

    alive: list[weakref.ref[CircuitOpen]] = []

    def made() -> CircuitOpen:
        refused = CircuitOpen("prices", "open")
        alive.append(weakref.ref(refused))
        return refused

    def fail() -> object:
        raise made()

    async def fail_async() -> object:
        raise made()

    gc.disable()
    try:
        prices.call(fail)
        asyncio.run(prices.call(fail_async))
        assert [reference() for reference in alive] == [None, None]
    finally:
        gc.enable()


async def refused_async(to: object) -> object:
    """Answer one call of a coroutine function that is refused."""

    @fallback("prices", to)
    async def fetch(order: int) -> object:
        raise CircuitOpen("prices", "open")

    return await fetch(7)


async def answer_async(order: int, error: Exception) -> object:
    """Stand in after a turn of the loop."""
    await asyncio.sleep(0)
    return (order, type(error))


@pytest.mark.parametrize(
    "to",
    [with_error_last, answer_async, lambda order, error: answer_async(order, error)],
)
def test_coroutine_functions_take_both_kinds(to: Callable[..., object]) -> None:
    """A plain function, a coroutine function, and one that returns an awaitable."""
    assert asyncio.run(refused_async(to)) == (7, CircuitOpen)


def test_an_async_fallbacks_failure_is_chained() -> None:
    """Its own failure, raised in its own time, has the call's error for its cause."""

    async def broken(order: int) -> object:
        await asyncio.sleep(0)
        raise LookupError

    with pytest.raises(LookupError) as caught:
        asyncio.run(refused_async(broken))

    assert isinstance(caught.value.__cause__, CircuitOpen)
    assert counts()["failed"] == 1


def test_what_cannot_stand_in_is_refused_when_declared() -> None:
    """A fallback that an outage would be the first to call wrongly is no fallback."""
    prices = fallback("prices", lambda: "none")
    with pytest.raises(DeclarationError, match="arguments"):

        @prices
        def one(order: int) -> str:
            return ""

    with pytest.raises(DeclarationError, match="arguments"):

        @prices
        def perhaps_one(order: int = 1) -> str:
            return ""

    @prices
    def none() -> str:
        return ""


def test_cancelled_calls_stay_cancelled() -> None:
    """A task that is cancelled in the call, or in the fallback, is cancelled."""

    async def stand_in(fails: bool) -> object:
        await asyncio.sleep(3600)
        return "never"

    @fallback("prices", stand_in, on=Exception)
    async def fetch(fails: bool) -> object:
        if fails:
            raise ConnectionError

        await asyncio.sleep(3600)
        return "never"

    async def cancelled(fails: bool) -> bool:
        task = asyncio.ensure_future(fetch(fails))
        for _ in range(3):
            await asyncio.sleep(0)

        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancelled(fails=False))
    assert asyncio.run(cancelled(fails=True))
    assert counts() == {"success": 0}


def test_a_plain_function_that_returns_an_awaitable_is_covered() -> None:
    """Its failure comes when it is awaited, and is answered then; so is a task's."""

    async def fetch(order: int) -> object:
        raise CircuitOpen("prices", "open")

    async def main() -> list[object]:
        prices = fallback("prices", lambda order: f"about {order}")
        return [
            await prices(lambda order: fetch(order))(7),
            await prices(lambda order: asyncio.ensure_future(fetch(order)))(7),
        ]

    assert asyncio.run(main()) == ["about 7", "about 7"]
    assert counts() == {"success": 0, "fallback": 2}


@pytest.mark.parametrize("kind", ["plain", "stream"])
def test_what_must_be_awaited_cannot_stand_in_for_what_is_not(kind: str) -> None:
    """A plain function's caller would be given a coroutine, in an outage."""

    def plain(order: int) -> object:
        return order

    def stream(order: int) -> Generator[int, None, None]:
        yield order

    with pytest.raises(DeclarationError, match="awaited"):
        fallback("prices", answer_async)(plain if kind == "plain" else stream)


def test_a_stream_is_replaced_before_its_first_item_only() -> None:
    """What the consumer has seen can't be taken back."""

    def stand_in(fails_at: int) -> Generator[object, object, str]:
        got = yield "first"
        yield got
        return "end of it"

    @fallback("prices", stand_in)
    def stream(fails_at: int) -> Generator[object, object, str]:
        for number in range(3):
            if number == fails_at:
                raise CircuitOpen("prices", "open")

            yield number

        return "end"

    replaced = stream(0)
    assert next(replaced) == "first"
    assert replaced.send("sent") == "sent"
    with pytest.raises(StopIteration) as stop:
        next(replaced)

    assert stop.value.value == "end of it"
    broken = stream(1)
    assert next(broken) == 0
    with pytest.raises(CircuitOpen):
        next(broken)

    assert list(stream(9)) == [0, 1, 2]
    assert counts() == {"success": 2, "fallback": 1}


def test_anything_that_gives_items_stands_in_for_a_stream() -> None:
    """A tuple does; what gives none fails, with the stream's error for its cause."""

    def failing() -> Generator[object, None, None]:
        yield from refuse()

    assert list(fallback("prices", ("a", "b"))(failing)()) == ["a", "b"]
    assert list(fallback("none", ())(failing)()) == []
    with pytest.raises(TypeError) as caught:
        list(fallback("numbers", 7)(failing)())

    assert isinstance(caught.value.__cause__, CircuitOpen)
    assert counts("numbers") == {"success": 0, "failed": 1}


def test_an_abandoned_fallback_stream_is_closed() -> None:
    """Closing what the consumer holds closes what stands in."""
    closed: list[str] = []

    def stand_in() -> Generator[int, None, None]:
        try:
            yield 1
        finally:
            closed.append("plain")

    async def stand_in_async() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            closed.append("async")

    @fallback("prices", stand_in)
    def stream() -> Generator[int, None, None]:
        yield from refuse()

    @fallback("orders", stand_in_async)
    async def stream_async() -> AsyncGenerator[int, None]:
        for item in refuse():
            yield item

    async def main() -> None:
        items = stream_async()
        assert await anext(items) == 1
        await items.aclose()

    items = stream()
    assert next(items) == 1
    items.close()
    asyncio.run(main())
    assert closed == ["plain", "async"]


async def items_async(fails_at: int) -> AsyncGenerator[object, object]:
    """Stand in as an async generator."""
    got = yield "first"
    yield got


async def items_later(fails_at: int) -> object:
    """Stand in as a coroutine that returns something with items."""
    return ("first", None)


@pytest.mark.parametrize(
    "to", [items_async, items_later, lambda fails_at: iter(["first", None])]
)
def test_an_async_stream_is_replaced_before_its_first_item(
    to: Callable[..., object],
) -> None:
    """By an async generator, a coroutine function's items, or a plain one's."""

    @fallback("prices", to)
    async def stream(fails_at: int) -> AsyncGenerator[object, object]:
        for number in range(2):
            if number == fails_at:
                raise CircuitOpen("prices", "open")

            yield number

    async def main() -> None:
        assert [item async for item in stream(0)] == ["first", None]
        assert [item async for item in stream(9)] == [0, 1]
        with pytest.raises(CircuitOpen):
            assert [item async for item in stream(1)] == [0]

    asyncio.run(main())
    assert counts() == {"success": 2, "fallback": 1}


def test_an_async_streams_failing_fallback_is_chained() -> None:
    """Before its first item a failure of what stands in is the consumer's."""

    async def stand_in() -> AsyncGenerator[int, None]:
        for item in refuse(LookupError):
            yield item

    @fallback("prices", stand_in)
    async def stream() -> AsyncGenerator[int, None]:
        for item in refuse():
            yield item

    async def main() -> None:
        with pytest.raises(LookupError) as caught:
            await anext(stream())

        assert isinstance(caught.value.__cause__, CircuitOpen)

    asyncio.run(main())
    assert counts() == {"success": 0, "failed": 1}


def test_it_is_the_outermost_part(clock: FakeClock) -> None:
    """In a policy, what retry and breaker gave up on reaches it, in any order."""
    bank = Dependency(*[ConnectionError() for _ in range(9)])
    prices = policy(
        "prices",
        breaker=circuit_breaker(consecutive_failures=3),
        retry=retry(on=ConnectionError, attempts=2),
        fallback=lambda order: f"about {order}",
    )

    @prices
    def price(order: int) -> object:
        return bank(order)

    run_on(clock)
    assert [price(order) for order in range(4)] == [f"about {n}" for n in range(4)]
    assert bank.calls == 3  # the breaker opened in the second call
    assert counts() == {"success": 0, "fallback": 4}


def test_stacked_decorators_of_one_name_fuse() -> None:
    """Written innermost, it is the outermost all the same."""
    bank = Dependency(ConnectionError(), ConnectionError())

    @retry("prices", on=ConnectionError, attempts=2, wait_base=0.001)
    @fallback("prices", "about")
    def price() -> object:
        return bank()

    assert price() == "about"
    assert bank.calls == 2


@pytest.mark.parametrize(
    "values", [{"retry_mode": "off"}, {"retry_mode": "observe"}, {"retry_attempts": 1}]
)
def test_what_a_retry_would_retry_is_answered_without_it(
    values: dict[str, object],
) -> None:
    """An operator who takes the retries away does not take the fallback with them."""
    prices = policy("prices", retry=ConnectionError, fallback=lambda: "about")
    apply("prices", values)
    assert prices.call(Dependency(ConnectionError())) == "about"
    with pytest.raises(KeyError):
        prices.call(Dependency(KeyError()))


def test_modes() -> None:
    """`observe` decides, counts and raises; `off` takes no part."""
    prices = fallback("prices", "about")
    refused = CircuitOpen("prices", "open")
    apply("prices", {"fallback_mode": "observe"})
    for mode in ("observe", "off"):
        apply("prices", {"fallback_mode": mode})
        with pytest.raises(CircuitOpen):
            prices.call(Dependency(refused))

        assert prices.call(Dependency()) == "answer"

    assert counts() == {"success": 1, "would_answer": 1}


def test_off_covers_every_kind() -> None:
    """Switched off, streams and coroutines are as written too."""
    prices = fallback("prices", ("about",))
    apply("prices", {"mode": "off"})

    @prices
    def stream() -> Generator[int, None, str]:
        yield 1
        return "end"

    @prices
    async def stream_async() -> AsyncGenerator[int, None]:
        yield 1

    @prices
    async def fetch() -> int:
        return 1

    async def main() -> list[object]:
        return [await fetch(), *[item async for item in stream_async()]]

    assert list(stream()) == [1]
    assert asyncio.run(main()) == [1, 1]
    assert counts() == {"success": 0}


def test_it_is_told_once_in_ten_seconds(clock: FakeClock, told: list[object]) -> None:
    """The first answer is told at once, and then how many there were meanwhile."""
    prices = fallback("prices", "about")
    run_on(clock)
    for _ in range(5):
        prices.call(Dependency(CircuitOpen("prices", "open")))
        clock.advance(1.0)

    assert told == [FellBack("prices", "fallback", "CircuitOpen", 0)]
    clock.advance(5.0)
    prices.call(Dependency(AttemptTimeout("s3cr3t")))
    assert told[1:] == [FellBack("prices", "fallback", "AttemptTimeout", 4)]
    assert counts()["fallback"] == 6


@pytest.fixture
def request_() -> contextvars.Context:
    """Give a context in which a request is under way."""
    context = contextvars.copy_context()
    context.run(activate, ContextRecord("req-1", degraded=[]))
    return context


def test_a_request_knows_that_it_is_degraded(request_: contextvars.Context) -> None:
    """The handler sees it after the call returned, by the names of the policies."""

    def handle() -> tuple[tuple[str, ...], ...]:
        before = svcready.degraded()
        for name in ("prices", "stock", "prices"):
            policy = fallback(name, "about")
            policy.call(Dependency(CircuitOpen(name, "open")))

        return before, svcready.degraded()

    assert request_.run(handle) == ((), ("prices", "stock"))
    assert svcready.degraded() == ()


def test_tasks_and_threads_of_a_request_degrade_it(
    request_: contextvars.Context,
) -> None:
    """What a task or a thread with the request's context falls back on counts too."""

    def ask(name: str) -> None:
        fallback(name, "about").call(Dependency(CircuitOpen(name, "open")))

    async def ask_async(name: str) -> None:
        svcready.bind(asked=name)
        ask(name)

    async def handle() -> tuple[str, ...]:
        await asyncio.gather(ask_async("prices"), asyncio.to_thread(ask, "stock"))
        with svcready.bound(inner=True):
            ask("rates")

        return svcready.degraded()

    assert set(request_.run(asyncio.run, handle())) == {"prices", "stock", "rates"}


def test_requests_do_not_degrade_one_another() -> None:
    """Each job has its own marks; outside of any nothing is marked."""
    seen: dict[str, tuple[str, ...]] = {}

    def job(name: str) -> None:
        with svcready.bound(job=name):
            fallback(name, "about").call(Dependency(CircuitOpen(name, "open")))
            seen[name] = svcready.degraded()

    threads = [threading.Thread(target=job, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join(30)

    job("c")
    assert seen == {"a": ("a",), "b": ("b",), "c": ("c",)}
    fallback("a", "about").call(Dependency(CircuitOpen("a", "open")))
    assert svcready.degraded() == ()


def test_equal_declarations_share() -> None:
    """The same function or value again is the same fallback; another one is not."""

    def declare() -> Fallback:
        return fallback("prices", lambda order: order)

    assert declare().core is declare().core
    with pytest.raises(DeclarationError, match=r"test_fallback\.py"):
        fallback("prices", with_error_named)

    with pytest.raises(DeclarationError, match=r"test_fallback\.py"):
        fallback("prices", with_error_last, on=OSError)


def test_it_is_found_by_its_name() -> None:
    """`get_fallback` returns what was declared, and says no to what was not."""
    prices = fallback("prices", "about")
    assert get_fallback("prices").core is prices.core
    with pytest.raises(KeyError):
        get_fallback("unknown")
