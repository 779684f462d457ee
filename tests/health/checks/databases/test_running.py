"""Checks of databases as the runner runs them, on threads and loops of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from svcready import health
from svcready.config._sections.health import HealthSettings
from svcready.config._sections.lifecycle import LifecycleSettings
from svcready.health import HealthPillar
from tests.servers.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.health.checks.databases.support import Server

TIMEOUT_S = 0.5
NAMES = ("sync", "async")


@pytest.fixture
def pillar(server: Server) -> Iterator[HealthPillar]:
    """Run the checks of two engines, sync and async, as fast as is allowed."""
    engine = create_engine(server.engine_url())
    health.add_engine(engine, name="sync", critical=True)
    other = create_async_engine(server.engine_url())
    health.add_engine(other, name="async")
    settings = HealthSettings(interval_s=0.1, timeout_s=TIMEOUT_S, loop_wait_s=0.0)
    made = HealthPillar(settings, LifecycleSettings())
    made.start()
    made.wake()
    made.lifecycle.ready()
    yield made
    made.close(5)
    engine.dispose()


def settled(pillar: HealthPillar, status: str) -> Callable[[], bool]:
    """Return what tells whether both checks read *status*."""
    return lambda: {s.status for s in pillar.results()} == {status}


def runs(pillar: HealthPillar, count: int) -> None:
    """Wait for so many further results of each check."""
    seen = {name: {None} for name in NAMES}

    def are_enough() -> bool:
        for status in pillar.results():
            assert not status.stuck
            seen[status.name].add(status.time_ns)  # type: ignore[arg-type]

        return all(len(times) > count for times in seen.values())

    eventually(are_enough, f"{count} results", 40)


@pytest.mark.parametrize("fault", ["swallow", "refuse"])
def test_a_fault_and_its_end(pillar: HealthPillar, server: Server, fault: str) -> None:
    """
    Readiness follows the database; no run is ever stuck, no thread or connection left.

    Runs end before the runner gives them up, so that it has nothing to wait for.
    """
    eventually(settled(pillar, "pass"), "a first result")
    threads = threading.active_count()

    getattr(server.relay, fault)()
    eventually(settled(pillar, "fail"), "failures")
    assert pillar.probe("readiness").status == 503
    runs(pillar, 4)
    assert server.relay.connections <= 2
    assert threading.active_count() <= threads + 1  # the cut of a run in progress

    server.relay.through()
    eventually(settled(pillar, "pass"), "recovery")
    assert pillar.probe("readiness").status == 200
    runs(pillar, 20)
    assert server.relay.connections <= 2
    assert threading.active_count() <= threads + 1
