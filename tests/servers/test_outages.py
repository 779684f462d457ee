"""Readiness while a database or a broker is away: it follows, and never hangs."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.servers.backends import backend
from tests.servers.harness import Service, eventually
from tests.servers.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.backends import Backend

INTERVAL_S, TIMEOUT_S, FAIL_AFTER, RECOVER_AFTER = 0.1, 1.0, 2, 2
NOTICED_S = FAIL_AFTER * (1.1 * INTERVAL_S + TIMEOUT_S)
RECOVERED_S = RECOVER_AFTER * (1.1 * INTERVAL_S + TIMEOUT_S)
BUSY_S = 6.0
"""What a loaded machine may add to either."""
EVERY_S = 0.05


class Seen(NamedTuple):
    """One probe's answer."""

    at_s: float
    status: int
    took_s: float


class Prober:
    """
    Asks readiness twenty times a second, as many load balancers' nodes do.

    Args:
        port: Of the service.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seen: list[Seen] = []

    def __enter__(self) -> Prober:
        self._thread.start()
        eventually(lambda: self.status == 200, "readiness passes", 20)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)

    @property
    def status(self) -> int:
        """The last answer."""
        return self.seen[-1].status if self.seen else 0

    def becomes(self, status: int, within_s: float) -> None:
        """Wait until readiness answers *status*."""
        eventually(lambda: self.status == status, f"readiness is {status}", within_s)

    def changes(self) -> list[int]:
        """Return each status that differed from the one before, once it was ready."""
        seen = [each.status for each in self.seen]
        seen = list(itertools.dropwhile(lambda status: status != 200, seen))
        return [now for before, now in itertools.pairwise(seen) if now != before]

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._over.wait(EVERY_S):
            began_s = time.monotonic()
            connection.request("GET", "/health/readiness")
            answer = connection.getresponse()
            answer.read()
            took_s = time.monotonic() - began_s
            self.seen.append(Seen(began_s, answer.status, took_s))

        connection.close()


class Rig(NamedTuple):
    """A backend, the relay before it, the service behind both, and its prober."""

    backend: Backend
    relay: Relay
    service: Service
    prober: Prober

    def threads(self) -> int:
        """Return how many threads the service has."""
        count: int = self.service.client.get("/threads").json()["threads"]
        return count


KINDS = ("postgresql", "postgresql-async", "redis", "rabbitmq")


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """Run a service that needs the backend of the parameter."""
    kind: str = request.param
    with backend(kind.partition("-")[0]) as peer, Relay(peer.port) as relay:
        environ = {
            "BACKEND": kind,
            "BACKEND_PORT": str(relay.port),
            "SVCREADY_HEALTH_AUTO_CHECKS": "false",
            "SVCREADY_CHECK__BACKEND__INTERVAL_S": str(INTERVAL_S),
            "SVCREADY_CHECK__BACKEND__TIMEOUT_S": str(TIMEOUT_S),
            "SVCREADY_CHECK__BACKEND__FAIL_AFTER": str(FAIL_AFTER),
            "SVCREADY_CHECK__BACKEND__RECOVER_AFTER": str(RECOVER_AFTER),
            "SVCREADY_LIFECYCLE_DRAIN_DELAY_S": "0",
        }
        command = ["uvicorn", "tests.servers.apps.outages_app:app", "--port", "{port}"]
        with (
            Service(command, tmp_path, environ=environ) as service,
            Prober(service.port) as prober,
        ):
            prober.becomes(200, BUSY_S)
            yield Rig(peer, relay, service, prober)


def outages(rig: Rig) -> list[tuple[str, Callable[[], None], Callable[[], None]]]:
    """Return every way of being away, and what ends it."""
    return [
        ("swallowed", rig.relay.swallow, rig.relay.through),
        ("refused", rig.relay.refuse, rig.relay.through),
        ("frozen", rig.backend.freeze, rig.backend.thaw),
        ("killed", rig.backend.kill, rig.backend.start),
    ]


def go_through(rig: Rig, begin: Callable[[], None], end: Callable[[], None]) -> None:
    """Have the backend go away and come back, and see readiness follow."""
    begin()
    rig.prober.becomes(503, NOTICED_S + BUSY_S)
    away = len(rig.prober.seen)
    eventually(lambda: len(rig.prober.seen) >= away + 10, "ten more probes")
    end()
    rig.prober.becomes(200, RECOVERED_S + BUSY_S)


def test_readiness_follows_and_never_flaps(rig: Rig) -> None:
    """
    Swallowed, refused, frozen or killed: 503 within the thresholds, 200 after it.

    Between the two the answer never changes, no probe waits for the backend, and
    neither threads nor connections grow.
    """
    threads = rig.threads()
    for _, begin, end in outages(rig):
        go_through(rig, begin, end)

    assert rig.prober.changes() == [503, 200] * 4
    # If probes waited, each of those while it was away would, and these are half.
    waited = sum(seen.took_s >= TIMEOUT_S for seen in rig.prober.seen)
    assert waited <= len(rig.prober.seen) // 20
    assert rig.threads() <= threads + 2
    assert rig.relay.most_connections <= 4


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rig", KINDS[:1] + KINDS[2:], indirect=True)
def test_a_thousand_runs_leave_nothing_behind(rig: Rig) -> None:
    """
    After a thousand runs with outages between them, all is as it was.

    No probe of these took over 50 ms, but for the few that a loaded machine's own
    pauses delay: fewer than one in a hundred.
    """
    threads = rig.threads()
    ends_s = time.monotonic() + 1000 * INTERVAL_S
    rounds = 0
    while time.monotonic() < ends_s:
        for _, begin, end in outages(rig)[:3]:
            go_through(rig, begin, end)
            rounds += 1

    assert rig.prober.changes() == [503, 200] * rounds
    slow = sum(seen.took_s > 0.05 for seen in rig.prober.seen)
    assert slow <= len(rig.prober.seen) // 100
    assert rig.threads() <= threads + 2
    assert rig.relay.most_connections <= 4
