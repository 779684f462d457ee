"""When a store that was lost is asked again, and who makes connections to it."""

from __future__ import annotations

import threading
import time

import pytest

from svcready._core.clock import SYSTEM_CLOCK
from svcready._transport.redis._pool import Pool
from svcready._transport.redis._resp import RedisError
from svcready._transport.redis._whereabouts import Whereabouts
from svcready.resilience._events import StoreBack, StoreLost
from svcready.resilience._sharing._contact import Contact
from svcready.testing import FakeClock
from tests.resilience.sharing.servers import address_of
from tests.servers.harness import eventually, free_port
from tests.servers.redis_server import redis_server


def within(seconds: float) -> float:
    """Return the time that is so far away."""
    return time.monotonic() + seconds


@pytest.fixture
def contact(clock: FakeClock) -> Contact:
    """What is known of a store, whose waits are not spread."""
    return Contact("breakers", clock, rng=lambda: 0.5)


def test_waits_double_up_to_half_a_minute(contact: Contact, clock: FakeClock) -> None:
    """A lost store is left alone for ever longer, and never longer than 30 s."""
    waits = []
    for _ in range(8):
        contact.failed("timeout")
        waits.append(contact.wait_s())
        clock.advance(waits[-1])
        assert contact.wait_s() == 0.0

    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert contact.failures() == {"timeout": 8}


@pytest.mark.parametrize(("drawn", "wait_s"), [(0.0, 0.5), (0.999, 1.499)])
def test_waits_are_spread(drawn: float, wait_s: float, clock: FakeClock) -> None:
    """Processes that lost it at the same time do not all come back at the same time."""
    contact = Contact("breakers", clock, rng=lambda: drawn)
    contact.failed("timeout")
    assert contact.wait_s() == pytest.approx(wait_s)


def test_failures_at_once_are_one_loss(
    contact: Contact, clock: FakeClock, told: list[object]
) -> None:
    """Requests that fail together lengthen no wait; each is counted, one is told."""
    for _ in range(10):
        contact.failed("timeout")

    assert contact.wait_s() == 1.0
    assert contact.failures() == {"timeout": 10}
    clock.advance(7.0)
    contact.answered()
    contact.answered()
    assert told == [StoreLost("breakers", "timeout"), StoreBack("breakers", 7.0)]
    assert (contact.is_up, contact.wait_s()) == (True, 0.0)


def test_a_store_that_flaps_is_asked_ever_less(
    contact: Contact, clock: FakeClock
) -> None:
    """A store that is back for a moment gains no trust; half a minute restores it."""
    for wait_s in (1.0, 2.0, 4.0):
        contact.failed("timeout")
        assert contact.wait_s() == wait_s
        clock.advance(wait_s)
        contact.answered()
        clock.advance(3.0)

    clock.advance(30.0)
    contact.failed("timeout")
    assert contact.wait_s() == 1.0


def test_a_doubt_is_no_loss_yet(
    contact: Contact, clock: FakeClock, told: list[object]
) -> None:
    """After a time-out it is asked at once, and nothing is told if it is there."""
    contact.doubted("timeout")
    contact.doubted("timeout")
    assert (contact.is_up, contact.wait_s()) == (False, 0.0)
    contact.answered()
    assert (contact.is_up, told) == (True, [])
    assert contact.failures() == {"timeout": 2}
    contact.doubted("timeout")
    clock.advance(0.5)
    contact.failed("connection")
    assert told == [StoreLost("breakers", "connection")]
    assert contact.wait_s() == 1.0


def test_a_store_that_answers_pings_only_is_lost(
    contact: Contact, told: list[object]
) -> None:
    """Three requests in a row without an answer are a loss, whatever PING gets."""
    for served in (True, False):
        for _ in range(2):
            contact.doubted("timeout")
            contact.answered()
            assert contact.is_up

        if served:
            contact.served()

    contact.doubted("timeout")
    assert (told, contact.wait_s()) == ([StoreLost("breakers", "timeout")], 1.0)
    contact.answered()
    contact.doubted("timeout")
    assert contact.wait_s() == 2.0, "nothing was served since"


def test_what_was_not_asked_is_no_loss(contact: Contact) -> None:
    """A reason of our own is counted, and the store stays in use."""
    contact.missed("busy")
    assert (contact.is_up, contact.failures()) == (True, {"busy": 1})


def test_a_pool_is_bounded_and_says_so() -> None:
    """Beyond its size threads wait for a connection, and hear that it is busy."""
    contact = Contact("rate_limits", SYSTEM_CLOCK)
    with redis_server() as server:
        where = Whereabouts(address_of(server.port))
        pool = Pool(where, contact, timeout_s=1.0, most=2)
        taken = [pool.take(within(5)) for _ in range(2)]
        with pytest.raises(RedisError) as caught:
            pool.take(within(0.05))

        assert caught.value.reason == "busy"
        threading.Timer(0.05, pool.give, [taken[0]]).start()
        assert pool.take(within(5)) == taken[0]
        assert [link.ask([("PING",)], within(5)) for _, link in taken] == [
            [b"PONG"]
        ] * 2
        for each in taken:
            pool.drop(each)

        pool.close()
        with pytest.raises(RedisError):
            pool.take(within(5))

    assert contact.is_up


def test_many_threads_get_what_they_ask_for() -> None:
    """Threads that take and give back at random never share a connection."""
    contact = Contact("rate_limits", SYSTEM_CLOCK)
    wrong: list[object] = []
    with redis_server() as server:
        pool = Pool(
            Whereabouts(address_of(server.port)), contact, timeout_s=1.0, most=3
        )

        def echo(name: str) -> None:
            for number in range(50):
                taken = pool.take(within(20))
                word = f"{name}-{number}"
                if taken[1].ask([("ECHO", word)], within(20)) != [word.encode()]:
                    wrong.append(word)

                (pool.drop if number % 17 == 16 else pool.give)(taken)

        threads = [threading.Thread(target=echo, args=(f"t{n}",)) for n in range(12)]
        for thread in threads:
            thread.start()

        for thread in threads:
            thread.join(60)

        assert (wrong, pool._used, pool._waiting) == ([], 0, 0)
        assert len(pool._idle) <= 3
        pool.close()


def test_who_waits_hears_at_once_that_nobody_listens() -> None:
    """A connection that is refused ends the wait, which might be long."""
    contact = Contact("rate_limits", SYSTEM_CLOCK)
    pool = Pool(Whereabouts(address_of(free_port())), contact, timeout_s=1.0)
    began_s = time.monotonic()
    with pytest.raises(RedisError) as caught:
        pool.take(within(20))

    assert caught.value.reason == "connection"
    assert time.monotonic() - began_s < 10
    pool.close()
    thread = pool._thread
    assert thread is not None
    eventually(lambda: not thread.is_alive(), "the pool's thread to end")
