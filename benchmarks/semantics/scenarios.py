"""A dependency that can be told what to do, and what is found out with it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "SETTLE_S",
    "Dependency",
    "Finding",
    "HangsError",
    "Scenario",
    "attempt",
    "start",
]

SETTLE_S = 0.3
"""How long callers are given to get where they are going."""


class Finding(NamedTuple):
    """What a library did."""

    right: bool | None
    """Whether that is right; None: the library has no such thing."""
    text: str
    """In a few words."""


class Scenario(NamedTuple):
    """One thing that is tried with every library that could be asked to do it."""

    title: str
    """What happens."""
    wanted: str
    """What is right, and why."""
    run: Callable[..., Finding]
    """Tries it with a `Breaker` or a `Retry`."""


class Dependency:
    """Answers, fails or keeps callers waiting, as it is told, and counts calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails = False
        self.held: threading.Event | None = None

    def __call__(self) -> str:
        """Take a call; whether it fails is decided when it ends."""
        self.calls += 1
        if self.held is not None:
            self.held.wait(30.0)

        if self.fails:
            raise ConnectionError("the dependency failed")

        return "answer"

    async def task(self) -> str:
        """Take a call on an event loop."""
        self.calls += 1
        while self.held is not None and not self.held.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.005)

        if self.fails:
            raise ConnectionError("the dependency failed")

        return "answer"

    def reached_by(self, call: Callable[[], object]) -> bool:
        """Return whether a call gets through to it."""
        before = self.calls
        attempt(call)
        return self.calls > before


class HangsError(Exception):
    """A call neither came back nor got through to the dependency."""


def attempt(call: Callable[[], object]) -> None:
    """Make a call that nothing should keep waiting."""
    (thread,) = start(call, settle_s=0.0)
    thread.join(1.0)
    if thread.is_alive():
        raise HangsError("calls wait behind the one that runs")


def start(
    call: Callable[[], object], times: int = 1, settle_s: float = SETTLE_S
) -> list[threading.Thread]:
    """Make a call on threads of their own, and give them time to get there."""

    def quietly() -> None:
        with contextlib.suppress(Exception):
            call()

    threads = [threading.Thread(target=quietly, daemon=True) for _ in range(times)]
    for thread in threads:
        thread.start()

    time.sleep(settle_s)
    return threads
