"""What the demo does to its services, and when."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from svcready.demo._findings import Phase

__all__ = ["SCRIPT", "Script", "Step"]

_LOCK_WAIT_S = 5.0


class Step(NamedTuple):
    """One thing that is done, and how the services are from then on."""

    share: float
    """When, as a share of the whole run."""
    what: str
    payments: str = "ok"
    database: str = "ok"


SCRIPT = (
    Step(0.0, "all is well"),
    Step(0.22, "payments answers too late", payments="slow"),
    Step(0.36, "payments fails every charge", payments="broken"),
    Step(0.54, "payments is well again"),
    Step(0.74, "the database is locked", database="locked"),
    Step(0.88, "the database is free again"),
)
"""The run, from its first step to its last."""


class Script:
    """
    Breaks the services and mends them again, by the clock.

    The database is broken for real: another process, this one, holds SQLite's
    exclusive lock on its file.

    Args:
        client: Reaches the payments service.
        database: The orders service's database file.
    """

    def __init__(self, client: httpx.AsyncClient, database: str) -> None:
        self._client = client
        self._database = database
        self._lock: sqlite3.Connection | None = None
        self.phases: list[Phase] = []
        """What was done so far."""

    async def perform(self, seconds: float, begun_s: float) -> None:
        """
        Do each step at its time.

        Args:
            seconds: How long the run lasts.
            begun_s: When it began, on the monotonic clock.
        """
        try:
            for step in SCRIPT:
                due_s = begun_s + step.share * seconds
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                await self._do(step)
                self.phases.append(
                    {
                        "at_s": round(time.monotonic() - begun_s, 3),
                        "what": step.what,
                        "payments": step.payments,
                        "database": step.database,
                    }
                )

            await asyncio.sleep(max(0.0, begun_s + seconds - time.monotonic()))
        finally:
            self._free()

    async def _do(self, step: Step) -> None:
        (await self._client.put(f"/mode/{step.payments}")).raise_for_status()
        if step.database == "locked":
            self._lock = await asyncio.to_thread(_locked, self._database)
        else:
            self._free()

    def _free(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _locked(database: str) -> sqlite3.Connection:
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect
    connection = connect(database, timeout=_LOCK_WAIT_S, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    return connection
