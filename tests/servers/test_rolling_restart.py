"""A rolling restart behind a load balancer: the promise that no request is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.clients import Load
from tests.servers.harness import Service, eventually, free_port
from tests.servers.test_drain import serve

CONFIGURATION = """
global
    maxconn 2000
    stats socket {stats} mode 600
defaults
    mode http
    timeout connect 2s
    timeout client 20s
    timeout server 20s
    retries 0
    no option redispatch
frontend all
    bind 127.0.0.1:{port}
    default_backend instances
backend instances
    balance roundrobin
    option httpchk GET /health/readiness
    default-server check inter 200ms fall 2 rise 1
    server one 127.0.0.1:{one}
    server two 127.0.0.1:{two}
"""
PLAN = {
    "SVCREADY_LIFECYCLE_DRAIN_DELAY_S": "1",
    "SVCREADY_LIFECYCLE_DRAIN_TIMEOUT_S": "5",
}


class Balancer:
    """
    HAProxy in front of two instances, which hides no failure: it tries nothing twice.

    Args:
        directory: Where its files go.
        instances: The two.
    """

    def __init__(self, directory: Path, instances: tuple[Service, Service]) -> None:
        self.port = free_port()
        self._file = directory / "haproxy.cfg"
        self._log = directory / "haproxy.log"
        self._file.write_text(
            CONFIGURATION.format(
                stats=directory / "haproxy.sock",
                port=self.port,
                one=instances[0].port,
                two=instances[1].port,
            )
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run it."""
        program = shutil.which("haproxy") or "/usr/sbin/haproxy"
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [program, "-db", "-f", str(self._file)], stdout=log, stderr=log
            )
            try:
                eventually(self._listens, "it listens")
                yield
            finally:
                process.kill()
                process.wait()

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True

        return False

    def downs(self) -> int:
        """Return how often it has taken an instance out."""
        return self._log.read_text().count("is DOWN")

    def ups(self) -> int:
        """Return how often it has taken an instance in again."""
        return self._log.read_text().count("is UP")


def _rolling_restart(name: str, directory: Path, rounds: int, **plan: str) -> Load:
    """Restart two instances one after another, under load, and return the load."""
    if not (shutil.which("haproxy") or Path("/usr/sbin/haproxy").exists()):
        if os.environ.get("TEST_REQUIRE_SERVICES"):
            pytest.fail("haproxy is not installed")

        pytest.skip("haproxy is not installed")

    places = [directory / "one", directory / "two"]
    for place in places:
        place.mkdir()

    environ = {**PLAN, **plan}
    one, two = (serve(name, place, **environ) for place in places)
    balancer = Balancer(directory, (one, two))
    with one, two, balancer.running():
        with Load(balancer.port, clients=6) as load:
            eventually(lambda: load.answered > 100, "requests are answered")
            for restarts, instance in enumerate((one, two) * rounds):
                _restart(instance, balancer, load, restarts + 1)

        return load


def _restart(instance: Service, balancer: Balancer, load: Load, count: int) -> None:
    """Restart one instance, as the *count*-th restart, and go on when it takes part."""
    assert instance.terminate().code in {0, -15}
    eventually(lambda: balancer.downs() >= count, "it is taken out")
    instance.start()
    eventually(lambda: balancer.ups() >= count, "it is taken in")
    seen = load.answered
    eventually(lambda: load.answered > seen + 50, "both answer")


@pytest.mark.parametrize(
    "name", ["uvicorn", "uvicorn-workers", "gunicorn-gthread", "gunicorn-asgi"]
)
def test_a_rolling_restart_loses_no_request(name: str, tmp_path: Path) -> None:
    """Both instances are restarted, one after the other, and no request fails."""
    load = _rolling_restart(name, tmp_path, rounds=1)

    assert load.failed == []
    assert load.answered > 300


@pytest.mark.soak
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["uvicorn", "gunicorn-gthread"])
def test_many_rolling_restarts_lose_no_request(name: str, tmp_path: Path) -> None:
    """The same ten times over, with the delay that is the default."""
    plan = {"SVCREADY_LIFECYCLE_DRAIN_DELAY_S": "5"}
    load = _rolling_restart(name, tmp_path, rounds=10, **plan)

    assert load.failed == []
