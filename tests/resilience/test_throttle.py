"""Client-side throttling: how much is held back, of what, and when no more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready._core import fork
from svcready._core.guard import set_reporter
from svcready.errors import (
    BulkheadFull,
    DeclarationError,
    LoadShed,
    RateLimited,
    Throttled,
)
from svcready.resilience import bulkhead, get_throttle, policy, throttle
from svcready.resilience._admitting._config_gates import ThrottleConfig
from svcready.resilience._admitting._overload import is_overload
from svcready.resilience._admitting._throttler import Throttler
from svcready.resilience._pillar import apply
from svcready.testing import FakeClock
from tests.resilience.peers import Dependency

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from svcready.resilience._admitting._throttle import Throttle


class OverloadError(Exception):
    """A dependency that has too much to do."""


@pytest.fixture(params=[True, False], ids=["gil", "no gil"], autouse=True)
def _build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test holds with and without successes that count without the lock."""
    monkeypatch.setattr(
        "svcready.resilience._admitting._throttler.can_count_unlocked",
        lambda: request.param,
    )


def on(clock: FakeClock, made: Throttle, *draws: float) -> Throttle:
    """Return a throttle on the test's clock, which draws what is given, then 1."""
    made.core.use(made.core.config, clock)
    left = [*draws]
    made.core._rng = lambda: left.pop(0) if left else 1.0
    return made


def made_for(clock: FakeClock, *draws: float, **arguments: float) -> Throttle:
    """Return the throttle that most tests use."""
    return on(clock, throttle("search", on=OverloadError, **arguments), *draws)


def feed(made: Throttle, accepted: int, overloaded: int) -> None:
    """Let so many calls be accepted, then so many be refused by the dependency."""
    for _ in range(accepted):
        made.call(str)

    for _ in range(overloaded):
        with pytest.raises(OverloadError):
            made.call(Dependency(OverloadError()))


def test_while_it_accepts_its_share_nothing_is_held_back(clock: FakeClock) -> None:
    """Up to one overload answer for each that was accepted, all calls go."""
    made = made_for(clock)
    made.core._rng = lambda: 0.0
    feed(made, 10, 10)
    assert made.rejection == 0.0
    assert made.core.counts() == {"success": 10, "overload": 10}


def test_beyond_that_calls_are_held_back_by_chance(clock: FakeClock) -> None:
    """The formula of the SRE book, on requests and accepts of the window."""
    made = made_for(clock)
    feed(made, 10, 30)
    on(clock, made, 0.99, 0.0)
    assert made.rejection == pytest.approx((40 - 2 * 10) / 41)
    made.call(str)
    assert made.rejection == pytest.approx((41 - 2 * 11) / 42)
    with pytest.raises(Throttled) as held:
        made.call(str)

    assert (held.value.name, held.value.reason) == ("search", "throttled")
    assert made.rejection == pytest.approx((42 - 2 * 11) / 43)  # what is held counts
    assert made.core.counts() == {"success": 11, "overload": 30, "rejected": 1}


def test_some_always_go_to_see_whether_it_recovered(clock: FakeClock) -> None:
    """No more than `max_rejection` is held back, however long it refuses."""
    made = made_for(clock, *[1.0] * 100)
    feed(made, 0, 100)
    assert made.rejection == 0.9
    on(clock, made, 0.9, 0.899)
    made.call(str)
    with pytest.raises(Throttled):
        made.call(str)


def test_what_left_the_window_is_forgotten(clock: FakeClock) -> None:
    """After two minutes of silence all calls go."""
    made = made_for(clock, *[1.0] * 100)
    feed(made, 0, 100)
    clock.advance(107.9)
    assert made.rejection == 0.9
    clock.advance(12.1)
    assert made.rejection == 0.0
    made.core._rng = lambda: 0.0
    made.call(str)


def test_the_window_takes_accepts_away_too(clock: FakeClock) -> None:
    """Successes of before don't outweigh a dependency that is overloaded now."""
    made = made_for(clock)
    feed(made, 1000, 0)
    clock.advance(100)
    feed(made, 0, 50)
    assert made.rejection == 0.0
    clock.advance(20)
    assert made.rejection == 0.9


@pytest.mark.parametrize(
    "error",
    [RateLimited("a", "rate"), LoadShed("a", "shed"), BulkheadFull("a", "full")],
)
def test_our_own_refusals_are_no_answer(clock: FakeClock, error: Exception) -> None:
    """What never left the process says nothing of the dependency."""
    made = made_for(clock)
    for _ in range(20):
        with pytest.raises(type(error)):
            made.call(Dependency(error))

    feed(made, 0, 1)
    assert made.rejection == pytest.approx(1 / 2)
    assert made.core.counts()["unsent"] == 20


def test_cancellation_is_no_answer(clock: FakeClock) -> None:
    """A call that was cut off counts as neither."""
    made = made_for(clock)
    with pytest.raises(KeyboardInterrupt):
        made.call(Dependency(KeyboardInterrupt()))

    assert made.core.counts() == {"success": 0, "unsent": 1}


