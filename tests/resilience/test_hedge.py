"""Hedges: when another attempt starts, who answers, and what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import random
import sys
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator

import pytest

from svcready._core import fork
from svcready.errors import BulkheadFull, CircuitOpen, DeclarationError
from svcready.resilience import (
    bulkhead,
    circuit_breaker,
    fallback,
    get_bulkhead,
    get_hedge,
    hedge,
    policy,
    retry,
)
from svcready.resilience._pillar import apply
from svcready.resilience._timing import _deadline
from svcready.testing import FakeClock
from tests.conftest import Faults
from tests.resilience.fake_loop import run_on_fake_time
from tests.resilience.peers import Dependency, breaker_of, retrier_of, run_on

Step = tuple[float, object]


class Slow:
    """
    A dependency whose attempts take as long, and end, as they are told.

    Args:
        steps: For each attempt its seconds and what it returns or raises.
    """

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.started: list[float] = []
        self.ended: list[str] = []
        self.running = 0

    async def __call__(self, *args: object) -> object:
        """Take an attempt."""
        number = len(self.started)
        self.started.append(asyncio.get_running_loop().time())
        self.running += 1
        took_s, outcome = self.steps[min(number, len(self.steps) - 1)]
        try:
            await asyncio.sleep(took_s)
            if isinstance(outcome, BaseException):
                raise outcome
        except asyncio.CancelledError:
            self.ended.append(f"{number} cancelled")
            raise
        except BaseException:
            self.ended.append(f"{number} failed")
            raise
        else:
            self.ended.append(f"{number} answered")
            return outcome
        finally:
            self.running -= 1

    def delays(self) -> list[float]:
        """Return when the attempts started, from the first one on."""
        return [round(at_s - self.started[0], 6) for at_s in self.started]


def counts(name: str = "quotes") -> dict[str, int]:
    """Return the outcomes of a hedge's calls, those that there were."""
    return {what: n for what, n in get_hedge(name).core.counts().items() if n}


def ask(clock: FakeClock, call: Callable[..., object]) -> object:
    """Make one call of a coroutine function on fake time."""

    async def main() -> object:
        made = call()
        assert isinstance(made, Awaitable)
        return await made

    return run_on_fake_time(main(), clock)


def test_a_fast_call_is_made_once(clock: FakeClock) -> None:
    """Nothing starts beside a call that answers in time."""
    quotes = Slow((0.09, "first"))
    call = hedge("quotes", 0.1)(quotes)
    run_on(clock)
    assert ask(clock, call) == "first"
    assert quotes.ended == ["0 answered"]
    assert counts() == {"success": 1}


def test_a_slow_calls_hedge_answers(clock: FakeClock) -> None:
    """The second attempt starts after the time, wins, and the first is cancelled."""
    quotes = Slow((5.0, "first"), (0.05, "second"))
    call = hedge("quotes", "100ms")(quotes)
    run_on(clock)
    assert ask(clock, call) == "second"
    assert quotes.delays() == [0.0, 0.1]
    assert quotes.ended == ["1 answered", "0 cancelled"]
    assert counts() == {"success_hedge": 1}


def test_the_first_may_still_win(clock: FakeClock) -> None:
    """The hedge is the one that is cancelled, if the first answers first."""
    quotes = Slow((0.12, "first"), (0.05, "second"))
    call = hedge("quotes", 0.1)(quotes)
    run_on(clock)
    assert ask(clock, call) == "first"
    assert quotes.ended == ["0 answered", "1 cancelled"]
    assert counts() == {"success_first": 1}


def test_hedges_follow_one_another(clock: FakeClock) -> None:
    """Each waits as long after the one before, up to as many as there may be."""
    quotes = Slow((5.0, "first"))
    call = hedge("quotes", 0.1, max_hedges=3)(quotes)
    run_on(clock)
    assert ask(clock, call) == "first"
    assert quotes.delays() == [0.0, 0.1, 0.2, 0.3]


def test_it_fails_when_all_have_failed(clock: FakeClock) -> None:
    """With the error of the first, as it would have been without the hedge."""
    first, second = ConnectionError("first"), ConnectionError("second")
    quotes = Slow((0.2, first), (0.05, second))
    call = hedge("quotes", 0.1)(quotes)
    run_on(clock)
    with pytest.raises(ConnectionError) as caught:
        ask(clock, call)

    assert caught.value is first
    assert caught.value.__notes__ == [
        "svcready: hedge 'quotes' gave up after 2 attempts: attempts"
    ]
    assert counts() == {"failed": 1}


