"""A real service under three times what it can do, with load shedding and without."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.harness import Service

UVICORN = ["uvicorn", "--port", "{port}", "--log-level", "warning"]
UVICORN += ["tests.servers.apps.overloaded:app"]
CAPACITY = 100.0
PROBES_PER_S = 10.0


class Answer(NamedTuple):
    """What one request came to."""

    kind: str
    at_s: float
    took_s: float
    status: int


MIX = {
    "critical": ("POST", "/orders/7"),
    "default": ("GET", "/items/7"),
    "sheddable": ("GET", "/search"),
    "probe": ("GET", "/health/readiness"),
}


class Load:
    """
    Requests that come when they come, whether or not earlier ones were answered.

    By bare sockets, a connection each: a client library would be overloaded first.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._rng = random.Random(3)
        self.answers: list[Answer] = []

    def run(self, *stages: tuple[float, dict[str, float]]) -> None:
        """Send so many a second of each kind, for each stage's seconds."""
        asyncio.run(self._run(stages))

    async def _run(self, stages: tuple[tuple[float, dict[str, float]], ...]) -> None:
        tasks = []
        began_s = due_s = time.monotonic()
        for seconds, rates in stages:
            ends_s = due_s + seconds
            while due_s < ends_s:
                due_s += self._rng.expovariate(sum(rates.values()))
                (kind,) = self._rng.choices([*rates], [*rates.values()])
                await asyncio.sleep(due_s - time.monotonic())
                tasks.append(asyncio.create_task(self._ask(kind, began_s)))

        await asyncio.gather(*tasks)

    async def _ask(self, kind: str, began_s: float) -> None:
        sent_s = time.monotonic()
        method, path = MIX[kind]
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        lines = (f"{method} {path} HTTP/1.1", "Host: x", "Connection: close")
        writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        async with asyncio.timeout(30):
            answer = await reader.read()

        writer.close()
        status = int(answer.split(maxsplit=2)[1])
        took_s = time.monotonic() - sent_s
        self.answers.append(Answer(kind, sent_s - began_s, took_s, status))

    def of(self, kind: str, from_s: float) -> list[Answer]:
        """Return what came of one kind's requests from a time on."""
        return [a for a in self.answers if a.kind == kind and a.at_s >= from_s]


def rates(total: float, critical: float = 10.0) -> dict[str, float]:
    """Return how many a second of each kind make up *total*, probes beside it."""
    rest = total - critical
    return {
        "critical": critical,
        "default": rest / 2,
        "sheddable": rest / 2,
        "probe": PROBES_PER_S,
    }


def percentile(answers: list[Answer], share: float) -> float:
    """Return the latency that *share* of the answers did not exceed."""
    times = sorted(answer.took_s for answer in answers)
    return times[min(len(times) - 1, int(share * len(times)))]


@pytest.mark.parametrize(
    "overload_s", [6.0, pytest.param(60.0, marks=pytest.mark.soak)]
)
def test_overload_with_shedding(tmp_path: Path, overload_s: float) -> None:
    """At three times the capacity the admitted are quick, and critical ones pass."""
    steady_s, settle_s = 2.0, 2.0
    environ = {"SVCREADY_HTTP_SHEDDING": "enforce"}
    with Service(UVICORN, tmp_path, environ=environ) as service:
        load = Load(service.port)
        load.run(
            (steady_s, rates(CAPACITY / 2)),
            (settle_s + overload_s, rates(3 * CAPACITY)),
        )
        page = service.client.get("/metrics").text

    from_s = steady_s + settle_s
    kinds = {kind: load.of(kind, from_s) for kind in MIX}
    served = [a for kind in ("critical", "default", "sheddable") for a in kinds[kind]]
    served = [a for a in served if a.status == 200]
    shares = {
        kind: sum(a.status == 200 for a in answers) / len(answers)
        for kind, answers in kinds.items()
    }
    assert {a.status for a in load.answers} == {200, 503}
    assert shares["probe"] == 1.0
    # A tenth of the limit is theirs alone: two places, which a burst can fill.
    assert shares["critical"] >= 0.9
    assert shares["sheddable"] < shares["default"] < 0.8
    assert len(served) / overload_s >= 0.85 * CAPACITY
    assert percentile(served, 0.5) <= 0.5
    assert percentile(served, 0.99) <= 1.5  # on a machine with other things to do
    assert percentile(kinds["probe"], 0.99) <= 0.5
    assert 'component="load_shedding",name="sheddable",outcome="rejected"' in page


def test_the_same_overload_without(tmp_path: Path) -> None:
    """Switched off, the same load has everybody wait, longer with every second."""
    with Service(UVICORN, tmp_path) as service:
        load = Load(service.port)
        load.run((1.0, rates(CAPACITY / 2)), (2.0, rates(3 * CAPACITY)))

    late = [a for kind in ("critical", "default") for a in load.of(kind, 2.5)]
    assert {a.status for a in load.answers} == {200}
    assert percentile(late, 0.5) >= 2.0
