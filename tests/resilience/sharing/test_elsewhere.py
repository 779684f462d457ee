"""Redis over TLS, behind a socket's path and in a cluster: the same things hold."""

from __future__ import annotations

import asyncio
import math
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from svcready._transport.redis._link import dial
from svcready._transport.redis._resp import RedisError
from svcready.config._redis_address import RedisAddress, redis_address
from svcready.resilience._admitting._gcra import Rate
from svcready.resilience._breaking._breaker import Breaker
from svcready.resilience._config import BreakerConfig
from svcready.resilience._limiting._store import MemoryStore, Want
from svcready.resilience._sharing._buckets import key_prefix
from svcready.resilience._sharing._gossip import Gossip
from svcready.resilience._sharing._openings import EXCHANGE, Opening, arguments
from svcready.resilience._sharing._rate_store import SharedRates
from svcready.testing import FakeClock
from tests.architecture.house import ROOT
from tests.health.checks.certificates import save
from tests.resilience.sharing.servers import address_of
from tests.servers.harness import eventually, free_port
from tests.servers.redis_server import redis_server

WANTS = [Want("k", Rate(0.001, 6)), Want("l", Rate(0.001, 9))]


def ask(address: RedisAddress, *commands: tuple[str | int, ...]) -> list[object]:
    """Ask a server."""
    link = dial(address, time.monotonic() + 5)
    replies = link.ask(commands, time.monotonic() + 5)
    link.close()
    return list(replies)


@contextmanager
def over_tls(directory: Path) -> Iterator[RedisAddress]:
    """Run a server that encrypts, with a certificate that nobody else trusts."""
    port = free_port()
    file = save(directory, days=30, names=("localhost",), authority=False)
    arguments = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    for name in ("cert", "key", "ca-cert"):
        arguments += [f"--tls-{name}-file", str(file)]

    with redis_server(*arguments, password="hunter2"):
        yield redis_address(f"rediss://:hunter2@localhost:{port}/2?ssl_ca_certs={file}")


@contextmanager
def on_a_socket(directory: Path) -> Iterator[RedisAddress]:
    """Run a server behind a path."""
    with redis_server("--unixsocket", str(directory / "redis")):
        yield redis_address(f"unix://{directory}/redis?db=3")


@contextmanager
def in_a_cluster(directory: Path) -> Iterator[RedisAddress]:
    """Run two nodes, of which the one that is asked has none of the keys."""
    with ExitStack() as stack:
        ports = []
        for name in ("one", "two"):
            (directory / name).mkdir()
            file = f"{directory}/{name}/nodes.conf"
            options = ["--cluster-enabled", "yes", "--cluster-config-file", file]
            port = free_port()
            options += ["--cluster-port", str(free_port())]
            ports.append(stack.enter_context(redis_server(*options, port=port)).port)

        one, two = map(address_of, ports)
        ask(one, ("CLUSTER", "ADDSLOTSRANGE", 0, 16383))
        (bus,) = ask(one, ("CONFIG", "GET", "cluster-port"))
        assert isinstance(bus, list)
        ask(two, ("CLUSTER", "MEET", "127.0.0.1", ports[0], int(bus[1])))
        for node in (one, two):
            eventually(lambda node=node: _is_whole(node), "the cluster")  # type: ignore[misc]

        yield two


def _is_whole(node: RedisAddress) -> bool:
    (told,) = ask(node, ("CLUSTER", "INFO"))
    return isinstance(told, bytes) and b"cluster_state:ok" in told


everywhere = pytest.mark.parametrize(
    "served", [over_tls, on_a_socket, in_a_cluster], ids=lambda f: f.__name__
)
Served = Callable[[Path], AbstractContextManager[RedisAddress]]


@contextmanager
def gossip_at(
    address: RedisAddress, clock: FakeClock, breaker: Breaker
) -> Iterator[Gossip]:
    """Run the gossip of a process, whose beats the test makes."""
    gossip = Gossip(
        "orders",
        "production",
        address,
        breakers=lambda: [breaker],
        quorum=1,
        clock=clock,
    )
    gossip._worker.wake = lambda: None  # type: ignore[method-assign]
    gossip.wake()
    try:
        yield gossip
    finally:
        gossip.close()


