"""Hedged plain functions: attempts in threads, of which one answers."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from svcready.errors import DeadlineExceeded
from svcready.resilience import bulkhead, get_hedge, hedge, policy
from svcready.resilience._pillar import apply
from svcready.resilience._timing import _deadline
from svcready.testing import FakeClock
from tests.resilience.peers import Dependency


def counts() -> dict[str, int]:
    """Return the outcomes of the hedge's calls, those that there were."""
    return {what: n for what, n in get_hedge("quotes").core.counts().items() if n}


class Blocking:
    """A dependency whose attempts wait for the test to let them go, by number."""

    def __init__(self, *outcomes: object) -> None:
        self.outcomes = outcomes
        self.gates = [threading.Event() for _ in outcomes]
        self.begun = [threading.Event() for _ in outcomes]
        self.ended = [threading.Event() for _ in outcomes]
        self.threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def __call__(self, *args: object) -> object:
        """Take an attempt."""
        with self._lock:
            number = len(self.threads)
            self.threads.append(threading.current_thread())

        self.begun[number].set()
        try:
            assert self.gates[number].wait(30)
            outcome = self.outcomes[number]
            if isinstance(outcome, BaseException):
                raise outcome

            return outcome
        finally:
            self.ended[number].set()


@pytest.fixture
def blocking() -> Iterator[Callable[..., Blocking]]:
    """Make dependencies whose attempts all end with the test."""
    made: list[Blocking] = []

    def make(*outcomes: object) -> Blocking:
        made.append(Blocking(*outcomes))
        return made[-1]

    yield make
    for dependency in made:
        for gate in dependency.gates:
            gate.set()

        others = set(dependency.threads) - {threading.current_thread()}
        assert all(thread.daemon for thread in others)


def test_the_second_attempt_answers(blocking: Callable[..., Blocking]) -> None:
    """The caller has its answer while the first attempt still runs."""
    quotes = blocking("first", "second")
    quotes.gates[1].set()
    call = hedge("quotes", 0.001, threads=True)(quotes)
    assert call() == "second"
    assert not quotes.ended[0].is_set()
    assert threading.current_thread() not in quotes.threads
    assert counts() == {"success_hedge": 1}


def test_a_loser_keeps_its_permit_till_it_ends(
    blocking: Callable[..., Blocking],
) -> None:
    """The answer meets the deadline; what the other thread holds comes back later."""
    quotes = blocking("first", "second")
    quotes.gates[1].set()
    room = bulkhead("quotes", max_concurrent=2)
    made = hedge(after=0.001, threads=True)
    call = policy("quotes", hedge=made, bulkhead=room, deadline=30)(quotes)
    assert call() == "second"
    until(lambda: room.level.in_use == 1)
    assert not quotes.ended[0].is_set()
    quotes.gates[0].set()
    until(lambda: room.level.in_use == 0)


def test_a_fast_call_is_made_once(blocking: Callable[..., Blocking]) -> None:
    """Nothing starts beside a call that answers in time, and its thread is kept."""
    quotes = blocking("first", "second")
    for gate in quotes.gates:
        gate.set()

    call = hedge("quotes", 30, threads=1)(quotes)
    assert [call(), call()] == ["first", "second"]
    assert counts()["success"] >= 1


def test_all_fail_with_the_firsts_error(blocking: Callable[..., Blocking]) -> None:
    """An early failure that `on` names starts the next; the first's error goes out."""
    first, second = ConnectionError("first"), ConnectionError("second")
    quotes = blocking(first, second)
    for gate in quotes.gates:
        gate.set()

    call = hedge("quotes", 30, threads=True, on=ConnectionError)(quotes)
    with pytest.raises(ConnectionError) as caught:
        call()

    assert caught.value is first
    assert "2 attempts" in caught.value.__notes__[0]
    assert counts() == {"failed": 1}


def test_another_failure_ends_it() -> None:
    """An error that `on` does not name is the caller's at once."""
    quotes = Dependency(KeyError())
    with pytest.raises(KeyError):
        hedge("quotes", 30, threads=True, on=ConnectionError).call(quotes)

    assert quotes.calls == 1


def test_exits_pass() -> None:
    """What is no Exception goes to the caller as it is."""
    with pytest.raises(SystemExit):
        hedge("quotes", 30, threads=True).call(Dependency(SystemExit()))

    assert counts() == {}


