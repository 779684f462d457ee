"""Runs checks as the runner would, and tells what they cost."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from svcready.health._check import CHECKS
from svcready.health._result import CheckResult, judge, judge_error
from tests.servers.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.relay import Relay

__all__ = [
    "ALLOWED_S",
    "IN_TIME_S",
    "PASSWORD",
    "Ran",
    "Server",
    "in_child",
    "run",
    "run_async",
    "tasks",
    "threads",
]

ALLOWED_S = 0.8
IN_TIME_S = 5.0
"""What ends by its time-out takes less, on a busy machine too; else it is a minute."""
PASSWORD = "tr0ub4dor"


class Server(NamedTuple):
    """A PostgreSQL server."""

    relay: Relay
    """Through which everybody connects."""
    port: int
    """Its own port, past the relay."""

    @property
    def url(self) -> str:
        """Where it is, by the relay, with a password that it does not ask for."""
        return f"postgresql://orders:{PASSWORD}@127.0.0.1:{self.relay.port}/postgres"

    def engine_url(self) -> str:
        """Return the same for SQLAlchemy."""
        return self.url.replace("://", "+psycopg://")

    def spoken(self, backend: int) -> str:
        """Return when a connection's process last had anything to do, and what."""
        with psycopg.connect(self.url, port=self.port) as connection:
            row = connection.execute(
                "SELECT query || state_change FROM pg_stat_activity WHERE pid = %s",
                (backend,),
            ).fetchone()

        assert row is not None
        return str(row[0])

    def settle(self, connections: int) -> None:
        """Wait until so many clients are connected, whose ends the relay sees late."""
        eventually(
            lambda: self.relay.connections == connections,
            f"{connections} connections",
        )

    @contextmanager
    def stopped(self, backend: int | None = None) -> Iterator[None]:
        """Stop all of its processes, or the one of a connection, as a frozen host."""
        with psycopg.connect(self.url, port=self.port) as connection:
            row = connection.execute("SELECT pg_backend_pid()").fetchone()
            assert row is not None
            postmaster = _parent(row[0])

        pids = [backend] if backend else [postmaster, *_children(postmaster)]
        try:
            _signal(pids, signal.SIGSTOP)
            yield
        finally:
            _signal(pids, signal.SIGCONT)


class Ran(NamedTuple):
    """A run and what it took."""

    result: CheckResult
    seconds: float

    @property
    def status(self) -> str:
        """The result's status."""
        return self.result.status


def run(name: str) -> Ran:
    """Run a check on this thread."""
    check = CHECKS.get(name)
    assert check is not None
    assert not check.is_async
    began_s = time.monotonic()
    try:
        result = judge(check.function())
    except Exception as error:  # noqa: BLE001 - as the runner does
        result = judge_error(error)

    return Ran(result, time.monotonic() - began_s)


async def run_async(name: str) -> Ran:
    """Run a check on this loop, which stays alive the while."""
    check = CHECKS.get(name)
    assert check is not None
    began_s = time.monotonic()
    try:
        made = check.function()
        assert hasattr(made, "__await__")
        result = judge(await made)
    except Exception as error:  # noqa: BLE001 - as the runner does
        result = judge_error(error)

    return Ran(result, time.monotonic() - began_s)


def in_child(work: Callable[[], bool]) -> bool:
    """Tell what *work* says in a forked child."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    status = 1
    try:
        status = 0 if work() else 1
    finally:
        os._exit(status)


def threads() -> set[str]:
    """Return the names of the threads that our checks start, once they have ended."""
    for thread in threading.enumerate():
        if thread.name == "svcready-check-cut":
            thread.join(1)

    names = {thread.name for thread in threading.enumerate()}
    return {name for name in names if name.startswith("svcready-check")}


def tasks() -> int:
    """Return how many other tasks the running loop has."""
    return len(asyncio.all_tasks()) - 1


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # a backend whose client has left
            os.kill(pid, number)


def _parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def _children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in children.split()]
