"""A PostgreSQL server of the tests' own, in a directory that goes with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers.harness import eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["postgres"]


@contextmanager
def postgres() -> Iterator[str]:
    """
    Run a server and give its URL, without the scheme.

    It skips the test where PostgreSQL is not installed, unless
    `TEST_REQUIRE_SERVICES` says that it must be.
    """
    initdb, server = _binary("initdb"), _binary("postgres")
    if initdb is None or server is None:
        if os.environ.get("TEST_REQUIRE_SERVICES"):
            pytest.fail("PostgreSQL is not installed")

        pytest.skip("PostgreSQL is not installed")

    # The server refuses to run as root; Debian's package has a user for it.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="svcready-pg-") as directory:
        if user:
            shutil.chown(directory, user)

        data, port = Path(directory) / "data", free_port()
        subprocess.run(
            [initdb, "-D", data, "-U", "orders", "-A", "trust", "--no-sync"],
            check=True,
            user=user,
            cwd="/",
            capture_output=True,
        )
        process = subprocess.Popen(
            [
                *(server, "-D", data, "-p", str(port), "-k", directory, "-F"),
                *("-c", "listen_addresses=127.0.0.1"),
            ],
            user=user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            where = f"orders@127.0.0.1:{port}/postgres"
            eventually(lambda: _answers(where), "PostgreSQL")
            yield where
        finally:
            process.terminate()
            process.wait(20)


def _binary(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


def _answers(where: str) -> bool:
    import psycopg

    try:
        psycopg.connect(f"postgresql://{where}", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False

    return True