def test_any_other_error_is_an_accepted_request(clock: FakeClock) -> None:
    """A dependency that answers with an error has done its work."""
    made = made_for(clock)
    for _ in range(20):
        with pytest.raises(ValueError, match="no"):
            made.call(Dependency(ValueError("no")))

    assert made.rejection == 0.0
    assert made.core.counts() == {"success": 0, "failure": 20}


@given(
    outcomes=st.lists(
        st.tuples(st.sampled_from("soew"), st.integers(0, 5)), max_size=150
    ),
    k=st.sampled_from([1.0, 1.5, 2.0]),
)
@pytest.mark.parametrize("unlocked", [True, False])
def test_it_is_the_formula_over_a_list(
    unlocked: bool, outcomes: list[tuple[str, int]], k: float
) -> None:
    """Whatever was counted without the lock, it is what a list of all calls gives."""
    clock = FakeClock(start_s=0.0)
    core = Throttler(
        "search",
        ThrottleConfig(k=k, window_s=10.0),
        lambda error: isinstance(error, OverloadError),
        clock=clock,
        rng=lambda: 0.5,
        unlocked=unlocked,
    )
    calls: list[tuple[int, bool]] = []
    for outcome, pause in outcomes:
        if outcome == "w":
            clock.advance(pause)
            continue

        tick = int(clock.monotonic() // 1.0)
        recent = [accepted for at, accepted in calls if at > tick - 10]
        wanted = (len(recent) - k * sum(recent)) / (len(recent) + 1)
        rejection = min(0.9, max(0.0, wanted))
        if pause == 0:
            assert core.rejection == rejection

        if rejection > 0.5:
            with pytest.raises(Throttled):
                core.enter()

            calls.append((tick, False))
            continue

        token = core.enter()
        error = {"s": None, "o": OverloadError(), "e": ValueError()}[outcome]
        core.leave(token, error, 0.0)
        calls.append((tick, outcome != "o"))


def test_a_dependency_gets_at_most_k_times_what_it_accepts(clock: FakeClock) -> None:
    """Of 100 calls a second only twice as many arrive as are accepted."""
    made = throttle("search", on=OverloadError)
    rng = random.Random(3)
    on(clock, made)
    made.core._rng = rng.random
    arrived = accepted = 0
    busy_until_s = 0.0

    def search() -> None:
        nonlocal arrived, accepted, busy_until_s
        steady = clock.monotonic() > 1300
        arrived += steady
        if clock.monotonic() < busy_until_s:
            raise OverloadError

        accepted += steady
        busy_until_s = clock.monotonic() + 0.1

    for _ in range(60_000):
        clock.advance(0.01)
        with contextlib.suppress(OverloadError, Throttled):
            made.call(search)

    assert arrived / accepted == pytest.approx(2.0, rel=0.1)


def test_it_holds_for_every_kind_of_call(clock: FakeClock) -> None:
    """Coroutines, generators and async generators count, and are held back."""
    made = made_for(clock)

    def fail() -> list[int]:
        raise OverloadError

    @made
    async def answer() -> None:
        fail()

    @made
    def rows() -> Generator[int, None, None]:
        yield from fail()

    @made
    async def pages() -> AsyncGenerator[int, None]:
        for page in fail():
            yield page

    async def main() -> None:
        with pytest.raises(OverloadError):
            await answer()

        with pytest.raises(OverloadError):
            await anext(pages())

        with pytest.raises(OverloadError):
            next(rows())

        assert made.core.counts()["overload"] == 3
        made.core._rng = lambda: 0.0
        with pytest.raises(Throttled):
            await answer()

        with pytest.raises(Throttled):
            next(rows())

        with pytest.raises(Throttled):
            async with made:
                raise AssertionError

        with pytest.raises(Throttled), made.guard():
            raise AssertionError

    asyncio.run(main())


def test_what_is_held_back_takes_no_permit(clock: FakeClock) -> None:
    """The throttle is outside the bulkhead, whose refusals it doesn't count."""
    both = policy(
        "search",
        throttle=throttle(on=OverloadError),
        bulkhead=bulkhead(max_concurrent=1),
    )
    made = on(clock, get_throttle("search"))
    feed(made, 0, 3)
    made.core._rng = lambda: 0.0
    with pytest.raises(Throttled):
        both.call(str)


def test_observed_nobody_is_held_back(clock: FakeClock) -> None:
    """In observe mode who would be held back is counted and goes; off does nothing."""
    made = made_for(clock)
    feed(made, 0, 10)
    made.core._rng = lambda: 0.0
    apply("search", {"throttle_mode": "observe"})
    made.call(str)
    counts = made.core.counts()
    assert (counts["observed"], counts["success"]) == (1, 1)
    apply("search", {"mode": "off"})
    made.call(str)
    with pytest.raises(OverloadError):
        made.call(Dependency(OverloadError()))

    assert made.core.counts() == counts


def test_another_window_or_clock_keeps_what_was_counted(clock: FakeClock) -> None:
    """An operator's other window, and a runtime's clock, lose no count."""
    made = made_for(clock)
    feed(made, 10, 30)
    before = made.rejection
    apply("search", {"throttle_window_s": 60}, FakeClock(start_s=5e6))
    assert made.rejection == before
    apply("search", {"throttle_k": 4, "throttle_max_rejection": "10%"})
    assert made.rejection == 0.0
    assert made.core.config == ThrottleConfig(k=4.0, max_rejection=0.1)


@pytest.mark.parametrize("attribute", ["status_code", "status", "code"])
@pytest.mark.parametrize("place", ["error", "response"])
def test_http_answers_that_mean_overload(attribute: str, place: str) -> None:
    """429 and 503, wherever a client's error has them; no other status."""
    for status, expected in ((429, True), (503, True), (500, False), ("503", False)):
        error = Exception()
        holder = error if place == "error" else SimpleNamespace()
        setattr(holder, attribute, status)
        if place == "response":
            error.response = holder  # type: ignore[attr-defined]

        assert is_overload(error) is expected


def test_real_clients_errors_are_understood() -> None:
    """What httpx, botocore and urllib raise for 503 is an overload, 500 is none."""
    import urllib.error
    from email.message import Message

    import httpx
    from botocore.exceptions import ClientError

    def of_httpx(status: int) -> Exception:
        request = httpx.Request("GET", "http://search.example/")
        response = httpx.Response(status, request=request)
        return httpx.HTTPStatusError("no", request=request, response=response)

    def of_aws(code: str, status: int) -> Exception:
        told = {"HTTPStatusCode": status}
        return ClientError(
            {"Error": {"Code": code}, "ResponseMetadata": told},  # type: ignore[typeddict-item]
            "Query",
        )

    def of_urllib(status: int) -> Exception:
        return urllib.error.HTTPError("http://x/", status, "no", Message(), None)

    assert is_overload(of_httpx(503))
    assert is_overload(of_urllib(429))
    assert is_overload(of_aws("ThrottlingException", 400))
    assert is_overload(of_aws("Unknown", 503))
    assert not is_overload(of_httpx(500))
    assert not is_overload(of_urllib(404))
    assert not is_overload(of_aws("ValidationException", 400))
    assert not is_overload(httpx.ConnectError("refused"))


def test_grpc_codes_that_mean_overload() -> None:
    """RESOURCE_EXHAUSTED and UNAVAILABLE, as gRPC's errors tell them."""

    class CallError(Exception):
        def __init__(self, name: str) -> None:
            self._name = name

        def code(self) -> object:
            return SimpleNamespace(name=self._name)

    assert is_overload(CallError("RESOURCE_EXHAUSTED"))
    assert is_overload(CallError("UNAVAILABLE"))
    assert not is_overload(CallError("NOT_FOUND"))


def test_our_own_errors_are_no_overload() -> None:
    """Refusals by svcready never are, whatever they carry."""
    error = RateLimited("search", "rate", 1.0)
    error.status = 429  # type: ignore[attr-defined]
    assert not is_overload(error)


def test_an_error_that_can_t_be_read_is_none(clock: FakeClock) -> None:
    """An error whose attributes raise counts as accepted, and the fault is reported."""

    class Odd(Exception):
        @property
        def response(self) -> object:
            raise RuntimeError

    faults: list[str] = []
    before = set_reporter(lambda component, error: faults.append(component))
    made = on(clock, throttle("search"))
    try:
        with pytest.raises(Odd):
            made.call(Dependency(Odd()))
    finally:
        set_reporter(before)

    assert made.core.counts()["failure"] == 1
    assert faults == ["resilience.on"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_counts_its_own(clock: FakeClock) -> None:
    """A child tells of its own calls only."""
    made = made_for(clock)
    feed(made, 3, 3)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            fork._run_resets()
            feed(made, 1, 0)
            counts = made.core.counts()
            os.write(writes, bytes([counts["success"], counts.get("overload", 0)]))

        os._exit(0)

    os.waitpid(child, 0)
    assert list(os.read(reads, 64)) == [1, 0]
    os.close(reads)
    os.close(writes)
    assert made.core.counts() == {"success": 3, "overload": 3}


@pytest.mark.parametrize(
    "arguments",
    [
        *[{"k": 0.9}, {"k": "2"}, {"k": True}, {"k": 1001}, {"window": 0.5}],
        *[{"max_rejection": 0}, {"max_rejection": 1.1}, {"on": BaseException}],
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object]) -> None:
    """What can't be meant raises where it is written."""
    with pytest.raises(DeclarationError, match=next(iter(arguments))):
        throttle("search", **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1, "yes", 2.0, OverloadError])
def test_the_short_spelling_is_true(value: object) -> None:
    """`policy(throttle=True)` is a throttle with everything as usual."""
    policy("find", throttle=True)
    assert get_throttle("find").core.config == ThrottleConfig()
    with pytest.raises(DeclarationError, match="throttle="):
        policy("search", throttle=value)  # type: ignore[arg-type]

    with pytest.raises(KeyError):
        get_throttle("search")


def test_another_meaning_of_a_name_is_refused() -> None:
    """A name has one throttle; the same declared again is the same."""
    throttle("search", on=OverloadError)
    throttle("search", on=OverloadError)
    with pytest.raises(DeclarationError, match="search"):
        throttle("search")
