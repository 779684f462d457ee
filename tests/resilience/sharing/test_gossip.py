"""Breakers of one service hear of each other by Redis, whatever becomes of it."""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from svcready._transport.redis._link import dial
from svcready._transport.redis._resp import Reply
from svcready.resilience import BreakerMoved
from svcready.resilience._breaking._breaker import Breaker
from svcready.resilience._config import BreakerConfig
from svcready.resilience._events import StoreBack, StoreLost
from svcready.resilience._sharing._gossip import Gossip
from svcready.resilience._sharing._openings import (
    EXCHANGE,
    MOST,
    Opening,
    arguments,
    key,
    read,
    written,
)
from svcready.testing import FakeClock
from tests.resilience.sharing.servers import address_of, fake_server, paused
from tests.servers.harness import free_port
from tests.servers.redis_server import RedisServer, redis_server

KEY = key("orders", "production")
OTHER = "00000000000000aa"
NUMBERS = BreakerConfig(min_calls=4)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Redis that the module shares."""
    with redis_server() as running:
        yield running


@pytest.fixture
def breaker(clock: FakeClock) -> Breaker:
    """A breaker of this process."""
    return Breaker("payments", NUMBERS, clock=clock, rng=lambda: 0.5)


@contextmanager
def gossip_of(
    port: int, clock: FakeClock, *breakers: Breaker, quorum: int = 2
) -> Iterator[Gossip]:
    """Run the gossip of this process, whose beats the test makes."""
    gossip = Gossip(
        "orders",
        "production",
        address_of(port),
        breakers=lambda: breakers,
        quorum=quorum,
        clock=clock,
    )
    gossip.contact._rng = lambda: 0.5
    gossip._worker.wake = lambda: None  # type: ignore[method-assign]
    gossip.wake()
    try:
        yield gossip
    finally:
        gossip.close()


def ask(port: int, *commands: tuple[str | bytes | int, ...]) -> list[object]:
    """Ask a server."""
    link = dial(address_of(port), time.monotonic() + 5)
    replies = link.ask(commands, time.monotonic() + 5)
    link.close()
    return list(replies)


def tell(port: int, *openings: Opening, left_s: float = 30.0) -> None:
    """Tell of openings as another process does."""
    words = arguments([(opening, left_s) for opening in openings], [])
    link = dial(address_of(port), time.monotonic() + 5)
    EXCHANGE.run(link, [KEY], words, time.monotonic() + 5)
    link.close()


def open_in(port: int) -> list[tuple[bytes, float]]:
    """Return what is open anywhere, as another process reads it."""
    link = dial(address_of(port), time.monotonic() + 5)
    reply = EXCHANGE.run(link, [KEY], arguments([], []), time.monotonic() + 5)
    link.close()
    return written(reply)


def trip(breaker: Breaker) -> None:
    """Open a breaker by failures of its own."""
    for _ in range(4):
        breaker.settle(breaker.admit(), "failure")

    assert breaker.state == "open"


@pytest.fixture(autouse=True)
def _flushed(server: RedisServer) -> None:
    ask(server.port, ("FLUSHALL",))


def test_an_opening_is_told_with_the_time_that_is_left(
    server: RedisServer, clock: FakeClock, breaker: Breaker
) -> None:
    """What opens here is there for others, as a duration that shrinks and ends."""
    with gossip_of(server.port, clock, breaker) as gossip:
        trip(breaker)
        clock.advance(4.0)
        gossip.beat()
        ((member, left_s),) = open_in(server.port)
        assert member.split()[:2] == [b"1", b"payments"]
        assert 5.0 < left_s <= 6.0
        (lives_ms,) = ask(server.port, ("PTTL", KEY))
        assert isinstance(lives_ms, int)
        assert 5000 < lives_ms <= 6000, "it ends although nobody comes back"


def test_an_opening_that_is_over_is_taken_back(
    server: RedisServer, clock: FakeClock, breaker: Breaker
) -> None:
    """What is half-open, closed or reset here is open for others no longer."""
    with gossip_of(server.port, clock, breaker) as gossip:
        trip(breaker)
        gossip.beat()
        breaker.reset()
        gossip.beat()
        assert open_in(server.port) == []


def test_a_process_that_has_failures_opens_by_what_it_hears(
    server: RedisServer, clock: FakeClock, breaker: Breaker, told: list[object]
) -> None:
    """Another's opening opens ours where its few calls fail, and goes no further."""
    with gossip_of(server.port, clock, breaker) as gossip:
        breaker.settle(breaker.admit(), "failure")
        tell(server.port, Opening("payments", OTHER, 1), left_s=5.0)
        gossip.beat()
        assert (breaker.state, breaker.reason) == ("open", "peers")
        assert [e.open_s for e in told if isinstance(e, BreakerMoved)] == [
            pytest.approx(5.0, abs=0.5)
        ]
        gossip.beat()
        assert len(open_in(server.port)) == 1, "only the other's own"
        assert gossip.counts() == {"heard": 1, "opened": 1}


