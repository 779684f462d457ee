"""The connection to Redis: bounded whatever the server does."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready._transport.redis._link import Link, dial
from svcready._transport.redis._resp import RedisError, RedisRefused, Replies, packed
from svcready._transport.redis._script import Script
from svcready._transport.redis._whereabouts import Whereabouts
from svcready.config._redis_address import redis_address
from tests.resilience.sharing.servers import (
    address_of,
    fake_server,
    paused,
    slow_proxy,
)
from tests.servers.harness import free_port
from tests.servers.redis_server import redis_server

PONG = b"+PONG\r\n"


def within(seconds: float) -> float:
    """Return the time that is so far away."""
    return time.monotonic() + seconds


def reason_of(port: int, *, within_s: float = 0.1) -> str:
    """Return why a server can't be asked, which has to be found out in time."""
    began_s = time.monotonic()
    with pytest.raises(RedisError) as caught:
        dial(address_of(port), within(within_s))

    assert time.monotonic() - began_s < within_s + 0.1
    return caught.value.reason


def test_commands_are_answered_in_order() -> None:
    """Several commands sent at once have their replies in order."""
    with redis_server() as server:
        link = dial(redis_address(f"{server.url}/3"), within(5))
        replies = link.ask(
            [("SET", "k", b"\x00\r\n"), ("GET", "k"), ("INCR", "n"), ("GET", "none")],
            within(5),
        )
        link.close()

    assert replies == [b"OK", b"\x00\r\n", 1, None]


def test_a_password_is_used_and_never_told() -> None:
    """The right password lets in; a wrong one is refused without being repeated."""
    with redis_server(password="hunter2-secret") as server:
        right = redis_address(f"redis://:hunter2-secret@127.0.0.1:{server.port}")
        dial(right, within(5)).close()
        wrong = redis_address(f"redis://me:wr%40ng-secret@127.0.0.1:{server.port}")
        with pytest.raises(RedisError) as caught:
            dial(wrong, within(5))

    assert caught.value.reason == "refused"
    shown = f"{caught.value!r} {caught.value} {right!r} {wrong!r}"
    assert "secret" not in shown


def test_a_server_on_a_socket_is_reached(tmp_path: object) -> None:
    """`unix://` names a socket's path."""
    path = f"{tmp_path}/redis.sock"
    with redis_server("--unixsocket", path):
        link = dial(redis_address(f"unix://{path}?db=2"), within(5))
        assert link.ask([("PING",)], within(5)) == [b"PONG"]
        link.close()


def test_nobody_there_is_found_out() -> None:
    """A closed port, and a name that nobody knows, are told apart."""
    assert reason_of(free_port()) == "connection"
    with pytest.raises(RedisError) as caught:
        dial(redis_address("redis://nowhere.invalid"), within(5))

    assert caught.value.reason == "resolve"


@pytest.mark.parametrize("answer", [b"", PONG])
def test_a_drip_is_cut_off(answer: bytes) -> None:
    """A server that says nothing, or a byte at a time, takes no longer than allowed."""
    with fake_server(answer, piece_bytes=1, pause_s=0.04) as port:
        assert reason_of(port) == "timeout"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"$abc\r\n",
        b"$99999999999\r\n",
        b"*-7\r\n",
        b"*1\r\n" * 50,
        b"$3\r\nabcdef\r\n",
        b":1\r\n",
        PONG + PONG,
        b"-ERR no\r\n",
        b"\x16\x03\x01" * 3000,
    ],
)
def test_garbage_is_refused(answer: bytes) -> None:
    """What is no reply to what was asked ends the connection."""
    with fake_server(answer) as port:
        assert reason_of(port, within_s=2.0) in {"garbage", "refused"}


def test_a_paused_server_costs_what_is_allowed() -> None:
    """A connection over which nobody answers any more is given up in time."""
    with redis_server() as server:
        link = dial(address_of(server.port), within(5))
        with paused(server):
            began_s = time.monotonic()
            with pytest.raises(RedisError, match="no answer in time"):
                link.ask([("PING",)], within(0.05))

            assert time.monotonic() - began_s < 0.15
            assert reason_of(server.port) == "timeout"


def test_a_connection_survives_that_nobody_had_time_to_ask() -> None:
    """Time that was over before anything was sent says nothing of the server."""
    with redis_server() as server:
        link = dial(address_of(server.port), within(5))
        with pytest.raises(RedisError) as caught:
            link.ask([("PING",)], within(-0.01))

        assert caught.value.reason == "busy"
        assert link.ask([("PING",)], within(5)) == [b"PONG"]
        link.close()


