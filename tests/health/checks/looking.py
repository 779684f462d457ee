"""Runs a declared check as its runner does, but on the test's own thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from pathlib import Path
from typing import NamedTuple

from svcready.health import CheckResult
from svcready.health._check import CHECKS, Check
from svcready.health._result import judge, judge_error
from svcready.health._running._allowed import set_allowed

__all__ = [
    "LIMIT_S",
    "SOON_S",
    "Held",
    "close",
    "held",
    "look",
    "look_async",
    "until",
]

LIMIT_S = 0.3
"""The time-out of the checks in tests."""
_HELD = ("task", "fd")  # threads that are not Python's count, too
SOON_S = 5.0
"""What a run that ends by itself stays below even where a machine is busy."""


class Held(NamedTuple):
    """What a process holds."""

    threads: int
    files: int


def held() -> Held:
    """Count the threads and open files of this process."""
    tasks, files = (tuple(Path(f"/proc/self/{kind}").iterdir()) for kind in _HELD)
    return Held(len(tasks), len(files))


def look(name: str, limit_s: float = LIMIT_S) -> CheckResult:
    """Run a check that blocks; assert that it ends by itself."""
    began_s = time.monotonic()
    result = copy_context().run(_run, _known(name), limit_s)
    assert time.monotonic() - began_s < SOON_S
    return result


async def look_async(name: str, limit_s: float = LIMIT_S) -> CheckResult:
    """Run an asynchronous check on this loop; assert that it ends by itself."""
    began_s = time.monotonic()
    set_allowed(limit_s)
    found = _known(name)
    assert found.is_async
    try:
        value = found.function()
        assert isinstance(value, Awaitable)
        result = judge(await value)
    except Exception as error:  # noqa: BLE001 - as the runner does
        result = judge_error(error)

    assert time.monotonic() - began_s < SOON_S
    return result


def close(name: str) -> None:
    """Close what a check keeps, as the end of the service does."""
    end = getattr(_known(name).function, "close", None)
    assert callable(end)
    end()


async def until(ask: Callable[[], bool]) -> None:
    """Let this loop go on until *ask* says yes."""
    async with asyncio.timeout(SOON_S):
        while not ask():  # noqa: ASYNC110 - what is waited for is on the wire
            await asyncio.sleep(0)


def _known(name: str) -> Check:
    found = CHECKS.get(name)
    assert found is not None
    return found


def _run(found: Check, limit_s: float) -> CheckResult:
    set_allowed(limit_s)
    try:
        return judge(found.function())
    except Exception as error:  # noqa: BLE001 - as the runner does
        return judge_error(error)