def test_a_quorum_opens_where_nothing_was_called(
    server: RedisServer, clock: FakeClock, breaker: Breaker
) -> None:
    """So many processes, not so many openings of one, open an idle breaker."""
    with gossip_of(server.port, clock, breaker, quorum=2) as gossip:
        tell(server.port, Opening("payments", OTHER, 1), Opening("payments", OTHER, 2))
        gossip.beat()
        assert breaker.state == "closed"
        tell(server.port, Opening("payments", "00000000000000bb", 1))
        gossip.beat()
        assert breaker.state == "open"


def test_the_same_news_is_heard_once(
    server: RedisServer, clock: FakeClock, breaker: Breaker
) -> None:
    """After own probes closed it, the opening heard of before does not count again."""
    with gossip_of(server.port, clock, breaker) as gossip:
        breaker.settle(breaker.admit(), "failure")
        tell(server.port, Opening("payments", OTHER, 1), left_s=60.0)
        gossip.beat()
        breaker.reset()
        breaker.settle(breaker.admit(), "failure")
        gossip.beat()
        ask(server.port, ("FLUSHALL",))
        gossip.beat()
        tell(server.port, Opening("payments", OTHER, 1), left_s=50.0)
        gossip.beat()
        assert breaker.state == "closed"
        assert gossip.counts()["heard"] == 1


def test_data_that_is_lost_comes_back(
    server: RedisServer, clock: FakeClock, breaker: Breaker
) -> None:
    """FLUSHALL and SCRIPT FLUSH cost a beat: what is open is told again."""
    with gossip_of(server.port, clock, breaker) as gossip:
        trip(breaker)
        gossip.beat()
        ask(server.port, ("FLUSHALL",), ("SCRIPT", "FLUSH"))
        gossip.beat()
        assert len(open_in(server.port)) == 1
        assert gossip.contact.failures() == {}


def test_a_server_that_is_gone_is_left_alone_and_found_again(
    clock: FakeClock, breaker: Breaker, told: list[object]
) -> None:
    """Its loss and its return are told once; between them it is asked ever less."""
    port = free_port()
    dials = 0

    with gossip_of(port, clock, breaker) as gossip:
        dialled = gossip._dialled

        def counted(*arguments: object) -> object:
            nonlocal dials
            dials += 1
            return dialled(*arguments)  # type: ignore[arg-type]

        gossip._dialled = counted  # type: ignore[assignment]
        for _ in range(120):
            gossip.beat()
            clock.advance(1.0)

        assert dials < 12
        trip(breaker)  # decides by itself as ever
        with redis_server(port=port):
            clock.advance(60.0)
            breaker.settle(breaker.admit(), "failure")  # the probe
            gossip.beat()
            assert len(open_in(port)) == 1

        gossip.beat()  # the connection is stale, and nobody listens
        assert not gossip.contact.is_up

    stores = [e for e in told if isinstance(e, StoreLost | StoreBack)]
    assert stores == [
        StoreLost("breakers", "connection"),
        StoreBack("breakers", 180.0),
        StoreLost("breakers", "connection"),
    ]


def test_a_paused_server_holds_up_no_call(clock: FakeClock, breaker: Breaker) -> None:
    """While Redis hangs, opening takes no time; when it goes on, it is told."""
    with redis_server() as server, gossip_of(server.port, clock, breaker) as gossip:
        gossip.beat()
        with paused(server):
            began_s = time.monotonic()
            trip(breaker)
            assert time.monotonic() - began_s < 0.05
            gossip.beat()
            assert gossip.contact.failures() == {"timeout": 1}
            assert time.monotonic() - began_s < 1.5

        clock.advance(2.0)
        gossip.beat()
        assert len(open_in(server.port)) == 1


@pytest.mark.parametrize(
    ("member", "counted"),
    [
        (b"", "garbage"),
        (b"\xff\x00payments", "garbage"),
        (b"1 payments short 1", "garbage"),
        (b"1 Payments 00000000000000aa 1", "garbage"),
        (b"2 payments 00000000000000aa 1 more", "version"),
        (b"1 refunds 00000000000000aa 1", "unknown"),
        (b"x" * 100_000, "garbage"),
    ],
)
def test_entries_that_mean_nothing_are_counted_and_ignored(
    member: bytes,
    counted: str,
    server: RedisServer,
    clock: FakeClock,
    breaker: Breaker,
) -> None:
    """What another wrote, or another version of us, hurts nothing and counts once."""
    now_ms = round(time.time() * 1000)
    with gossip_of(server.port, clock, breaker, quorum=1) as gossip:
        ask(server.port, ("ZADD", KEY, now_ms + 60_000, member))
        tell(server.port, Opening("payments", OTHER, 1))
        for _ in range(3):
            gossip.beat()

        assert breaker.state == "open", "what makes sense beside it is heeded"
        assert gossip.counts() == {counted: 1, "heard": 1, "opened": 1}


