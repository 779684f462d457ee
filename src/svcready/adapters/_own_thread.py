"""A thread for one slow answer, which no pool that handlers may fill can delay."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["on_own_thread"]

Q = TypeVar("Q")
A = TypeVar("A")

_NAME = "svcready-operator"
_MOST = 16
"""Threads that may run at once; what comes beyond them waits with the handlers."""


async def on_own_thread(answer: Callable[[Q], A], request: Q) -> A:
    """
    Answer off the event loop, and off its executor.

    Args:
        answer: Makes the answer.
        request: What it is given.

    Raises:
        Exception: What *answer* raises.
    """
    loop = asyncio.get_running_loop()
    if sum(thread.name == _NAME for thread in threading.enumerate()) >= _MOST:
        # So many that are slow at once are an attack, or an outage of their own.
        return await loop.run_in_executor(None, answer, request)

    answered: asyncio.Future[A] = loop.create_future()

    def settle(response: A | None, error: Exception | None) -> None:
        if answered.done():  # the client may be gone
            return

        if error is not None:
            answered.set_exception(error)
        else:
            answered.set_result(response)  # type: ignore[arg-type]

    def run() -> None:
        response, failure = None, None
        try:
            response = answer(request)
        except Exception as error:  # noqa: BLE001 - for who awaits it
            failure = error

        with suppress(RuntimeError):  # the loop may be closed
            loop.call_soon_threadsafe(settle, response, failure)

    threading.Thread(target=run, name=_NAME, daemon=True).start()
    return await answered