def test_a_failure_alone_starts_nothing(clock: FakeClock) -> None:
    """Unless `on` says so, a call that fails at once has answered."""
    quotes = Slow((0.0, ConnectionError()))
    call = hedge("quotes", 0.1)(quotes)
    run_on(clock)
    with pytest.raises(ConnectionError) as caught:
        ask(clock, call)

    assert not hasattr(caught.value, "__notes__")
    assert quotes.delays() == [0.0]


def test_an_early_failure_starts_the_next_at_once(clock: FakeClock) -> None:
    """An error that `on` names is not waited after, and no other is retried."""
    quotes = Slow((0.01, ConnectionError()), (5.0, "late"), (0.01, "third"))
    call = hedge("quotes", 0.1, max_hedges=2, on=ConnectionError)(quotes)
    run_on(clock)
    assert ask(clock, call) == "third"
    assert quotes.delays() == [0.0, 0.01, 0.11]
    other = hedge("orders", 0.1, on=ConnectionError)(Slow((0.0, KeyError())))
    with pytest.raises(KeyError):
        ask(clock, other)

    assert counts("orders") == {"failed": 1}


def test_a_failed_hedge_leaves_the_first_its_time(clock: FakeClock) -> None:
    """One that fails does not end the call while another runs."""
    quotes = Slow((0.5, "first"), (0.0, ConnectionError()))
    call = hedge("quotes", 0.1)(quotes)
    run_on(clock)
    assert ask(clock, call) == "first"
    assert counts() == {"success_first": 1}


def test_refusals_start_nothing(clock: FakeClock) -> None:
    """What svcready refused is not asked again, whatever `on` says."""
    for refused in (CircuitOpen("quotes", "open"), BulkheadFull("quotes", "full")):
        quotes = Slow((0.0, refused))
        call = hedge("quotes", 0.1, on=lambda _: True).call
        run_on(clock)
        with pytest.raises(type(refused)):
            ask(clock, lambda call=call, quotes=quotes: call(quotes))

        assert len(quotes.started) == 1


def test_what_an_inner_retry_gave_up_on_starts_nothing(clock: FakeClock) -> None:
    """Attempts do not multiply."""
    quotes = Slow((0.0, ConnectionError()))
    inner = retry("inner", on=ConnectionError, attempts=2)(quotes)
    call = hedge("quotes", 9, on=ConnectionError)(inner)
    run_on(clock)
    with pytest.raises(ConnectionError):
        ask(clock, call)

    assert len(quotes.started) == 2


def test_every_attempt_meets_the_breaker(clock: FakeClock) -> None:
    """Losers are cancelled calls for it; failures of hedges count as failures."""
    quotes = Slow((5.0, "first"), (0.05, "second"))
    call = policy("quotes", hedge=0.1, breaker=True)(quotes)
    run_on(clock)
    assert ask(clock, call) == "second"
    assert breaker_of("quotes").counts() == {"success": 1, "cancelled": 1}


def test_total_slowness_is_not_amplified(clock: FakeClock) -> None:
    """100 slow calls/s for 60 s make at most a fifth and 1/s more attempts."""
    quotes = Slow((0.5, "answer"))
    call = hedge("quotes", 0.1)(quotes)
    run_on(clock)

    async def main() -> None:
        calls = []
        for _ in range(6_000):
            await asyncio.sleep(0.01)
            calls.append(asyncio.ensure_future(call()))

        await asyncio.wait(calls)

    run_on_fake_time(main(), clock)
    hedges = len(quotes.started) - 6_000
    assert hedges <= 0.2 * 6_000 + 60 + 10  # the reserve is there at first
    assert hedges >= 0.15 * 6_000  # it is a budget, not a ban
    assert counts() == {"success_first": hedges, "budget": 6_000 - hedges}


def test_the_retrys_budget_pays(clock: FakeClock) -> None:
    """What retries of the name have spent is not there for hedges."""
    hedged = hedge("quotes", 0.1)
    retry("quotes", on=ConnectionError)
    run_on(clock)
    budget = retrier_of("quotes").budget
    while budget.withdraw(clock.monotonic()):
        pass

    quotes = Slow((0.5, "first"))
    assert ask(clock, hedged(quotes)) == "first"
    assert quotes.delays() == [0.0]
    assert counts() == {"budget": 1}
    for _ in range(20):
        ask(clock, hedged(Slow((0.01, "fast"))))

    assert budget.withdraw(clock.monotonic())  # calls of either kind pay in


