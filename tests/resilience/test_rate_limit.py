"""Outbound rate limits: the burst, the rate, whose turn comes when, and refusals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready._core import fork
from svcready.errors import DeclarationError, RateLimited
from svcready.resilience import (
    Waited,
    get_rate_limit,
    policy,
    rate_limit,
    retry,
)
from svcready.resilience._admitting._config_gates import RateConfig
from svcready.resilience._admitting._gcra import Rate, gcra
from svcready.resilience._admitting._pacer import Pacer
from svcready.resilience._pillar import apply
from svcready.resilience._timing import _deadline
from svcready.testing import FakeClock
from tests.resilience.loops import FakeLoop
from tests.resilience.peers import Dependency, run_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.resilience._admitting._rate_limit import RateLimit


@pytest.fixture(params=[True, False], ids=["gil", "no gil"], autouse=True)
def _build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test holds with and without turns that are taken without the lock."""
    monkeypatch.setattr(
        "svcready.resilience._admitting._pacer.can_count_unlocked",
        lambda: request.param,
    )


def on(clock: FakeClock, made: RateLimit) -> RateLimit:
    """Return a rate limit on the test's clock."""
    made.core.use(made.core.config, clock)
    return made


def test_the_burst_goes_at_once_and_then_the_rate(clock: FakeClock) -> None:
    """After a pause so many go, then one each interval; who is early hears when."""
    made = on(clock, rate_limit("mail", "10/s burst 3"))
    for _ in range(3):
        made.call(str)

    with pytest.raises(RateLimited) as refused:
        made.call(str)

    assert (refused.value.name, refused.value.reason) == ("mail", "rate")
    assert refused.value.retry_after == pytest.approx(0.1)
    clock.advance(0.05)
    with pytest.raises(RateLimited) as refused:
        made.call(str)

    assert refused.value.retry_after == pytest.approx(0.05)
    clock.advance(0.05)
    made.call(str)
    clock.advance(3600.0)
    for _ in range(3):
        made.call(str)

    with pytest.raises(RateLimited):
        made.call(str)

    assert made.core.counts() == {"admitted": 7, "rejected": 3}
    assert clock.sleeps == []


@given(
    per_s=st.sampled_from([0.5, 1.0, 3.0, 10.0]),
    burst=st.integers(1, 5),
    pauses=st.lists(st.integers(0, 30), max_size=60),
)
@pytest.mark.parametrize("unlocked", [True, False])
def test_it_allows_what_the_algorithm_allows(
    unlocked: bool, per_s: float, burst: int, pauses: list[int]
) -> None:
    """Call for call the same as the rate arithmetic, however it comes to it."""
    clock, rate, tat_s = FakeClock(), Rate(per_s, burst), 0.0
    core = Pacer("mail", RateConfig(rate), clock=clock, unlocked=unlocked)
    for tenths in pauses:
        clock.advance(tenths / 10)
        taken = gcra(rate, tat_s, clock.monotonic())
        tat_s = taken.tat_s
        if taken.allowed:
            core.enter()
        else:
            with pytest.raises(RateLimited) as refused:
                core.enter()

            assert refused.value.retry_after == taken.retry_after_s


def test_who_may_wait_takes_the_next_turn(clock: FakeClock, told: list[object]) -> None:
    """A thread sleeps until its turn, as long as that is not too far off."""
    made = on(clock, rate_limit("mail", "2/s burst 1", max_wait=1.0))
    for _ in range(4):
        made.call(str)

    assert clock.sleeps == pytest.approx([0.5, 0.5, 0.5])
    waits = [event for event in told if isinstance(event, Waited)]
    assert [(wait.kind, wait.name) for wait in waits] == [("rate_limit", "mail")] * 3
    assert [wait.wait_s for wait in waits] == pytest.approx([0.5, 0.5, 0.5])
    assert made.core.counts() == {"admitted": 1, "waited": 3}


