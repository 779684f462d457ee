"""Redis servers of the tests' own, in directories that go with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.servers.harness import eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RedisServer", "redis_server"]


class RedisServer(NamedTuple):
    """One that runs."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its URL."""
        return f"redis://127.0.0.1:{self.port}"


@contextmanager
def redis_server(
    *arguments: str, port: int = 0, password: str = "", sentinel_of: str = ""
) -> Iterator[RedisServer]:
    """
    Run a server.

    It skips the test where Redis is not installed, unless `TEST_REQUIRE_SERVICES` says
    that it must be.

    Args:
        arguments: Of its command line, `--cluster-enabled yes`.
        port: Where it listens; one that is free if not given.
        password: What it asks for.
        sentinel_of: `host port` of the master `orders` that it watches as a Sentinel.
    """
    server = shutil.which("redis-server")
    if server is None:
        if os.environ.get("TEST_REQUIRE_SERVICES"):
            pytest.fail("Redis is not installed")

        pytest.skip("Redis is not installed")

    with tempfile.TemporaryDirectory(prefix="svcready-redis-") as directory:
        port = port or free_port()
        file = Path(directory) / "redis.conf"
        watched = f"sentinel monitor orders {sentinel_of} 1\n" if sentinel_of else ""
        file.write_text(watched)
        command = [server, str(file), "--port", str(port), "--dir", directory]
        command += [
            "--bind",
            "127.0.0.1",
            "--repl-diskless-sync-delay",
            "0",
            *arguments,
        ]
        if password:
            command += ["--requirepass", password]

        command += ["--sentinel"] if sentinel_of else ["--save", ""]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            eventually(lambda: _answers(port, password), "Redis")
            yield RedisServer(port, process)
        finally:
            process.kill()  # one that a test has stopped takes no other signal
            process.wait(20)


def _answers(port: int, password: str) -> bool:
    import redis

    try:
        with redis.Redis(port=port, password=password or None) as client:
            client.ping()
    except redis.BusyLoadingError:
        return True
    except redis.RedisError:
        return False

    return True
