"""The store in memory against buckets of tokens, and against the library `limits`."""

from __future__ import annotations

import random
import sys
import threading
from fractions import Fraction
from typing import TYPE_CHECKING

import limits
import limits.storage
import limits.strategies
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.resilience._admitting._gcra import Rate
from svcready.resilience._limiting._store import MemoryStore, Want, folded, spread
from svcready.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable


class Buckets:
    """The specification said slowly: tokens as fractions, all or nothing."""

    def __init__(self) -> None:
        self.tokens: dict[str, tuple[Fraction, Fraction]] = {}

    def level(self, want: Want, now: Fraction) -> Fraction:
        """Return what is in a bucket now."""
        tokens, since = self.tokens.get(want.key, (Fraction(want.rate.burst), now))
        per_s = Fraction(want.rate.per_s)
        return min(Fraction(want.rate.burst), tokens + (now - since) * per_s)

    def take(self, wants: list[Want], now: Fraction) -> tuple[bool, list[int]]:
        """Take of all, or of none; return what whole tokens are left of each."""
        levels = {want.key: self.level(want, now) for want in wants}
        allowed = all(levels[want.key] >= want.cost for want in wants)
        for want in wants:
            left = levels[want.key] - (want.cost if allowed else 0)
            burst = Fraction(want.rate.burst)
            self.tokens[want.key] = (min(burst, left), now)

        return allowed, [int(self.tokens[want.key][0]) for want in wants]


RATES = [Rate(1.0, 1), Rate(2.0, 5), Rate(0.5, 3), Rate(8.0, 10), Rate(0.125, 2)]


def run(rng: random.Random, steps: int) -> None:
    """Ask both for the same, at random, for so many steps."""
    clock, buckets = FakeClock(), Buckets()
    store = MemoryStore(clock)
    now = start = Fraction(clock.monotonic())
    for _ in range(steps):
        pause = Fraction(rng.choice((0, 0, 0, 1, 2, 5, 30)), 8)
        clock.advance(float(pause))
        now += pause
        if now - start > 100_000:  # sums of floats drift from those of fractions
            return

        chosen = rng.sample(range(len(RATES)), rng.randint(1, 3))
        wants = [
            Want(
                f"k{number}-{rng.randint(0, 2)}",
                RATES[number],
                rng.choice((0, 1, 1, 2)),
            )
            for number in chosen
        ]
        wants = [want for want in wants if want.cost <= want.rate.burst]
        expected = buckets.take(wants, now)
        decision = store.take(wants)
        told = (decision.allowed, [left.remaining for left in decision.left])
        assert told == expected, (wants, now)


def test_it_is_buckets_of_tokens_taken_of_all_or_of_none() -> None:
    """What is allowed and what is left is the model's, in 20 000 random steps."""
    rng = random.Random(1)
    for _ in range(20):
        run(rng, 1000)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_it_is_buckets_of_tokens_for_a_million_steps() -> None:
    """The same for longer."""
    rng = random.Random(2)
    for _ in range(1000):
        run(rng, 1000)


