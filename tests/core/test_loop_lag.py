"""How late event loops call back."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from svcready._core.loop_lag import LoopLag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Faults


class Loop(asyncio.SelectorEventLoop):
    """A real loop whose time passes only by `now`."""

    now = 100.0

    def time(self) -> float:
        """Return the fake time."""
        return self.now


def turn(loop: asyncio.AbstractEventLoop, times: int = 3) -> None:
    """Let *loop* do what is due."""

    async def pause() -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    loop.run_until_complete(pause())


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Return a loop that is closed after the test."""
    loop = Loop()
    yield loop
    loop.close()


def test_the_lag_is_how_late_a_loop_calls_back(loop: Loop) -> None:
    """What was due four times a second, and came when the loop was free again."""
    seen: list[float] = []
    lag = LoopLag(seen.append)
    lag.watch(loop)
    lag.watch(loop)
    turn(loop)
    assert seen == []

    loop.now += 0.25
    turn(loop)
    loop.now += 3.25
    turn(loop)
    assert seen == [0.0, 3.0]

    lag.close()
    loop.now += 5
    turn(loop)
    assert seen == [0.0, 3.0]


def test_the_chain_keeps_no_request_alive(loop: Loop) -> None:
    """A loop is learnt inside a request, whose context must end with it."""
    from contextvars import ContextVar

    class Record:
        pass

    record: ContextVar[Record] = ContextVar("record")

    async def handle() -> weakref.ref[Record]:
        made = Record()
        record.set(made)
        lag.watch(loop)
        await asyncio.sleep(0)
        return weakref.ref(made)

    lag = LoopLag(print)
    reference = loop.run_until_complete(handle())
    turn(loop)
    gc.collect()
    assert reference() is None


def test_a_loop_is_not_kept_alive() -> None:
    """A closed loop goes, and so does one that nobody closes."""
    lag = LoopLag(print)
    loop = Loop()
    lag.watch(loop)
    turn(loop)
    loop.close()
    reference = weakref.ref(loop)
    del loop
    gc.collect()
    assert reference() is None
    assert len(lag._watched) == 0


def test_a_closed_loop_is_no_fault(loop: Loop) -> None:
    """It may end between being learnt and being watched."""
    loop.close()
    LoopLag(print).watch(loop)


def test_a_fault_ends_the_chain_and_not_the_loop(loop: Loop, faults: Faults) -> None:
    """Whatever takes the delays may fail; the application's loop goes on."""

    def refuse(_: float) -> None:
        raise RuntimeError("no room")

    LoopLag(refuse).watch(loop)
    turn(loop)
    loop.now += 1
    turn(loop)
    assert str(faults.claim("loop_lag")) == "no room"
