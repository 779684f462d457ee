"""What type checkers must make of the instruments; checked, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, assert_type

import svcready
from svcready.metrics import (
    Counter,
    CounterChild,
    Gauge,
    UpDownCounter,
    UpDownCounterChild,
)

orders = svcready.counter("orders", "Orders accepted", labels=("kind",))
assert_type(orders, Counter)
assert_type(orders.labels("retail"), CounterChild)

flying = svcready.up_down_counter("flying", "In flight", labels=["kind"])
assert_type(flying, UpDownCounter)
assert_type(flying.labels("retail"), UpDownCounterChild)
flying.labels("retail").dec(2)
flying.set(5)  # type: ignore[attr-defined]
flying.labels("retail").set(5)  # type: ignore[attr-defined]

depth = svcready.gauge("depth", "Messages waiting", workers="latest")
assert_type(depth, Gauge)
svcready.gauge("depth", "Messages waiting", workers="mean")  # type: ignore[arg-type]


@svcready.counted("price_changes", "Prices changed", labels=("kind",))
def change(price: int, *, kind: str = "retail") -> str:
    """Be a plain function."""
    return f"{price} {kind}"


assert_type(change(1, kind="x"), str)
change("1")  # type: ignore[arg-type]
change(1, sort="x")  # type: ignore[call-arg]


@svcready.counted("price_changes", labels={"kind": "x", "size": lambda n: n > 5})
async def later(number: int) -> bytes:
    """Be a coroutine function."""
    return bytes(number)


_ = assert_type(later(1), Coroutine[Any, Any, bytes])


@svcready.counted("price_changes")
def prices() -> Generator[int, str, float]:
    """Be a generator function."""
    yield 1
    return 1.0


assert_type(prices(), Generator[int, str, float])


@svcready.counted("price_changes")
async def listen() -> AsyncGenerator[int, None]:
    """Be an async generator function."""
    yield 1


assert_type(listen(), AsyncGenerator[int, None])


class Shop:
    """Has methods."""

    @svcready.counted("price_changes", labels=("kind",))
    def change(self, kind: str) -> str:
        """Be a method."""
        return kind

    @staticmethod
    @svcready.counted("price_changes")
    def refund(order: int) -> bytes:
        """Be a static method."""
        return bytes(order)


assert_type(Shop().change("x"), str)
assert_type(Shop.refund(1), bytes)
svcready.counted("price_changes", labels=5)  # type: ignore[arg-type]