@pytest.mark.parametrize("score", ["inf", 1e300, 9_999_999_999_999])
def test_an_end_in_the_far_future_is_none(
    score: float | str, server: RedisServer, clock: FakeClock, breaker: Breaker
) -> None:
    """No entry opens anything for longer than a day, whatever its score is."""
    with gossip_of(server.port, clock, breaker, quorum=1) as gossip:
        member = Opening("payments", OTHER, 1).member
        ask(server.port, ("ZADD", KEY, str(score), member))
        gossip.beat()
        assert breaker.state == "closed"
        assert gossip.counts() == {"garbage": 1}


def test_garbage_of_any_size_is_not_read(
    server: RedisServer, clock: FakeClock, breaker: Breaker
) -> None:
    """Megabytes that somebody put in the key are neither fetched nor kept."""
    now_ms = round(time.time() * 1000)
    with gossip_of(server.port, clock, breaker, quorum=1) as gossip:
        gossip.beat()
        for number in range(100):
            member = b"%d" % number * 100_000
            ask(server.port, ("ZADD", KEY, now_ms + 60_000, member))

        tell(server.port, Opening("payments", OTHER, 1))
        tracemalloc.start()
        try:
            gossip.beat()
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert peak_bytes < 1_000_000
        assert breaker.state == "open", "what makes sense beside it is heeded"
        assert gossip.contact.failures() == {}


def test_a_server_without_the_script_is_bounded_too() -> None:
    """Of what any server answers, no more is kept than an opening can be long."""
    ((member, _),) = written([b"x" * 500_000, b"60000"])
    assert len(member) < 300
    assert read(member) == "garbage"


def test_a_key_of_another_kind_is_a_failure(
    server: RedisServer, clock: FakeClock, breaker: Breaker
) -> None:
    """A key that holds something else is reported as refused, and nothing breaks."""
    with gossip_of(server.port, clock, breaker) as gossip:
        ask(server.port, ("SET", KEY, "x"))
        gossip.beat()
        assert gossip.contact.failures() == {"refused": 1}


@pytest.mark.parametrize(
    "answer",
    [b"*1\r\n:1\r\n", b"*2\r\n:1\r\n:1\r\n", b"+OK\r\n", b"\x00" * 99, b"-MOVED x\r\n"],
)
def test_a_server_that_talks_nonsense_is_a_failure(
    answer: bytes, clock: FakeClock, breaker: Breaker
) -> None:
    """Whatever a server says, the beat ends and is counted."""

    def link(*_: object) -> object:
        from svcready._transport.redis._link import Link, _connected

        ends_s = time.monotonic() + 1
        return Link(_connected(address_of(port), "127.0.0.1", ends_s))

    with fake_server(answer) as port, gossip_of(port, clock, breaker) as gossip:
        gossip._dialled = link  # type: ignore[assignment]  # nobody greets
        gossip.beat()
        assert sum(gossip.contact.failures().values()) == 1


def test_openings_are_bounded(server: RedisServer, clock: FakeClock) -> None:
    """Neither a process nor the key holds more openings than a fixed number."""
    with gossip_of(server.port, clock) as gossip:
        for number in range(MOST + 10):
            gossip._moved(
                BreakerMoved(f"b{number}", "closed", "open", "failure_rate", 60.0)
            )

        gossip.beat()
        assert gossip.counts() == {"told": MOST, "dropped": 10}

    for process in range(3):
        openings = (Opening(f"c{n}", f"{process:016x}", 1) for n in range(400))
        tell(server.port, *openings, left_s=40.0 + process)

    assert len(open_in(server.port)) == MOST


def test_a_beat_is_hurried_when_one_opens(
    server: RedisServer, clock: FakeClock, breaker: Breaker
) -> None:
    """An opening does not wait for the next beat, nor does it beat on its thread."""
    hurried: list[object] = []
    with gossip_of(server.port, clock, breaker) as gossip:
        gossip._worker.soon = hurried.append  # type: ignore[assignment,method-assign]
        trip(breaker)
        assert hurried == [gossip._job]


def test_the_key_holds_together_in_a_cluster() -> None:
    """The key has a hash tag of service and environment, with nothing strange in it."""
    assert key("or}de{rs", "prod uction\n") == "svcready:{or_de_rs/prod_uction_}:open"


def test_times_are_bounded_where_they_are_read() -> None:
    """A time that is over, missing or endless is no time."""
    reply: Reply = [
        b"a",
        b"0",
        b"b",
        b"-5",
        b"c",
        b"nan",
        b"d",
        b"99999999999",
        b"e",
        b"1500",
    ]
    assert written(reply) == [(b"", 0.0)] * 4 + [(b"e", 1.5)]
    assert not math.isinf(sum(left for _, left in written(reply)))
