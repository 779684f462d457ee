"""The published schema of health reports: all obey it, and it refuses nonsense."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator, ValidationError

from svcready import health
from svcready.health import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.health.rig import Rig

CHECKER = Draft202012Validator(
    schema(), format_checker=Draft202012Validator.FORMAT_CHECKER
)


def obey(rig: Rig) -> None:
    """Assert that the report, every group's and the short one do."""
    pillar = rig.pillar
    pillar.add_info("breakers", lambda: {"status": "warn", "open": ["payments"]})
    reports: list[Mapping[str, object]] = [pillar.report(details=False)]
    reports += [pillar.report(), *(pillar.report(group=g) for g in pillar.groups)]
    for report in reports:
        CHECKER.validate(json.loads(json.dumps(report)))


def test_the_schema_is_one() -> None:
    """It is valid JSON Schema."""
    Draft202012Validator.check_schema(schema())


def test_reports_obey(make_rig: Callable[..., Rig]) -> None:
    """Before the first result, with every status, and until all is over."""

    @health.check("database", critical=True)
    def _() -> None:
        raise ConnectionError

    @health.check("queue", groups=("shipping",))
    def _() -> object:
        return health.warn("200 jobs wait")

    @health.check("disk", criticality="informational")
    def _() -> None:
        """Pass."""

    rig = make_rig().start(ready=False)
    obey(rig)
    rig.pillar.lifecycle.ready()
    for _turn in range(5):
        rig.pillar.runner.step()
        rig.clock.advance(15.0)
        obey(rig)

    rig.clock.advance(3600.0)
    obey(rig)  # all stale
    rig.pillar.lifecycle.drain()
    obey(rig)
    rig.pillar.lifecycle.stop()
    obey(rig)


def test_a_probes_bare_answer_obeys(make_rig: Callable[..., Rig]) -> None:
    """What everybody gets is a report as well."""
    rig = make_rig().start()
    for name in rig.pillar.groups:
        CHECKER.validate(json.loads(rig.pillar.probe(name).body))


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"status": "ok"},
        {"status": "pass", "checks": {"db": []}},
        {"status": "pass", "checks": {"db": [{"status": "pass"}]}},
        {"status": "pass", "lifecycle": {"state": "asleep", "since": "now"}},
        {"status": "pass", "notes": "none"},
    ],
)
def test_nonsense_is_refused(report: dict[str, object]) -> None:
    """The schema is no formality."""
    with pytest.raises(ValidationError):
        CHECKER.validate(report)
