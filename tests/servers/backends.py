"""PostgreSQL, Redis and RabbitMQ as tests stop, freeze, kill and start them again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.servers.harness import eventually, free_port

__all__ = ["BACKENDS", "Backend", "backend"]

_START_S = 60.0


class _Plan(NamedTuple):
    """How a server is started, and how one sees that it answers."""

    command: list[str]
    environ: Mapping[str, str]
    user: str | None
    answers: Callable[[], bool]


class Backend:
    """
    One server, with all of its processes.

    Args:
        plan: How it is started.
        port: Where it listens, on 127.0.0.1.
        directory: Where its data is.
    """

    def __init__(self, plan: _Plan, port: int, directory: str) -> None:
        self._plan = plan
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            self._plan.command,
            env=self._plan.environ,
            user=self._plan.user,
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self._plan.answers, self._plan.command[0], within_s=_START_S)

    def freeze(self) -> None:
        """Stop every process of it, as a hung host does: connections stay."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End every process of it at once."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(20)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return

        with contextlib.suppress(psutil.NoSuchProcess):
            first = psutil.Process(self._process.pid)
            for each in (*first.children(recursive=True), first):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.send_signal(number)


@contextmanager
def backend(name: str) -> Iterator[Backend]:
    """
    Run the server *name*, one of `BACKENDS`.

    It skips the test where it is not installed, unless `TEST_REQUIRE_SERVICES` says
    that it must be.
    """
    with tempfile.TemporaryDirectory(
        prefix=f"svcready-{name}-", ignore_cleanup_errors=True
    ) as directory:
        port = free_port()
        plan = BACKENDS[name](directory, port)
        if plan is None:
            if os.environ.get("TEST_REQUIRE_SERVICES"):
                pytest.fail(f"{name} is not installed")

            pytest.skip(f"{name} is not installed")

        made = Backend(plan, port, directory)
        try:
            made.start()
            yield made
        finally:
            made.kill()
            if name == "rabbitmq":  # the names' daemon outlives what started it
                command = ["epmd", "-kill"]
                subprocess.run(
                    command, env=plan.environ, check=False, capture_output=True
                )


def _postgresql(directory: str, port: int) -> _Plan | None:
    from tests.servers.postgres import _answers, _binary

    initdb, server = _binary("initdb"), _binary("postgres")
    if initdb is None or server is None:
        return None

    # The server refuses to run as root; Debian's package has a user for it.
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(directory, user)

    data = f"{directory}/data"
    subprocess.run(
        [initdb, "-D", data, "-U", "orders", "-A", "trust", "--no-sync"],
        check=True,
        user=user,
        cwd="/",
        capture_output=True,
    )
    command = [server, "-D", data, "-p", str(port), "-k", directory, "-F"]
    command += ["-c", "listen_addresses=127.0.0.1"]
    where = f"orders@127.0.0.1:{port}/postgres"
    return _Plan(command, os.environ, user, lambda: _answers(where))


def _redis(directory: str, port: int) -> _Plan | None:
    import redis

    server = shutil.which("redis-server")
    if server is None:
        return None

    def answers() -> bool:
        with redis.Redis(port=port) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    command = [server, "--port", str(port), "--dir", directory]
    command += ["--bind", "127.0.0.1", "--save", ""]
    return _Plan(command, os.environ, None, answers)


def _rabbitmq(directory: str, port: int) -> _Plan | None:
    from tests.servers.rabbitmq import _answers

    # Debian's command on the path changes to a user who may not write here.
    own = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    server = str(own) if own.exists() else shutil.which("rabbitmq-server")
    if server is None:
        return None

    (Path(directory) / "plugins").write_text("[].")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": directory,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port()),
        "RABBITMQ_NODENAME": f"svcready{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": f"{directory}/mnesia",
        "RABBITMQ_LOG_BASE": f"{directory}/log",
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": f"{directory}/none",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{directory}/plugins",
    }
    return _Plan([server], environ, None, lambda: _answers(port))


BACKENDS: Mapping[str, Callable[[str, int], _Plan | None]] = {
    "postgresql": _postgresql,
    "redis": _redis,
    "rabbitmq": _rabbitmq,
}
"""What can be run, by name."""