@pytest.mark.parametrize("free", ["hedge", "retry"])
def test_a_budget_that_is_none_is_nobody_elses(clock: FakeClock, free: str) -> None:
    """`budget=False` of the one does not free the other, nor bind it."""
    hedged = hedge("quotes", 0.1, budget=free != "hedge")
    retry("quotes", on=ConnectionError, budget=free != "retry")
    run_on(clock)
    while get_hedge("quotes").core._budget.withdraw(clock.monotonic()):
        if free == "hedge":
            break

    if free == "hedge":
        while retrier_of("quotes").budget.withdraw(clock.monotonic()):
            pass

    quotes = Slow((0.5, "first"))
    ask(clock, hedged(quotes))
    assert len(quotes.started) == (2 if free == "hedge" else 1)


def test_no_hedge_starts_after_the_deadline(clock: FakeClock) -> None:
    """What could not answer in time is not begun."""
    quotes = Slow((0.5, "first"))
    call = hedge("quotes", 0.1)(quotes)
    run_on(clock)

    def bounded() -> object:
        _deadline.put(clock.monotonic() + 0.1)
        return call()

    assert contextvars.copy_context().run(ask, clock, bounded) == "first"
    assert quotes.delays() == [0.0]
    assert counts() == {"deadline": 1}


VALUE: contextvars.ContextVar[str] = contextvars.ContextVar("value", default="none")


def test_every_attempt_has_a_context_of_its_own(clock: FakeClock) -> None:
    """It sees what the caller has set, and neither the other nor the caller sees it."""
    seen: list[str] = []

    @hedge("quotes", 0.1)
    async def quote() -> str:
        seen.append(VALUE.get())
        VALUE.set("attempt's")
        await asyncio.sleep(0.3)
        return VALUE.get()

    run_on(clock)

    async def main() -> tuple[str, str]:
        VALUE.set("caller's")
        return await quote(), VALUE.get()

    assert run_on_fake_time(main(), clock) == ("attempt's", "caller's")
    assert seen == ["caller's", "caller's"]


def test_a_refused_hedge_does_not_fail_the_call(clock: FakeClock) -> None:
    """A full bulkhead keeps the second attempt out; the first one goes on."""
    quotes = Slow((0.5, "first"))
    call = policy("quotes", hedge=0.1, bulkhead=1)(quotes)
    run_on(clock)
    assert ask(clock, call) == "first"
    assert len(quotes.started) == 1
    assert get_bulkhead("quotes").level.in_use == 0
    assert counts() == {"success_first": 1}


