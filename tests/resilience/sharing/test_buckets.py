"""The script that takes of buckets: the arithmetic of `gcra`, number for number."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svcready._transport.redis._link import Link, dial
from svcready._transport.redis._resp import RedisError
from svcready._transport.redis._script import Script
from svcready.resilience._admitting._gcra import Rate, gcra
from svcready.resilience._limiting._store import Decision, MemoryStore, Want
from svcready.resilience._sharing._buckets import (
    SCRIPT_AT,
    TAKE,
    decided,
    key_prefix,
    words,
)
from svcready.testing import FakeClock
from tests.examples import examples
from tests.resilience.sharing.servers import address_of
from tests.servers.redis_server import redis_server

AT = Script("local now = tonumber(table.remove(ARGV))\n" + SCRIPT_AT)
"""The script at a time that the test says, its last argument."""
PREFIX = key_prefix("orders", "production")
WHOLE = "the decision of the script, and its numbers"


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    """A connection to a Redis of the module's own."""
    with redis_server() as server:
        link = dial(address_of(server.port), time.monotonic() + 5)
        yield link
        link.close()


def take(link: Link, now_us: int, *wants: Want) -> Decision:
    """Take of the buckets at a time."""
    keys, numbers = words(PREFIX, wants)
    reply = AT.run(link, keys, (*numbers, now_us), time.monotonic() + 5)
    return decided(wants, reply)


def ask(link: Link, *command: str | int) -> object:
    """Ask the server one thing."""
    (reply,) = link.ask([command], time.monotonic() + 5)
    return reply


RATES = st.builds(
    Rate,
    st.one_of(
        st.sampled_from([0.001, 1 / 60, 0.5, 1.0, 3.0, 10.0, 100 / 60, 1e4]),
        st.floats(1e-4, 1e5),
    ),
    st.integers(1, 1000),
)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 3_000_000),  # microseconds that pass
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(-3, 12)),  # which, and how much
            min_size=1,
            max_size=3,
            unique_by=lambda want: want[0],
        ),
    ),
    max_size=12,
)


@settings(
    max_examples=examples(150),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rates=st.tuples(RATES, RATES, RATES), steps=STEPS)
def test_the_script_is_gcra(
    link: Link, rates: tuple[Rate, ...], steps: list[tuple[int, list[tuple[int, int]]]]
) -> None:
    """
    On any sequence the script decides and keeps what `gcra` does, to the last bit: as
    `gcra` is asked with the time since the last taking, from which nothing is lost.
    """
    ask(link, "FLUSHALL")
    now_us = 1_800_000_000_000_000
    kept: dict[int, tuple[int, float]] = {}
    for passed_us, chosen in steps:
        now_us += passed_us
        wants = [Want(f"k{which}", rates[which], cost) for which, cost in chosen]
        taken = []
        for which, cost in chosen:
            last_us, tat_s = kept.get(which, (now_us, 0.0))
            ahead_s = max(0.0, tat_s - (now_us - last_us) / 1e6)
            ahead_s = min(ahead_s, rates[which].burst / rates[which].per_s)
            taken.append(gcra(rates[which], ahead_s, 0.0, cost))

        decision = take(link, now_us, *wants)
        allowed = all(one.allowed for one in taken)
        assert decision.allowed == allowed
        for (which, _), one, left in zip(chosen, taken, decision.left, strict=True):
            assert left.allowed == one.allowed
            if one.allowed == allowed:
                assert left[1:] == one[2:], WHOLE

            if allowed:
                kept[which] = (now_us, max(0.0, one.tat_s))


