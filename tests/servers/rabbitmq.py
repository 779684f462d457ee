"""A RabbitMQ server of the tests' own, in a directory that goes with them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.health.checks.certificates import save
from tests.servers.harness import eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RabbitMQ", "rabbitmq", "rabbitmq_server"]


@contextmanager
def rabbitmq() -> Iterator[str]:
    """Run a server and give its URL, as `rabbitmq_server` does."""
    with rabbitmq_server() as server:
        yield server.url


class RabbitMQ(NamedTuple):
    """One that runs."""

    port: int
    environ: dict[str, str]
    tls_port: int
    certificate: Path
    """Which clients may trust; it is for `localhost`."""

    @property
    def url(self) -> str:
        """Its URL."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @contextmanager
    def full(self) -> Iterator[None]:
        """Let it run out of memory, as it thinks: it blocks who publishes."""
        self._allow_memory("0.000001")
        try:
            yield
        finally:
            self._allow_memory("0.6")

    def _allow_memory(self, share: str) -> None:
        own = Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
        subprocess.run(
            [
                str(own) if own.exists() else "rabbitmqctl",
                *("-n", self.environ["RABBITMQ_NODENAME"]),
                *("set_vm_memory_high_watermark", share),
            ],
            env=self.environ,
            check=True,
            capture_output=True,
        )


@contextmanager
def rabbitmq_server() -> Iterator[RabbitMQ]:
    """
    Run a server.

    It skips the test where RabbitMQ is not installed, unless `TEST_REQUIRE_SERVICES`
    says that it must be.
    """
    # Debian's command on the path changes to a user who may not write here.
    own = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    server = str(own) if own.exists() else shutil.which("rabbitmq-server")
    if server is None:
        if os.environ.get("TEST_REQUIRE_SERVICES"):
            pytest.fail("RabbitMQ is not installed")

        pytest.skip("RabbitMQ is not installed")

    with tempfile.TemporaryDirectory(
        prefix="svcready-mq-", ignore_cleanup_errors=True
    ) as directory:
        port, names_port, tls_port = free_port(), free_port(), free_port()
        certificate = save(
            Path(directory), days=30, names=("localhost",), authority=False
        )
        certificate.chmod(0o644)
        config = Path(directory) / "rabbitmq.conf"
        config.write_text(
            f"listeners.ssl.1 = 127.0.0.1:{tls_port}\n"
            f"ssl_options.cacertfile = {certificate}\n"
            f"ssl_options.certfile = {certificate}\n"
            f"ssl_options.keyfile = {certificate}\n"
            "ssl_options.verify = verify_none\n"
            "ssl_options.fail_if_no_peer_cert = false\n"
        )
        (Path(directory) / "plugins").write_text("[].")
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(names_port),
            "RABBITMQ_NODENAME": f"svcready{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": f"{directory}/mnesia",
            "RABBITMQ_LOG_BASE": f"{directory}/log",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{directory}/plugins",
        }
        process = subprocess.Popen(
            [server],
            env=environ,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually(lambda: _answers(port), "RabbitMQ", within_s=40)
            yield RabbitMQ(port, environ, tls_port, certificate)
        finally:
            process.terminate()
            process.wait(30)
            # The names' daemon that Erlang starts outlives what started it.
            subprocess.run(
                ["epmd", "-kill"], env=environ, check=False, capture_output=True
            )


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.settimeout(2)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(connection.recv(1))
    except OSError:
        return False
