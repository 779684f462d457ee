"""Policies per host that threads ask for at the same time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest

from svcready.resilience import policy
from svcready.resilience._parts import DERIVED
from svcready.resilience.clients.httpx import PolicyTransport

THREADS = 8
POLICIES = 10


@pytest.fixture
def _turns() -> Iterator[None]:
    """Have threads take turns all the time."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_turns")
def test_threads_meet_their_hosts_at_the_same_time() -> None:
    """Each gets the answer of its own, whoever else is met for the first time."""
    answer = httpx.MockTransport(lambda _: httpx.Response(200))
    transports = []
    for number in range(POLICIES):
        policy(f"peers-{number}", breaker=True)
        transports.append(PolicyTransport(f"peers-{number}", answer, per_host=True))

    begin = Barrier(THREADS)

    def ask(thread: int) -> list[int]:
        begin.wait(100)
        return [
            transport.handle_request(
                httpx.Request("GET", f"http://host-{thread}-{number}.example/")
            ).status_code
            for transport in transports
            for number in range(4)
        ]

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(ask, range(THREADS)))

    assert answers == [[200] * 4 * POLICIES] * THREADS
    assert len(DERIVED) == THREADS * 4 * POLICIES