class Stubborn:
    """Attempts that end at random, some of them slow to let themselves be cancelled."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.running = 0

    async def __call__(self) -> str:
        """Take an attempt."""
        rng = self.rng
        self.running += 1
        try:
            for _ in range(rng.randrange(3)):
                try:
                    await asyncio.sleep(rng.choice([0.0, 0.05, 0.1, 0.15, 1.0]))
                except asyncio.CancelledError:
                    if rng.random() < 0.5:
                        await asyncio.sleep(rng.choice([0.0, 0.3]))
                        if rng.random() < 0.2:
                            continue  # swallows it

                    raise

            if rng.random() < 0.4:
                raise rng.choice([ConnectionError, KeyError])

            return "answer"
        finally:
            self.running -= 1


async def until_losers_ended() -> None:
    """Wait for what an answer has not waited for."""
    if losers := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(losers)


def test_nothing_is_left_behind_by_a_thousand_random_calls(clock: FakeClock) -> None:
    """No task, no permit and no probe, whoever is cancelled, when, and how often."""
    rng = random.Random(7)
    outcomes: set[str] = set()

    async def one(call: Callable[[], Awaitable[object]]) -> None:
        task = asyncio.ensure_future(call())
        for _ in range(rng.randrange(3)):
            await asyncio.sleep(rng.choice([0.0, 0.05, 0.1, 0.2]))
            task.cancel()

        (result,) = await asyncio.gather(task, return_exceptions=True)
        outcomes.add(type(result).__name__)

    async def some(call: Callable[[], Awaitable[object]]) -> None:
        await asyncio.gather(*[one(call) for _ in range(rng.randrange(1, 4))])
        await until_losers_ended()

    for number in range(1_000):
        name = f"quotes-{number % 9}"
        quotes = Stubborn(rng)
        room = bulkhead(max_concurrent=1 + number % 3, max_queue=1, max_wait=0.1)
        guards = policy(
            name,
            hedge=hedge(after=0.1, max_hedges=2, on=ConnectionError),
            bulkhead=room,
            breaker=circuit_breaker(consecutive_failures=2, open_for=0.1),
        )
        run_on(clock)
        run_on_fake_time(some(guards(quotes)), clock)
        assert quotes.running == 0
        assert get_bulkhead(name).level[:2] == (0, 0)
        assert breaker_of(name)._probe is None

    assert outcomes >= {
        "str",
        "BulkheadFull",
        "CancelledError",
        "ConnectionError",
        "KeyError",
        "CircuitOpen",
    }


@pytest.mark.parametrize("turns", range(24))
def test_cancelled_at_any_turn_it_leaves_nothing(clock: FakeClock, turns: int) -> None:
    """Whichever await the caller's cancellation meets, it comes out as such."""
    running = 0

    @hedge("quotes", 0.001, max_hedges=2, on=ConnectionError)
    async def quote() -> str:
        nonlocal running
        running += 1
        try:
            for _ in range(8):
                await asyncio.sleep(0)
                clock.advance(0.0002)

            return "answer"
        finally:
            try:
                await asyncio.sleep(0)
            finally:
                running -= 1

    run_on(clock)

    async def main() -> bool:
        task = asyncio.ensure_future(quote())
        for _ in range(turns):
            await asyncio.sleep(0)

        told = task.cancel()
        await asyncio.wait([task])
        assert running == 0
        return told is task.cancelled()

    assert run_on_fake_time(main(), clock)


@pytest.mark.parametrize("error", [None, ConnectionError, SystemError])
def test_an_answer_is_not_kept_waiting(
    clock: FakeClock, error: type[Exception] | None
) -> None:
    """A loser cleans up by itself, gives back what it holds, and nobody is told."""
    complaints: list[object] = []
    room = bulkhead("quotes", max_concurrent=2)
    attempts = 0

    @policy("quotes", hedge=hedge(after=0.1), bulkhead=room, deadline=0.5)
    async def quote() -> str:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            return "answer"

        try:
            await asyncio.sleep(0.4)
        finally:
            await asyncio.sleep(3.0)
            if error is not None:
                raise error

        return "late"

    run_on(clock)
    began_s = clock.monotonic()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        assert await quote() == "answer"
        assert clock.monotonic() - began_s == pytest.approx(0.1)
        assert room.level.in_use == 1
        gc.collect()
        await until_losers_ended()
        assert room.level.in_use == 0

    run_on_fake_time(main(), clock)
    gc.collect()
    assert not complaints


def test_a_loser_that_shields_itself_is_held_and_answers_nobody(
    clock: FakeClock,
) -> None:
    """Its hedge alone holds on to it; its answer is dropped, its permit given back."""
    room = bulkhead("quotes", max_concurrent=2)
    futures: list[weakref.ref[asyncio.Future[None]]] = []
    attempts = 0

    @policy("quotes", hedge=hedge(after=0.1), bulkhead=room, deadline=0.5)
    async def quote() -> str:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            return "answer"

        inner = asyncio.get_running_loop().create_future()
        futures.append(weakref.ref(inner))
        while not inner.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(inner)

        return "late"

    run_on(clock)

    async def main() -> None:
        assert await quote() == "answer"
        await asyncio.sleep(9)
        gc.collect()
        inner = futures[0]()
        assert inner is not None
        assert room.level.in_use == 1
        inner.set_result(None)
        await until_losers_ended()
        assert room.level.in_use == 0

    run_on_fake_time(main(), clock)
    assert counts() == {"success_hedge": 1}


def test_a_cancelled_caller_waits_for_who_cleans_up(clock: FakeClock) -> None:
    """Without an answer nothing is left running, however long that takes."""
    room = bulkhead("quotes", max_concurrent=2)

    @policy("quotes", hedge=hedge(after=0.1), bulkhead=room)
    async def quote() -> None:
        try:
            await asyncio.sleep(9)
        finally:
            await asyncio.sleep(3)

    run_on(clock)
    began_s = clock.monotonic()

    async def main() -> None:
        task = asyncio.ensure_future(quote())
        await asyncio.sleep(1)
        assert room.level.in_use == 2
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert room.level.in_use == 0

    run_on_fake_time(main(), clock)
    assert clock.monotonic() - began_s == pytest.approx(4.0)


