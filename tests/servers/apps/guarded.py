"""A service whose plain dependencies hold a permit, spelt well and badly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI

import svcready

if TYPE_CHECKING:
    from collections.abc import Iterator

app = FastAPI()
svcready.init(service="guarded", app=app)
bank = svcready.bulkhead("bank", max_concurrent=4)
breaker = svcready.circuit_breaker("bank", consecutive_failures=2)


def well() -> Iterator[int]:
    with bank.guard(), breaker.guard():
        yield bank.level.in_use


def badly() -> Iterator[int]:
    with bank, breaker:
        yield bank.level.in_use


@app.get("/well")
def spelt_well(in_use: Annotated[int, Depends(well)]) -> list[int]:
    return [in_use, bank.level.in_use]


@app.get("/badly")
def spelt_badly(in_use: Annotated[int, Depends(badly)]) -> list[int]:
    return [in_use, bank.level.in_use]


@app.get("/fails")
def fails(in_use: Annotated[int, Depends(well)]) -> None:
    raise ConnectionError


@app.get("/level")
async def level() -> list[int | str]:
    return [bank.level.in_use, breaker.state]
