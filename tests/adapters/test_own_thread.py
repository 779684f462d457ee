"""Slow answers to operators: a thread each, and not without end."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from svcready.adapters._own_thread import on_own_thread


def test_a_flood_of_slow_answers_makes_no_flood_of_threads() -> None:
    """Sixteen run beside each other; the rest wait with the handlers, and all come."""
    held = threading.Event()
    running: set[int] = set()

    async def main() -> list[int]:
        loop, full = asyncio.get_running_loop(), asyncio.Event()
        loop.set_default_executor(ThreadPoolExecutor(max_workers=2))

        def answer(number: int) -> int:
            running.add(threading.get_ident())
            if len(running) == 18:
                loop.call_soon_threadsafe(full.set)

            held.wait(10)
            return number

        asked = [
            asyncio.create_task(on_own_thread(answer, number)) for number in range(50)
        ]
        await full.wait()
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("svcready-operator") == 16
        held.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(main()) == list(range(50))
