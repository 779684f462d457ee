"""Waiting in a worker's thread for what the event loop of its request runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["wait_in_thread"]

_LONGEST_S = 30.0
"""A loop that has stopped meanwhile runs nothing any more."""


def wait_in_thread(loop: asyncio.AbstractEventLoop, told: Awaitable[object]) -> object:
    """
    Have *loop* run an awaitable, in the context of this thread, and wait for it.

    Raises:
        TimeoutError: It took longer than 30 seconds, and was cancelled.
    """

    async def run() -> object:
        return await told

    future = asyncio.run_coroutine_threadsafe(run(), loop)
    try:
        return future.result(_LONGEST_S)
    except TimeoutError:
        future.cancel()
        raise
