"""Guessing from more addresses than there is room for: none is forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcready.resilience._admitting._gcra import Rate, gcra
from svcready.resilience._limiting._inbound import Refusal
from svcready.resilience._limiting._limits import Limits
from svcready.resilience._limiting._overflow import Overflow
from svcready.resilience._limiting._store import Decision, MemoryStore, Want
from svcready.testing import FakeClock
from tests.adapters.limits import Running, nothing_declared

ADDRESSES = 50_000
INNOCENT = 2_000
BURST = 3


class Guess:
    """A request that middleware answers 401, before anything asks whose it is."""

    method = "GET"
    streamed = refused = rejected = False

    def __init__(self, client: str) -> None:
        self.client = client
        self.admitted: list[Any] = []
        self.owing: Any = None

    def template(self) -> str:
        """It would take this route."""
        return "/orders"

    def bare_path(self) -> None:
        """There are routes."""


class Roomy(MemoryStore):
    """Stands for Redis: it has room for all, and is somewhere else."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, most_keys=1_000_000)
        self.asked = 0

    def take(self, wants: Any) -> Decision:
        """Take note of each round trip."""
        self.asked += 1
        return super().take(wants)


def address(number: int) -> str:
    """Return one of many addresses."""
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


@pytest.mark.parametrize(
    ("kind", "on_loop"), [(MemoryStore, False), (Roomy, True)], ids=["memory", "redis"]
)
def test_fifty_thousand_addresses_in_turn_guess_no_more_than_they_may(
    run: Running, clock: FakeClock, kind: Any, on_loop: bool
) -> None:
    """
    Each has its burst and no more, however many come between its guesses.

    Others go on: where the store has all, every one of them; in memory the few that
    share all their cells with guessers are taken for such until that is over.
    """
    store = kind(clock)
    with nothing_declared(), run("* 3/h burst 3 by tenant") as harness:
        assert harness.runtime.resilience is not None
        made = harness.runtime.resilience.limits.made()
        made.store = store
        limits: Limits | None = made.admission()
        assert limits is not None

        async def guess(client: str, *, fails: bool) -> bool:
            request: Any = Guess(client)
            if on_loop:
                verdict = await limits.enter_async(request)
            else:
                verdict = limits.enter(request)

            if isinstance(verdict, Refusal):
                return False

            if not fails:
                request.owing.passed()
            elif on_loop:
                await request.owing.pay_async(401)
            else:
                request.owing.pay(401)

            return True

        async def attack() -> Counter[int]:
            guessed: Counter[int] = Counter()
            for _ in range(BURST + 2):
                for number in range(ADDRESSES):
                    guessed[number] += await guess(address(number), fails=True)

                clock.advance(10.0)

            return guessed

        async def others() -> int:
            asked = range(ADDRESSES, ADDRESSES + INNOCENT)
            return sum([await guess(address(n), fails=False) for n in asked])

        guessed = asyncio.run(attack())
        assert max(guessed.values()) <= BURST
        least = INNOCENT if kind is Roomy else 0.85 * INNOCENT
        assert asyncio.run(others()) >= least
        assert len(limits._unrouted.exhausted._spent) <= 10_000
        clock.advance(3600.0)
        assert asyncio.run(others()) == INNOCENT
        if isinstance(store, Roomy):
            asked = store.asked
            asyncio.run(others())
            assert store.asked == asked  # it is over: nobody is asked any more


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 400), st.floats(0, 5)), max_size=600))
def test_a_store_without_room_never_allows_more_than_one_with(
    steps: list[tuple[int, float]],
) -> None:
    """Whatever comes in whatever order, the sketch errs towards limiting."""
    clock = FakeClock()
    small = MemoryStore(clock, most_keys=5)
    exact: dict[int, float] = {}
    rate = Rate(0.1, 3)
    for number, pause_s in steps:
        want = Want(f"k{number}", rate, 1, "l~", lasting=True)
        now_s = clock.monotonic()
        allowed = small.take([want]).allowed
        known = gcra(rate, exact.get(number, now_s), now_s)
        assert known.allowed or not allowed
        if allowed:
            exact[number] = known.tat_s

        clock.advance(pause_s)


def test_nothing_is_kept_of_what_is_whole_again(clock: FakeClock) -> None:
    """The sketch goes when its last bucket is; of wants that don't last is none."""
    store, rate = MemoryStore(clock, most_keys=2), Rate(1.0, 5)
    for number in range(9):
        store.take([Want(f"k{number}", rate, 5, "passing")])

    assert store._overflows == {}
    for number in range(9):
        store.take([Want(f"k{number}", rate, 5, "lasting", lasting=True)])

    assert list(store._overflows) == ["lasting"]
    assert not store.take([Want("k0", rate, 1, "lasting", lasting=True)]).allowed
    clock.advance(10.0)
    for number in range(3):
        store.take([Want(f"n{number}", rate, 1, "lasting", lasting=True)])

    (left,) = store._overflows.values()
    assert left.tat_s("k0") < clock.monotonic()


def test_few_buckets_are_taken_for_others() -> None:
    """As many as the docstring says, at 20 000 and at 50 000."""
    for many, at_most in ((20_000, 0.01), (50_000, 0.1)):
        overflow = Overflow()
        for number in range(many):
            overflow.keep(f"limit:~{address(number)}", 60.0, 0.0)

        others = range(many, many + 10_000)
        wrong = sum(overflow.tat_s(f"limit:~{address(n)}") > 0 for n in others)
        assert wrong / 10_000 <= at_most


def test_an_attack_by_more_has_nobody_else_refused() -> None:
    """Beyond what can be told apart nothing is kept; with time there is room again."""
    overflow = Overflow()
    for number in range(200_000):
        overflow.keep(f"limit:~{address(number)}", 60.0, 0.0)

    others = range(200_000, 210_000)
    wrong = sum(overflow.tat_s(f"limit:~{address(n)}") > 0 for n in others)
    assert wrong / 10_000 <= 0.15
    first = sum(overflow.tat_s(f"limit:~{address(n)}") > 0 for n in range(50_000))
    assert first == 50_000

    overflow.keep("limit:~late", 120.0, 61.0)
    assert overflow.tat_s("limit:~late") == 120.0