def test_tasks_take_turns_in_the_order_of_coming(clock: FakeClock) -> None:
    """Tasks go one interval after another; the first one too far off is refused."""
    made = on(clock, rate_limit("mail", "2/s burst 1", max_wait=1.0))
    loop, started_s = FakeLoop(clock), clock.monotonic()
    went: list[tuple[int, float]] = []
    clock_of(clock, loop)

    async def send(number: int) -> None:
        async with made.guard():
            went.append((number, clock.monotonic() - started_s))

    async def main() -> list[object]:
        return await asyncio.gather(
            *(send(number) for number in range(5)), return_exceptions=True
        )

    outcomes = loop.run_until_complete(main())
    loop.close()
    assert went == [(0, 0.0), (1, pytest.approx(0.5)), (2, pytest.approx(1.0))]
    assert [type(outcome) for outcome in outcomes[3:]] == [RateLimited] * 2
    assert made.core.waiting == 0


def clock_of(clock: FakeClock, loop: FakeLoop) -> None:
    """Have tasks on *loop* sleep by its timers, beside each other."""
    del loop
    clock.sleep_async = asyncio.sleep  # type: ignore[method-assign,assignment]


def test_no_turn_is_taken_beyond_the_deadline(clock: FakeClock) -> None:
    """A turn after the deadline is none: refused at once, and nothing is taken."""
    made = on(clock, rate_limit("mail", "1/s burst 1", max_wait=60))
    made.call(str)
    token = _deadline.put(clock.monotonic() + 0.9)
    with pytest.raises(RateLimited) as refused:
        made.call(str)

    _deadline.lift(token)
    assert refused.value.retry_after == pytest.approx(1.0)
    assert clock.sleeps == []
    made.call(str)
    assert clock.sleeps == pytest.approx([1.0])


def test_who_is_last_in_line_leaves_its_turn_to_others(clock: FakeClock) -> None:
    """Cancelled, the last one's turn is free again; one before others keeps it."""
    made = on(clock, rate_limit("mail", "1/s burst 1", max_wait=60))
    loop = FakeLoop(clock)
    clock_of(clock, loop)

    async def send() -> None:
        async with made.guard():
            pass

    async def main() -> None:
        await send()
        first, second, third = (asyncio.create_task(send()) for _ in range(3))
        await asyncio.sleep(0)
        assert made.core.waiting == 3
        third.cancel()
        await asyncio.sleep(0)
        assert upcoming(made) == pytest.approx(3.0)
        first.cancel()
        await asyncio.sleep(0)
        assert upcoming(made) == pytest.approx(3.0)
        await second

    loop.run_until_complete(main())
    loop.close()
    assert made.core.counts()["cancelled"] == 2
    assert made.core.waiting == 0


def upcoming(made: RateLimit) -> float | None:
    """Return in how many seconds the next turn comes."""
    token = _deadline.put(-1.0)
    try:
        made.core.enter()
    except RateLimited as refused:
        return refused.retry_after
    finally:
        _deadline.lift(token)

    return 0.0


