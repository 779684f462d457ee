"""Runs on fake time that leave no task behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from svcready.testing import FakeClock

T = TypeVar("T")

__all__ = ["run_on_fake_time"]


def run_on_fake_time(main: Coroutine[object, object, T], clock: FakeClock) -> T:
    """Run *main* without a moment's wait, and see that no task of it is left."""

    async def watched() -> T:
        result = await main
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    return clock.run(watched())
