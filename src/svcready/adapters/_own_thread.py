"""Slow answers to operators, which cost neither the event loop nor the handlers."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from svcready.admin import READING

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.admin import OpsResponse, OpsSurface

__all__ = ["answer_off_loop"]

_NAME = "svcready-operator"
_MOST = 16
"""Threads that may run at once: more that are slow are an attack, or an outage."""


async def answer_off_loop(
    ops: OpsSurface,
    method: str,
    path: str,
    answer: Callable[[], OpsResponse],
    *,
    shows: bool,
) -> OpsResponse:
    """
    Answer what takes long, off the event loop and off its executor.

    A probe waits on the loop for checks that all who ask share. Anything else has a
    thread of its own; where there are too many, it is refused, and whoever shows
    credentials for a probe's details is told what everybody is.

    Args:
        ops: What answers.
        method: The request's.
        path: One of *ops*.
        answer: Makes the answer, on a thread.
        shows: Whether there are credentials that may make the answer another.

    Raises:
        Exception: What *answer* raises.
    """
    is_full = sum(thread.name == _NAME for thread in threading.enumerate()) >= _MOST
    known = ops.known.get(path) if method in READING else None
    if known is not None and (is_full or not shows):
        begin = ops.begin.get(path)
        if begin is not None:
            await _over(begin)

        return known()

    return ops.refuse_busy() if is_full else await _on_own_thread(answer)


async def _over(begin: Callable[[Callable[[], None]], float]) -> None:
    """Begin something and wait until it is over, or as long as it says."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not over.done():  # time may be up, or the client gone
            over.set_result(None)

    def then() -> None:
        with suppress(RuntimeError):  # the loop may be closed
            loop.call_soon_threadsafe(settle)

    wait_s = begin(then)
    if wait_s:
        with suppress(TimeoutError):
            await asyncio.wait_for(over, wait_s)


async def _on_own_thread(answer: Callable[[], OpsResponse]) -> OpsResponse:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[OpsResponse] = loop.create_future()

    def settle(response: OpsResponse | None, error: Exception | None) -> None:
        if answered.done():  # the client may be gone
            return

        if error is not None:
            answered.set_exception(error)
        else:
            answered.set_result(response)  # type: ignore[arg-type]

    def run() -> None:
        response, failure = None, None
        try:
            response = answer()
        except Exception as error:  # noqa: BLE001 - for who awaits it
            failure = error

        with suppress(RuntimeError):  # the loop may be closed
            loop.call_soon_threadsafe(settle, response, failure)

    threading.Thread(target=run, name=_NAME, daemon=True).start()
    return await answered