@everywhere
@pytest.mark.parametrize("on_loop", [False, True], ids=["thread", "loop"])
def test_limits_are_counted_there(
    served: Served, on_loop: bool, tmp_path: Path, clock: FakeClock
) -> None:
    """The script runs, and the smaller of two limits holds, wherever the server is."""

    def in_thread(store: SharedRates, times: int) -> int:
        return sum(store.take(WANTS).allowed for _ in range(times))

    async def asked(store: SharedRates, times: int) -> int:
        if not on_loop:
            return await asyncio.to_thread(in_thread, store, times)

        taken = [await store.take_async(WANTS) for _ in range(times)]
        return sum(decision.allowed for decision in taken)

    async def exhausted(address: RedisAddress) -> int:
        prefix = key_prefix("orders", "production")
        store = SharedRates(address, prefix, MemoryStore(clock), clock, timeout_s=5.0)
        try:
            if served is in_a_cluster:
                await asked(store, 1)  # hears where the keys are
                assert sum(store.without().values()) == 1

            allowed = await asked(store, 8)
            assert store.contact.failures() == {}
            return allowed
        finally:
            store.close()
            await asyncio.sleep(0.05)

    with served(tmp_path) as address:
        assert asyncio.run(exhausted(address)) == 6


@everywhere
def test_openings_are_told_there(
    served: Served, tmp_path: Path, clock: FakeClock
) -> None:
    """What opens is told and heard wherever the server is."""
    breaker = Breaker("payments", BreakerConfig(min_calls=1), clock=clock)
    with served(tmp_path) as address, gossip_at(address, clock, breaker) as gossip:
        breaker.settle(breaker.admit(), "failure")
        for _ in range(2):
            gossip.beat()

        assert gossip.contact.failures() == {}
        (members,) = ask(gossip._where.address, ("ZCARD", gossip._key))
        assert members == 1


def test_certificates_are_read_off_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """What takes 20 ms is done once, by a thread, and again if the files changed."""
    made: list[int] = []
    make = ssl.create_default_context

    def counted(**options: Any) -> ssl.SSLContext:
        made.append(threading.get_ident())
        return make(**options)

    monkeypatch.setattr(ssl, "create_default_context", counted)

    async def asked(store: SharedRates) -> None:
        for _ in range(3):
            assert (await store.take_async(WANTS)).allowed
            link = await store._link_of(asyncio.get_running_loop(), math.inf)
            link.end("connection", "over")

        assert (store.without(), store.contact.failures()) == ({}, {})
        store.close()
        await asyncio.sleep(0.05)

    with over_tls(tmp_path) as address:
        prefix = key_prefix("orders", "production")
        asyncio.run(
            asked(SharedRates(address, prefix, MemoryStore(clock), clock, timeout_s=5))
        )
        assert len(made) == 1
        assert made[0] != threading.get_ident()
        dial(address, time.monotonic() + 5).close()
        assert len(made) == 1
        os.utime(address.ca_file, ns=(1, 1))
        dial(address, time.monotonic() + 5).close()
        assert len(made) == 2


def test_a_certificate_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    """Without its authority a server over TLS is none that is talked to."""
    with over_tls(tmp_path) as address, pytest.raises(RedisError) as caught:
        dial(address._replace(ca_file=""), time.monotonic() + 5)

    assert caught.value.reason == "connection"


def test_the_documented_rights_suffice(clock: FakeClock) -> None:
    """A user with no other rights than the page names can do all of it."""
    page = (ROOT / "docs" / "shared-state.md").read_text()
    rights = page.partition("ACL SETUSER orders")[2].partition("```")[0].split()
    with redis_server() as server:
        home = address_of(server.port)
        assert ask(home, ("ACL", "SETUSER", "orders", *rights)) == [b"OK"]
        url = f"redis://orders:hunter2@127.0.0.1:{server.port}/1"
        prefix = key_prefix("orders", "production")
        local = MemoryStore(clock)
        store = SharedRates(redis_address(url), prefix, local, clock, timeout_s=5.0)
        give_back = [Want("k", Rate(0.001, 6), -1)]
        assert [store.take(wants).allowed for wants in (WANTS, give_back)] == [True] * 2
        assert (store.without(), store.contact.failures()) == ({}, {})
        store.close()
        breaker = Breaker("payments", BreakerConfig(min_calls=1), clock=clock)
        with gossip_at(redis_address(url), clock, breaker) as gossip:
            breaker.settle(breaker.admit(), "failure")
            gossip.beat()
            breaker.reset()
            gossip.beat()
            words = arguments(
                [(Opening(f"b{n}", "0" * 16, n), 60.0) for n in range(600)], []
            )
            link = dial(redis_address(url), time.monotonic() + 5)
            EXCHANGE.run(link, [gossip._key], words, time.monotonic() + 5)
            link.close()
            gossip.beat()
            assert gossip.contact.failures() == {}
