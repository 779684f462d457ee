"""What refuses nothing is named when the service starts, and in the deep report."""

from __future__ import annotations

import json

import svcready
from svcready.resilience._modes import not_enforced
from svcready.testing import Harness, running


def told(harness: Harness) -> object:
    """Return what the start line says of resilience."""
    harness.runtime.ready()
    (line,) = [x for x in harness.lines if x.get("event") == "svcready.started"]
    context = line["context"]
    assert isinstance(context, dict)
    return context["resilience"]


def modes(harness: Harness) -> dict[str, list[str]]:
    """Return what is not enforced."""
    assert harness.runtime.resilience is not None
    return not_enforced(harness.runtime.resilience)


def test_modes_are_named_by_policy_and_part() -> None:
    """A whole policy by its name, a part of one behind a dot, and load shedding."""
    svcready.policy("modes-whole", retry=OSError, timeout=1.0)
    svcready.policy("modes-part", breaker=True, timeout=1.0)
    svcready.limit("5/s", by="all", name="modes-limit").limiter  # noqa: B018
    environ = {
        "SVCREADY_POLICY__MODES_WHOLE__MODE": "observe",
        "SVCREADY_POLICY__MODES_PART__BREAKER_MODE": "off",
        "SVCREADY_LIMIT__MODES_LIMIT__MODE": "observe",
        "SVCREADY_HTTP_SHEDDING": "observe",
    }
    with running(environ=environ) as harness:
        expected = {
            "observe": ["modes-limit", "modes-whole", "load_shedding"],
            "off": ["modes-part.breaker"],
        }
        assert modes(harness) == expected
        facts = told(harness)
        assert isinstance(facts, dict)
        assert facts["not_enforced"] == expected


def test_nothing_is_said_where_all_is_enforced() -> None:
    """The start line is no longer for a service that enforces everything."""
    svcready.policy("modes-enforced", timeout=1.0)
    with running() as harness:
        assert modes(harness) == {}
        assert "not_enforced" not in json.dumps(told(harness))


def test_many_are_counted() -> None:
    """The line stays short, however many there are."""
    for number in range(30):
        svcready.circuit_breaker(f"modes-{number:02}")

    with running(environ={"SVCREADY_POLICY__DEFAULT__MODE": "observe"}) as harness:
        assert len(modes(harness)["observe"]) == 21
        assert modes(harness)["observe"][-1].startswith("and ")