@given(steps=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_what_is_given_back_was_never_taken(steps: list[tuple[int, bool]]) -> None:
    """A cost below 0 undoes one above it, and fills no bucket above its burst."""
    clock = FakeClock()
    with_returns, without = MemoryStore(clock), MemoryStore(clock)
    want = Want("k", Rate(0.5, 3), 1)
    for pause_s, gives_back in steps:
        clock.advance(pause_s)
        if gives_back:
            if with_returns.take([want]).allowed:
                with_returns.take([want._replace(cost=-1)])
        else:
            with_returns.take([want])
            without.take([want])

        asked = want._replace(cost=0)
        assert with_returns.take([asked]).left[0].remaining == (
            without.take([asked]).left[0].remaining
        )


def test_a_refusal_says_how_long_each_bucket_takes() -> None:
    """The one that has not enough says when, the other stands as before."""
    store = MemoryStore(FakeClock())
    small, large = Want("s", Rate(0.1, 1)), Want("l", Rate(1.0, 5))
    assert store.take([small, large]).allowed
    decision = store.take([small, large])

    assert not decision.allowed
    assert [(left.allowed, left.remaining) for left in decision.left] == [
        (False, 0),
        (True, 4),
    ]
    assert decision.left[0].retry_after_s == pytest.approx(10.0)
    assert decision.left[1].retry_after_s == 0.0


def test_a_flood_of_keys_is_forgotten_first_used_first() -> None:
    """A million made-up keys leave ten thousand, and memory does not grow."""
    store = MemoryStore(FakeClock())
    rate = Rate(0.001, 1)
    for number in range(10_000):
        store.take([Want(str(number), rate)])

    assert not store.take([Want("0", rate)]).allowed  # full, and still known
    size = sys.getsizeof(store._tats_s[""])
    for number in range(100_000):
        store.take([Want(f"flood-{number}", rate)])

    assert len(store) == 10_000
    assert sys.getsizeof(store._tats_s[""]) <= 2 * size
    assert store.take([Want("0", rate)]).allowed


def test_one_limits_flood_leaves_the_others_alone() -> None:
    """Keys that are made up for one limit make no other forget whom it refuses."""
    store = MemoryStore(FakeClock(), most_keys=10)
    rate = Rate(0.001, 1)
    assert store.take([Want("login:me", rate, 1, "login")]).allowed
    for number in range(100):
        store.take([Want(f"search:{number}", rate, 1, "search")])

    assert not store.take([Want("login:me", rate, 1, "login")]).allowed
    assert len(store) == 11


def test_who_is_refused_is_not_forgotten_for_asking() -> None:
    """A caller who goes on asking is refused, however many others come meanwhile."""
    store = MemoryStore(FakeClock(), most_keys=10)
    rate = Rate(0.001, 1)
    allowed = 0
    for number in range(100):
        allowed += store.take([Want("me", rate)]).allowed
        store.take([Want(str(number), rate)])

    assert allowed == 1


def test_whole_buckets_take_no_memory() -> None:
    """Who has given back, or waited, is not remembered when next seen."""
    clock = FakeClock()
    store = MemoryStore(clock)
    want = Want("k", Rate(1.0, 1))
    store.take([want])
    assert len(store) == 1
    store.take([want._replace(cost=-1)])
    assert len(store) == 0


def test_threads_never_get_more_than_there_is() -> None:
    """Eight threads that ask at once get the burst and not one more."""
    store = MemoryStore(FakeClock())
    allowed: list[bool] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        for _ in range(500):
            got = store.take([Want("a", Rate(1.0, 1000)), Want("b", Rate(1.0, 700))])
            allowed.append(got.allowed)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    assert sum(allowed) == 700
    (left,) = store.take([Want("a", Rate(1.0, 1000), 0)]).left
    assert left.remaining == 300


def with_limits(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, item: str
) -> Callable[[], bool]:
    """Return what asks the library's moving window, on the test's clock."""
    monkeypatch.setattr("time.time", clock.monotonic)
    storage = limits.storage.MemoryStorage()
    window = limits.strategies.MovingWindowRateLimiter(storage)
    parsed = limits.parse(item)
    return lambda: window.hit(parsed, "key")


def test_with_a_burst_of_one_it_is_the_library_limits_moving_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One per interval means the same to both, whenever one asks."""
    clock, rng = FakeClock(), random.Random(3)
    oracle = with_limits(clock, monkeypatch, "1 per 3 second")
    store = MemoryStore(clock)
    want = Want("key", Rate(1 / 3, 1))
    refused = 0
    for _ in range(2000):
        clock.advance(rng.expovariate(1.0))
        allowed = store.take([want]).allowed
        assert allowed == oracle()
        refused += not allowed

    assert 500 < refused < 1900


def test_after_a_pause_the_first_refusal_is_the_library_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who asks at once gets as many as a moving window of the same text gives."""
    clock = FakeClock()
    oracle = with_limits(clock, monkeypatch, "20 per minute")
    store = MemoryStore(clock)
    want = Want("key", Rate(20 / 60, 20))
    assert [store.take([want]).allowed for _ in range(30)] == [
        oracle() for _ in range(30)
    ]


def test_no_window_sees_more_than_the_burst_and_what_came_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In any ten seconds 5 + 10 * 2 at most: a moving window of 25 refuses none."""
    clock, rng = FakeClock(), random.Random(4)
    oracle = with_limits(clock, monkeypatch, "25 per 10 second")
    store = MemoryStore(clock)
    want = Want("key", Rate(2.0, 5))
    allowed = 0
    for _ in range(5000):
        clock.advance(rng.expovariate(8.0))
        if store.take([want]).allowed:
            allowed += 1
            assert oracle()

    assert allowed > 1000


def test_several_wants_of_one_bucket_count_together() -> None:
    """What is asked thrice in a request is taken thrice, and given back thrice."""
    clock = FakeClock()
    store = MemoryStore(clock)
    want = Want("caller", Rate(1.0, 5), 1)
    wants = [want, want, want]
    decision = spread(wants, store.take(folded(wants)))
    assert decision.allowed
    assert [left.remaining for left in decision.left] == [2, 2, 2]
    back = [one._replace(cost=-1) for one in wants]
    spread(back, store.take(folded(back)))
    (left,) = store.take([want._replace(cost=0)]).left
    assert left.remaining == 5