def test_a_slow_server_answers_in_time_or_not_at_all() -> None:
    """An answer that comes late is never taken for the next one."""
    delay_s = [0.0]
    with redis_server() as server, slow_proxy(server.port, delay_s) as port:
        link = dial(address_of(port), within(5))
        delay_s[0] = 0.2
        with pytest.raises(RedisError):
            link.ask([("ECHO", "late")], within(0.05))

        with pytest.raises(RedisError):  # closed, and so never mistaken
            link.ask([("ECHO", "next")], within(5))


def test_an_idle_connection_that_ended_is_noticed() -> None:
    """A connection is stale once the server is gone, without asking it anything."""
    with redis_server() as server:
        link = dial(address_of(server.port), within(5))
        assert not link.is_stale()

    assert link.is_stale()
    link.close()
    assert link.is_stale()


def test_a_script_is_sent_whole_where_it_is_unknown() -> None:
    """After SCRIPT FLUSH a script runs as before."""
    script = Script("return {KEYS[1], ARGV[1]}")
    with redis_server() as server:
        link = dial(address_of(server.port), within(5))
        for _ in range(2):
            assert script.run(link, ["k"], [7], within(5)) == [b"k", b"7"]

        link.ask([("SCRIPT", "FLUSH")], within(5))
        assert script.run(link, ["k"], [8], within(5)) == [b"k", b"8"]
        with pytest.raises(RedisRefused):
            Script("return redis.call('INCR', KEYS[1], 1)").run(
                link, ["k"], [], within(5)
            )

        link.close()


def test_a_cluster_says_who_has_the_key() -> None:
    """A node that does not have our keys names the one that does, for the next time."""
    home = redis_address("redis://:word@one:7000/0")
    where = Whereabouts(home)
    two = home._replace(host="10.0.0.2", port=7001)
    moved = RedisRefused("MOVED 3999 10.0.0.2:7001")
    assert where.learn(moved, home)
    assert where.learn(moved, home), "another thread, which asked at the same time"
    assert where.address == two
    assert not where.learn(RedisRefused("MOVED 3999 10.0.0.3:7001"), two), "a ring"
    assert not where.learn(RedisError("connection"), where.address)
    assert where.address == home
    assert where.learn(RedisRefused("MOVED 1 :7002"), home)
    assert where.address == home._replace(port=7002)
    assert not where.learn(RedisError("timeout"), where.address)
    assert not where.learn(RedisRefused("MOVED rubbish"), home)
    assert where.address == home


REPLIES = st.recursive(
    st.none() | st.binary(max_size=9) | st.integers(-(2**63), 2**63 - 1),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


def written(reply: object) -> bytes:
    """Write a reply as a server does."""
    if reply is None:
        return b"$-1\r\n"

    if isinstance(reply, int):
        return b":%d\r\n" % reply

    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)

    assert isinstance(reply, list)
    return b"*%d\r\n" % len(reply) + b"".join(map(written, reply))


def depth(reply: object) -> int:
    """Return how deep lists are nested."""
    return 1 + max(map(depth, reply), default=0) if isinstance(reply, list) else 0


@given(st.lists(REPLIES.filter(lambda r: depth(r) <= 4), max_size=4), st.data())
def test_replies_are_read_however_they_are_cut(
    sent: list[object], data: st.DataObject
) -> None:
    """Replies come out as they went in, in whatever pieces they arrive."""
    raw = b"".join(map(written, sent))
    replies = Replies()
    taken: list[object] = []
    while raw:
        cut = data.draw(st.integers(1, len(raw)))
        replies.feed(raw[:cut])
        raw = raw[cut:]
        while (reply := replies.take()) is not None:
            taken += reply

    assert taken == sent
    assert not replies.pending


@given(st.binary(max_size=64))
def test_garbage_never_breaks_the_reader(raw: bytes) -> None:
    """Any bytes are replies, the beginning of one, or refused: nothing else."""
    replies = Replies()
    replies.feed(raw)
    with contextlib.suppress(RedisError):
        while replies.take() is not None:
            pass


def test_commands_are_counted_in_bytes() -> None:
    """Lengths are those of the bytes, so that no value can begin a command."""
    assert packed([("SET", "ü", b"\r\n*1")]) == (
        b"*3\r\n$3\r\nSET\r\n$2\r\n\xc3\xbc\r\n$4\r\n\r\n*1\r\n"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://redis",
        "redis://",
        "redis:///0",
        "unix://",
        "unix://host/path",
        "redis://host/x",
        "redis://host:99999",
        "redis://host?ssl_cert_reqs=none",
        "redis://host?ssl_ca_certs=/x",
        "redis://host#fragment",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """A URL that does not name a server raises, and the error repeats nothing of it."""
    with pytest.raises(ValueError, match=r".") as caught:
        redis_address(url)

    assert "host" not in str(caught.value) or "no host" in str(caught.value)


def test_a_link_is_closed_twice_without_harm() -> None:
    """Closing is idempotent."""
    with redis_server() as server:
        link: Link = dial(address_of(server.port), within(5))
        link.close()
        link.close()