@pytest.mark.parametrize("left", ["loser", "race"])
def test_what_a_closed_loop_leaves_goes_with_it(
    left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither task nor permit nor loop stays, and nothing is raised into nowhere."""
    raised: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    room = bulkhead("quotes", max_concurrent=2)
    attempts = 0

    # A task that never got to begin is told of by Python, whoever made it.
    after_s = 0.001 if left == "loser" else 3600.0

    @policy("quotes", hedge=hedge(after=after_s), bulkhead=room)
    async def quote() -> str:
        nonlocal attempts
        attempts += 1
        if attempts == 2 and left == "loser":
            return "answer"

        try:
            await asyncio.sleep(3600)
        finally:
            if left == "loser":
                await asyncio.sleep(3600)

        return "late"

    async def main() -> None:
        task = asyncio.ensure_future(quote())
        await asyncio.wait([task], timeout=0.0 if left == "race" else None)
        await asyncio.sleep(0)
        assert room.level.in_use >= 1

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # asyncio tells of tasks in pieces
    loop.run_until_complete(main())
    loop.close()
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None
    assert room.level.in_use == 0
    assert not raised


def test_a_timeout_around_it_is_a_timeout(clock: FakeClock) -> None:
    """`asyncio.timeout` sees its own cancellation come back."""
    quotes = Slow((5.0, "late"))
    call = hedge("quotes", 0.1)(quotes)
    run_on(clock)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await call()

        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run_on_fake_time(main(), clock)
    assert quotes.ended == ["0 cancelled", "1 cancelled"]
    assert counts() == {}


def test_a_second_cancellation_reaches_who_cleans_up(clock: FakeClock) -> None:
    """An attempt that takes its time over its end is told again, as a task would be."""

    @hedge("quotes", 0.1)
    async def quote() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            await asyncio.sleep(3600)

    run_on(clock)
    began_s = clock.monotonic()

    async def main() -> bool:
        task = asyncio.ensure_future(quote())
        for _ in range(2):
            await asyncio.sleep(1)
            task.cancel()

        await asyncio.wait([task])
        return task.cancelled()

    assert run_on_fake_time(main(), clock)
    assert clock.monotonic() - began_s == pytest.approx(2.0)


def test_an_attempt_that_is_cancelled_from_within_cancels_the_call(
    clock: FakeClock,
) -> None:
    """Cancellation is no outcome that another attempt could make good."""
    quotes = Slow((0.15, asyncio.CancelledError()), (5.0, "late"))
    call = hedge("quotes", 0.1, on=Exception)(quotes)
    run_on(clock)
    with pytest.raises(asyncio.CancelledError):
        ask(clock, call)

    assert quotes.ended == ["0 cancelled", "1 cancelled"]


def test_a_coroutine_that_nobody_finishes_cancels_its_attempts() -> None:
    """Closed by the collector it can wait for nobody, and leaves nobody running."""
    quotes = Slow((5.0, "late"))
    call = hedge("quotes", 9)(quotes)

    async def main() -> None:
        made = call()
        assert asyncio.iscoroutine(made)
        made.send(None)
        await asyncio.sleep(0)
        made.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert quotes.ended == ["0 cancelled"]


@pytest.mark.parametrize("step", ["decides", "ends"])
@pytest.mark.parametrize("where", ["on the loop", "in another thread"])
def test_what_a_closed_coroutine_leaves_is_nobodys_complaint(
    step: str, where: str
) -> None:
    """Attempts that fail over their cancellation are heard, whoever closes it."""
    complaints: list[object] = []
    running = 0

    @hedge("quotes", 9)
    async def quote() -> None:
        nonlocal running
        running += 1
        try:
            await asyncio.sleep(9)
        finally:
            try:
                await asyncio.sleep(0.01)
                raise ConnectionError
            finally:
                running -= 1

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        made = quote()
        made.send(None)
        await asyncio.sleep(0)
        if step == "ends":
            made.throw(asyncio.CancelledError())

        if where == "on the loop":
            made.close()
        else:
            await asyncio.to_thread(made.close)

        del made
        await until_losers_ended()
        assert running == 0
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert not complaints


def test_functions_that_return_awaitables_are_hedged(clock: FakeClock) -> None:
    """Coroutines, tasks and other awaitables, from the first attempt on."""
    quotes = Slow((5.0, "first"), (0.05, "second"))

    class Promise:
        def __await__(self) -> Generator[object, object, object]:
            return quotes().__await__()

    forms: list[Callable[[], object]] = [
        lambda: quotes(),
        lambda: asyncio.ensure_future(quotes()),
        Promise,
    ]
    for form in forms:
        quotes.started.clear()
        call = hedge("quotes", 0.1).call
        run_on(clock)
        assert ask(clock, lambda call=call, form=form: call(form)) == "second"
        assert quotes.delays() == [0.0, 0.1]

    assert counts() == {"success_hedge": 3}


def test_a_plain_function_is_called_as_it_is_and_told(faults: Faults) -> None:
    """It can't be known when it is decorated, so it is said once."""
    call = hedge("quotes", 0.1)(Dependency())
    assert [call(), call()] == ["answer", "answer"]
    assert "threads=True" in str(faults.claim("resilience.hedge"))
    assert counts() == {}


def test_generators_are_refused() -> None:
    """Two streams can't be raced for their items."""

    def stream() -> Iterator[int]:
        yield 1

    async def stream_async() -> AsyncGenerator[int, None]:
        yield 1

    for function in (stream, stream_async):
        with pytest.raises(DeclarationError, match="generators"):
            hedge("quotes", 0.1)(function)


def test_a_retry_of_the_same_name_is_refused() -> None:
    """A hedge makes the further attempts itself; two that do multiply."""

    async def quote() -> str:
        return ""

    with pytest.raises(DeclarationError, match="hedge makes"):
        hedge("quotes", 0.1)(retry("quotes", on=OSError)(quote))

    with pytest.raises(DeclarationError, match="hedge makes"):
        policy("orders", retry=OSError, hedge=0.1)


def test_modes(clock: FakeClock) -> None:
    """`observe` makes one attempt and tells of two; `off` takes no part."""
    call = hedge("quotes", 0.1)
    run_on(clock)
    for mode in ("observe", "off"):
        apply("quotes", {"hedge_mode": mode}, clock)
        for form in (Slow((0.5, "first")), Slow((0.01, "first"))):
            assert ask(clock, call(form)) == "first"
            assert ask(clock, call(lambda form=form: form())) == "first"  # type: ignore[misc]
            assert len(form.started) == 2

    with pytest.raises(ConnectionError):
        ask(clock, call(Slow((0.0, ConnectionError()))))

    assert counts() == {"would_hedge": 2, "success": 2}
    apply("quotes", {"hedge_mode": "observe"}, clock)
    with pytest.raises(ConnectionError):
        ask(clock, call(Slow((0.0, ConnectionError()))))

    assert counts()["failed"] == 1


def test_an_operator_tunes_it(clock: FakeClock) -> None:
    """The time and the number by variable; a number takes a percentile's place."""
    quotes = Slow((0.5, "first"))
    call = hedge("quotes", "p95")(quotes)
    apply("quotes", {"hedge_after_s": "200ms", "hedge_max": 2}, clock)
    ask(clock, call)
    assert quotes.delays() == [0.0, 0.2, 0.4]
    apply("quotes", {"hedge_after_s": "200ms", "hedge_max": 0}, clock)
    quotes.started.clear()
    ask(clock, call)
    assert quotes.delays() == [0.0]


def test_a_percentile_is_learnt(clock: FakeClock) -> None:
    """`p95` hedges nothing at first, then what takes longer than 19 in 20 calls."""
    call = hedge("quotes", "p95")
    run_on(clock)
    rng = random.Random(3)
    early = Slow((9.0, "first"))
    ask(clock, call(early))
    assert early.delays() == [0.0]
    for _ in range(400):
        ask(clock, call(Slow((rng.uniform(0.01, 0.11), "fast"))))

    clock.advance(1.0)
    slow = Slow((9.0, "first"), (0.05, "second"))
    assert ask(clock, call(slow)) == "second"
    assert 0.105 <= slow.delays()[1] <= 0.105 * 1.13
    clock.advance(90.0)
    forgotten = Slow((9.0, "first"))
    ask(clock, call(forgotten))
    assert forgotten.delays() == [0.0]


def test_an_operator_asks_for_a_percentile(clock: FakeClock) -> None:
    """In place of the code's time, learnt from then on; a time as well is told."""
    call = hedge("quotes", 0.1)
    run_on(clock)
    assert apply("quotes", {"hedge_percentile": "p90"}, clock) == ()
    early = Slow((9.0, "first"))
    ask(clock, call(early))
    assert early.delays() == [0.0]
    for _ in range(60):
        ask(clock, call(Slow((0.05, "fast"))))

    clock.advance(1.0)
    slow = Slow((9.0, "first"), (0.05, "second"))
    assert ask(clock, call(slow)) == "second"
    assert slow.delays()[1] == pytest.approx(0.05, rel=0.13)
    said = {"hedge_percentile": "99%", "hedge_after_s": 0.2}
    (problem,) = apply("quotes", said, clock)
    assert "hedge_after_s is in force" in problem
    slow = Slow((9.0, "first"), (0.05, "second"))
    ask(clock, call(slow))
    assert slow.delays() == [0.0, 0.2]


def test_an_operator_tunes_what_pays(clock: FakeClock) -> None:
    """With neither deposits nor reserve there is no hedge."""
    call = hedge("quotes", 0.1)
    run_on(clock)
    apply("quotes", {"budget_ratio": 0, "budget_reserve_per_s": 0}, clock)
    slow = Slow((0.2, "first"))
    assert ask(clock, call(slow)) == "first"
    assert counts() == {"budget": 1}


def test_a_fallback_answers_what_the_hedge_gave_up_on(clock: FakeClock) -> None:
    """Errors that its `on` names; others are the caller's, as with a retry."""
    quotes = policy(
        "quotes", hedge=hedge(after=0.1, on=ConnectionError), fallback=lambda: "about"
    )
    run_on(clock)
    assert ask(clock, quotes(Slow((0.0, ConnectionError())))) == "about"
    with pytest.raises(KeyError):
        ask(clock, quotes(Slow((0.2, KeyError()))))

    outer = fallback("outer", lambda: "about")
    inner = hedge("inner", 0.1, on=ConnectionError)(Slow((0.0, ConnectionError())))
    run_on(clock)
    assert ask(clock, outer(inner)) == "about"


def test_nothing_keeps_an_error_alive(clock: FakeClock) -> None:
    """A failed call's errors go with it, without the garbage collector."""
    alive: list[weakref.ref[ConnectionError]] = []

    class Lost(ConnectionError):
        pass

    def made() -> ConnectionError:
        error = Lost()
        alive.append(weakref.ref(error))
        return error

    @hedge("quotes", 0.1, on=ConnectionError)
    async def quote() -> str:
        await asyncio.sleep(0.2)
        raise made()

    run_on(clock)

    async def main() -> list[object]:
        with contextlib.suppress(ConnectionError):
            await quote()

        await asyncio.sleep(0)
        return [reference() for reference in alive]

    gc.disable()
    try:
        assert run_on_fake_time(main(), clock) == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("time", {}),
        ("after", {"after": 0}),
        ("after", {"after": "p20"}),
        ("after", {"after": "soon"}),
        ("max_hedges", {"after": 1, "max_hedges": 0}),
        ("max_hedges", {"after": 1, "max_hedges": 11}),
        ("on", {"after": 1, "on": BaseException}),
        ("threads", {"after": 1, "threads": -1}),
    ],
)
def test_wrong_arguments_are_refused(
    argument: str, arguments: dict[str, object]
) -> None:
    """Each is named with what is allowed."""
    with pytest.raises(DeclarationError, match=argument):
        hedge("quotes", **arguments)  # type: ignore[call-overload]


def test_equal_declarations_share() -> None:
    """The same again is the same hedge, found by its name; another one is refused."""
    assert hedge("quotes", 0.1).core is hedge("quotes", "100ms").core
    assert get_hedge("quotes").core is hedge("quotes", 0.1).core
    with pytest.raises(DeclarationError, match=r"test_hedge\.py"):
        hedge("quotes", 0.2)

    with pytest.raises(KeyError):
        get_hedge("unknown")


def test_a_forked_child_begins_its_totals_anew(clock: FakeClock) -> None:
    """What happened before the fork is the parent's to tell; locks are new."""
    call = hedge("quotes", "p95")(Slow((0.01, "answer")))
    run_on(clock)
    ask(clock, call)
    fork._run_resets()
    assert counts() == {}
    ask(clock, call)
    assert counts() == {"success": 1}