def test_no_thread_is_left_to_wait_for(blocking: Callable[..., Blocking]) -> None:
    """With all threads taken a hedge is not made, and a call is its caller's own."""
    quotes = blocking("first", "second")
    quotes.gates[1].set()
    call = hedge("quotes", 0.001, threads=1)(quotes)
    answers: list[object] = []
    caller = threading.Thread(target=lambda: answers.append(call()))
    caller.start()
    assert quotes.begun[0].wait(30)
    assert call() == "second"
    assert quotes.threads[1] is threading.current_thread()
    quotes.gates[0].set()
    caller.join(30)
    assert answers == ["first"]
    assert counts()["threads"] >= 1
    with pytest.raises(ConnectionError):
        hedge("quotes", 0.001, threads=1).call(Dependency(ConnectionError()))


VALUE: contextvars.ContextVar[str] = contextvars.ContextVar("value", default="none")


def test_every_attempt_has_the_callers_context() -> None:
    """A copy of it: what an attempt sets stays there."""

    def quote() -> str:
        seen = VALUE.get()
        VALUE.set("attempt's")
        return seen

    def caller() -> tuple[object, str]:
        VALUE.set("caller's")
        return hedge("quotes", 30, threads=True).call(quote), VALUE.get()

    assert contextvars.copy_context().run(caller) == ("caller's", "caller's")


def test_the_deadline_ends_the_wait(blocking: Callable[..., Blocking]) -> None:
    """The caller stops waiting when its time is over, whoever runs on."""
    quotes = blocking("first")
    core = hedge("quotes", 30, threads=True).core

    def caller() -> None:
        _deadline.put(core.clock.monotonic() + 0.001)
        with pytest.raises(DeadlineExceeded):
            hedge("quotes", 30, threads=True).call(quotes)

    contextvars.copy_context().run(caller)
    assert counts() == {"deadline": 1}
    assert core.pool is not None
    assert core.pool.abandoned == 1


def test_an_empty_budget_makes_no_attempt(
    blocking: Callable[..., Blocking], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow call that nothing pays a hedge for is only slow."""
    quotes = blocking("first", "never")
    core = hedge("quotes", 0.001, threads=True).core
    while core.budget.withdraw(core.clock.monotonic()):
        pass

    decide = core.refusal

    def refusal() -> str | None:
        refused = decide()
        quotes.gates[0].set()
        return refused

    monkeypatch.setattr(core, "refusal", refusal)
    assert hedge("quotes", 0.001, threads=True).call(quotes) == "first"
    assert len(quotes.threads) == 1
    assert counts() == {"budget": 1}


def test_modes(clock: FakeClock) -> None:
    """`observe` makes one attempt in the caller's thread and tells; `off` nothing."""
    call = hedge("quotes", 1, threads=True)
    threads: list[threading.Thread] = []

    def quote(took_s: float) -> None:
        threads.append(threading.current_thread())
        clock.advance(took_s)

    for mode in ("observe", "off"):
        apply("quotes", {"mode": mode}, clock)
        call.call(quote, 0.5)
        call.call(quote, 1.5)

    assert counts() == {"success": 1, "would_hedge": 1}
    assert set(threads) == {threading.current_thread()}
    apply("quotes", {"mode": "observe"}, clock)
    with pytest.raises(ConnectionError):
        call.call(Dependency(ConnectionError()))


class Lost(ConnectionError):
    """An error that a weak reference can watch."""


@pytest.mark.parametrize("loser", ["fails", "is left", "is late"])
def test_nothing_keeps_an_error_alive(
    blocking: Callable[..., Blocking], loser: str
) -> None:
    """A race's errors and answers go with it, without the garbage collector."""
    alive: list[weakref.ref[Lost]] = []
    dependency = blocking(1, 2)
    dependency.gates[0].set()
    if loser == "fails":
        dependency.gates[1].set()

    def quote() -> object:
        number = cast("int", dependency())
        error = Lost()
        alive.append(weakref.ref(error))
        try:
            raise error
        finally:
            if loser == "is late" and number == 1:
                dependency.gates[1].set()

            del error

    made = hedge("quotes", 30, threads=True, on=ConnectionError)
    call, pool = made(quote), made.core.pool
    assert pool is not None

    def caller() -> None:
        spare_s = 0.05 if loser == "is left" else 30
        _deadline.put(made.core.clock.monotonic() + spare_s)
        with contextlib.suppress(ConnectionError, DeadlineExceeded):
            call()

    gc.collect()
    gc.disable()
    try:
        contextvars.copy_context().run(caller)
        assert pool.abandoned == (loser == "is left")
        dependency.gates[1].set()
        until(lambda: len(alive) == 2 and not pool.abandoned)
        until(lambda: [reference() for reference in alive] == [None, None])
    finally:
        gc.enable()


def until(condition: Callable[[], bool]) -> None:
    """Give other threads their turn until *condition* holds."""
    pause = threading.Event()
    for _ in range(2_000):
        if condition():
            return

        pause.wait(0.0005)

    raise AssertionError