def test_a_thread_that_is_interrupted_gives_its_turn_back(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends a sleep, the last turn in line is free again."""
    made = on(clock, rate_limit("mail", "1/s burst 1", max_wait=60))
    made.call(str)

    def interrupt(seconds: float) -> None:
        del seconds
        raise KeyboardInterrupt

    monkeypatch.setattr(clock, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        made.call(str)

    assert upcoming(made) == pytest.approx(1.0)
    assert made.core.waiting == 0


def test_a_plain_function_never_blocks_the_loop(clock: FakeClock) -> None:
    """On a loop's thread a plain call that is too early is refused."""
    made = on(clock, rate_limit("mail", "1/s burst 1", max_wait=60))

    async def main() -> None:
        made.call(str)
        with pytest.raises(RateLimited):
            made.call(str)

    asyncio.run(main())
    assert clock.sleeps == []


def test_a_retry_waits_until_it_may(clock: FakeClock) -> None:
    """A refusal says when to come again, and a retry that covers it does."""
    mail = Dependency()
    guarded = policy("mail", retry=retry(on=RateLimited), rate_limit="1/s burst 1")
    run_on(clock)
    on(clock, get_rate_limit("mail"))
    guarded.call(mail)
    guarded.call(mail)
    assert mail.calls == 2
    assert sum(clock.sleeps) >= 1.0


def test_observed_nobody_is_refused(clock: FakeClock) -> None:
    """In observe mode who is too early is counted and goes, and takes no turn."""
    made = on(clock, rate_limit("mail", "1/s burst 1"))
    apply("mail", {"rate_limit_mode": "observe"})
    for _ in range(3):
        made.call(str)

    assert made.core.counts() == {"admitted": 1, "observed": 2}
    apply("mail", {"mode": "off"})
    made.call(str)
    assert made.core.counts() == {"admitted": 1, "observed": 2}


def test_an_operator_changes_the_rate_live(clock: FakeClock) -> None:
    """Another rate holds from now on; what is wrong is told and not in force."""
    made = on(clock, rate_limit("mail", "1/s burst 1"))
    made.call(str)
    assert apply("mail", {"rate_limit": "10/s burst 5"}) == ()
    assert made.core.config == RateConfig(Rate(10.0, 5))
    for _ in range(4):  # the one that went counts as one of the five
        made.call(str)

    with pytest.raises(RateLimited) as refused:
        made.call(str)

    assert refused.value.retry_after == pytest.approx(0.1)
    (problem,) = apply("mail", {"rate_limit": "often"})
    assert "often" in problem
    assert "100/minute burst 20" in problem
    assert made.core.config == RateConfig(Rate(1.0, 1))


def test_another_clock_keeps_the_turns(clock: FakeClock) -> None:
    """Bound to another clock, the next turn comes as soon as before."""
    made = on(clock, rate_limit("mail", "1/s burst 1"))
    made.call(str)
    clock.advance(0.25)
    later = FakeClock(start_s=5_000_000.0)
    on(later, made)
    assert upcoming(made) == pytest.approx(0.75)
    later.set_wall(0)
    assert upcoming(made) == pytest.approx(0.75)


def test_threads_never_take_more_than_there_is() -> None:
    """Of eight threads at once exactly as many go as the burst has."""
    made = on(FakeClock(), rate_limit("mail", "1/s burst 500"))
    went: list[int] = []
    begin = threading.Barrier(8)

    def send(call: Callable[[], object]) -> None:
        begin.wait()
        for number in range(200):
            with contextlib.suppress(RateLimited):
                call()
                went.append(number)

    call = made(lambda: None)
    threads = [threading.Thread(target=send, args=(call,)) for _ in range(8)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    assert len(went) == 500
    assert made.core.counts() == {"admitted": 500, "rejected": 1100}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_begins_anew(clock: FakeClock) -> None:
    """A child has the whole burst and its own counts."""
    made = on(clock, rate_limit("mail", "1/s burst 1"))
    made.call(str)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            fork._run_resets()
            made.call(str)
            os.write(writes, bytes([made.core.counts()["admitted"]]))

        os._exit(0)

    os.waitpid(child, 0)
    assert list(os.read(reads, 64)) == [1]
    os.close(reads)
    os.close(writes)
    with pytest.raises(RateLimited):
        made.call(str)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"rate": None}, {"rate": 5}, {"rate": "often"}, {"rate": "0/s"}],
)
def test_a_rate_is_required(arguments: dict[str, object]) -> None:
    """Without a rate that can be read there is no rate limit."""
    with pytest.raises(DeclarationError, match="rate="):
        rate_limit("mail", **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [5, True, "often", 1.5])
def test_the_short_spelling_is_a_text(value: object) -> None:
    """`policy(rate_limit="5/s")` is five a second; no other kind of value is one."""
    policy("post", rate_limit="5/s")
    assert get_rate_limit("post").core.config == RateConfig(Rate(5.0, 5))
    with pytest.raises(DeclarationError, match=r"rate"):
        policy("mail", rate_limit=value)  # type: ignore[arg-type]


def test_another_meaning_of_a_name_is_refused() -> None:
    """A name has one rate; the same rate in other words is the same."""
    rate_limit("mail", "60/minute burst 2")
    rate_limit("mail", "1/s burst 2")
    with pytest.raises(DeclarationError, match="mail"):
        rate_limit("mail", "2/s")
    with pytest.raises(KeyError):
        get_rate_limit("post")