@settings(
    max_examples=examples(150),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rates=st.lists(
        st.builds(Rate, st.sampled_from([0.5, 1.0, 4.0, 64.0]), st.integers(1, 64)),
        min_size=3,
        max_size=5,
    ),
    steps=STEPS,
)
def test_redis_and_memory_are_one_limit(
    link: Link, rates: list[Rate], steps: list[tuple[int, list[tuple[int, int]]]]
) -> None:
    """
    The store in memory and the one in Redis decide alike on any sequence.

    Rates change meanwhile. Times and intervals are binary fractions, so no rounding can
    part the two.
    """
    ask(link, "FLUSHALL")
    clock = FakeClock(start_s=0.0)
    memory = MemoryStore(clock)
    now_us = 1_800_000_000_000_000
    for step, (passed, chosen) in enumerate(steps):
        passed_us = passed // 15_625 * 15_625  # sixty-fourths of a second
        clock.advance(passed_us / 1e6)
        now_us += passed_us
        wants = [
            Want(f"k{which}", rates[(which + step // 3) % len(rates)], cost)
            for which, cost in chosen
        ]
        assert take(link, now_us, *wants) == memory.take(wants)


def test_nothing_is_taken_unless_all_is_there(link: Link) -> None:
    """A request that one bucket refuses costs the others nothing."""
    ask(link, "FLUSHALL")
    rich, poor = Want("rich", Rate(1.0, 10)), Want("poor", Rate(1.0, 1))
    assert take(link, 10, rich, poor).allowed
    for _ in range(3):
        decision = take(link, 10, rich, poor)
        assert not decision.allowed
        assert [(left.allowed, left.remaining) for left in decision.left] == [
            (True, 9),
            (False, 0),
        ]


def test_buckets_end_by_themselves(link: Link) -> None:
    """A key lives a second longer than its bucket needs; a whole one has none."""
    ask(link, "FLUSHALL")
    wants = [Want("k", Rate(10.0, 50), 20)]
    keys, numbers = words(PREFIX, wants)
    TAKE.run(link, keys, numbers, time.monotonic() + 5)
    lives_ms = ask(link, "PTTL", str(keys[0]))
    assert isinstance(lives_ms, int)
    assert 2900 < lives_ms <= 3001
    TAKE.run(link, keys, (*numbers[:2], -20), time.monotonic() + 5)
    assert ask(link, "EXISTS", str(keys[0])) == 0


@pytest.mark.parametrize(
    "kept",
    ["", "x", "1 nan", "1 inf", "1 -5", "nan 1", "1e400 1", "1 1e300", "1 1 1", "\0 1"],
)
def test_a_bucket_that_holds_garbage_is_whole(link: Link, kept: str) -> None:
    """What somebody else wrote under a bucket's key is written over."""
    ask(link, "FLUSHALL")
    key = f"{PREFIX}k"
    want = Want("k", Rate(1.0, 2))
    ask(link, "SET", key, kept)
    assert [take(link, 10**6, want).allowed for _ in range(3)] == [True, True, False]
    ask(link, "DEL", key)
    ask(link, "LPUSH", key, "x")
    assert [take(link, 10**6, want).allowed for _ in range(3)] == [True, True, False]


def test_a_clock_that_goes_back_refuses_nobody_for_long(link: Link) -> None:
    """After a failover to a server an hour behind, buckets fill as fast as before."""
    ask(link, "FLUSHALL")
    want, hour_us = Want("k", Rate(1.0, 2)), 3_600_000_000
    now_us = 2 * hour_us
    assert [take(link, now_us, want).allowed for _ in range(3)] == [True, True, False]
    now_us -= hour_us
    assert not take(link, now_us, want).allowed
    assert take(link, now_us + 1_100_000, want).allowed


def test_the_keys_are_on_one_node_of_a_cluster() -> None:
    """Every key has the service's hash tag first, whatever braces come after."""
    keys, _ = words(PREFIX, [Want("a{b}", Rate(1.0, 1)), Want("{", Rate(1.0, 1))])
    assert keys == (
        "svcready:{orders/production}:rate:a{b}",
        "svcready:{orders/production}:rate:{",
    )


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"OK",
        [],
        [1],
        [1, b"0", b"0"],
        [2, b"0"],
        [1, 0],
        [1, b"x"],
        [1, b"nan"],
        [1, b"inf"],
        [1, b"-1"],
        [b"1", b"0"],
        [[1], b"0"],
    ],
)
def test_a_reply_that_is_none_is_refused(reply: object) -> None:
    """Whatever else comes than the script's reply is an error, never a decision."""
    with pytest.raises(RedisError) as caught:
        decided([Want("k", Rate(1.0, 1))], reply)  # type: ignore[arg-type]

    assert caught.value.reason == "garbage"
