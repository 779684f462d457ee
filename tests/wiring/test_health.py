"""What health tells the other pillars: lines and levels of checks and lifecycle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.health._check import CHECKS
from svcready.health._life._heartbeat import HEARTBEATS
from svcready.health._life._startup import STARTUP_TASKS
from svcready.testing import FakeClock, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.testing import Harness


@pytest.fixture(autouse=True)
def nothing_declared() -> Iterator[None]:
    """Forget what was declared, before and after."""
    registers = (CHECKS, HEARTBEATS, STARTUP_TASKS)
    for register in registers:
        register.clear()

    yield
    for register in registers:
        register.clear()


def states(harness: Harness) -> list[str]:
    """Return the states that the process is in, by its metrics."""
    names = ("starting", "ready", "draining", "stopped", "broken")
    return [
        name for name in names if harness.sample("svcready_lifecycle_state", state=name)
    ]


def test_a_process_that_breaks_is_an_error_and_its_recovery_is_not() -> None:
    """One ERROR when beats are missed, one INFO when they are back; levels follow."""
    clock = FakeClock()
    beat = svcready.health.heartbeat("consumer", within="30s")
    with running(clock=clock) as harness:
        health = harness.runtime.health
        assert health is not None
        harness.runtime.ready()
        assert states(harness) == ["ready"]
        assert harness.sample("svcready_heartbeat_age_seconds", name="consumer") is None
        beat()
        clock.advance(31)
        health.probe("liveness")
        age = harness.sample("svcready_heartbeat_age_seconds", name="consumer")
        health.probe("liveness")
        assert states(harness) == ["broken"]
        beat()
        health.probe("liveness")
        assert states(harness) == ["ready"]
        lines = [
            (line["level"], line["message"])
            for line in harness.lines
            if line.get("event") == "lifecycle.changed"
        ]

    assert age == 31
    assert lines == [
        ("INFO", "service is ready"),
        (
            "ERROR",
            (
                "service is broken: heartbeat consumer: no beat for 31 s, "
                "expected within 30 s"
            ),
        ),
        ("INFO", "service is ready"),
    ]


def test_a_startup_task_is_a_line() -> None:
    """How long it took, or why it failed; a warning if nobody waits for it."""
    clock = FakeClock()
    with running(clock=clock) as harness:
        with svcready.health.startup_task("warm cache"):
            harness.runtime.ready()
            assert states(harness) == ["starting"]
            clock.advance(1.2500000001)

        with (
            pytest.raises(OSError, match="down"),
            svcready.health.startup_task("too late"),
        ):
            raise OSError("down, password=hunter2")

        lines = [line for line in harness.lines if "startup" in str(line["message"])]
        assert states(harness) == ["ready"]

    assert [(line["level"], line["message"]) for line in lines] == [
        ("INFO", "startup task warm cache is done after 1.25 s"),
        ("WARN", "startup task too late is late: the service is ready already"),
        ("ERROR", "startup task too late failed after 0 s"),
    ]
    assert "hunter" not in str(lines)
    assert lines[0]["context"] == {"name": "warm cache", "duration_s": 1.25}


def test_an_informational_check_warns_nobody() -> None:
    """Its failure is a line, though not a warning, and a level of 0."""
    clock = FakeClock()
    svcready.health.check("disk", criticality="informational")(lambda: False)
    svcready.health.check("cache")(lambda: False)
    with running(clock=clock) as harness:
        health = harness.runtime.health
        assert health is not None
        for name in ("disk", "cache"):
            while not harness.logged(f"health check {name} fails"):
                health.runner._pulse.nudge()
                health.wake()

        levels = {
            name: harness.logged(f"health check {name} fails")[0]["level"]
            for name in ("disk", "cache")
        }
        sampled = harness.sample("svcready_health_status", name="disk")

    assert levels == {"disk": "INFO", "cache": "WARN"}
    assert sampled == 0
