"""How much a check matters, and what the report tells of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready import health
from svcready._core.redaction import Redactor
from svcready.health import CheckResult
from svcready.health.checks._adding import ReadyMade, add
from tests.health.rig import HeldPool, Rig
from tests.health.subject import check

if TYPE_CHECKING:
    from collections.abc import Callable


def entry(rig: Rig, key: str) -> dict[str, object]:
    """Return what the report says of a check."""
    checks = rig.pillar.report()["checks"]
    assert isinstance(checks, dict)
    (found,) = checks[key]
    assert isinstance(found, dict)
    return found


class TestInformational:
    """Checks that change no probe."""

    @pytest.mark.parametrize("answer", [None, health.warn("slow"), False])
    def test_changes_nothing(
        self, make_rig: Callable[..., Rig], answer: object
    ) -> None:
        """Whatever it says, and before it says anything, probes and report pass."""
        check(answer, "disk", criticality="informational", groups=("readiness", "own"))
        pool = HeldPool()
        rig = make_rig(lambda: pool).start()
        for _ in range(2):
            assert rig.answers() == (200, 200, 200)
            for name in ("readiness", "own"):
                assert rig.pillar.probe(name).body == b'{"status":"pass"}'

            assert rig.pillar.report()["status"] == "pass"
            if pool.jobs:
                pool.finish()
                rig.step()

        expected = getattr(answer, "status", "fail" if answer is False else "pass")
        assert entry(rig, "disk:responseTime")["status"] == expected
        assert entry(rig, "disk:responseTime")["criticality"] == "informational"

    def test_stays_so_when_stale(self, make_rig: Callable[..., Rig]) -> None:
        """Its age does not warn either, even if the runner is dead."""
        check(None, "disk", criticality="informational")
        rig = make_rig().start()
        rig.step()
        rig.clock.advance(3600)

        assert rig.pillar.probe("readiness").body == b'{"status":"pass"}'

    def test_is_the_operators_word(self, make_rig: Callable[..., Rig]) -> None:
        """An operator takes a check out of all probes, or makes it critical."""
        check(False, "a", critical=True)
        check(False, "b")
        values: dict[str, dict[str, object]] = {"a": {"criticality": "informational"}}
        rig = make_rig(values=values).start()
        rig.step()
        assert rig.pillar.probe("readiness") == (200, b'{"status":"warn"}')

        values["b"] = {"criticality": "critical"}
        rig.pillar.reload()
        assert rig.pillar.probe("readiness").status == 503
        values["b"] = {"criticality": "informational"}
        rig.pillar.reload()
        assert rig.pillar.probe("readiness").body == b'{"status":"pass"}'

    def test_configured_groups(self, make_rig: Callable[..., Rig]) -> None:
        """A group that an operator made of it alone is there, and passes."""
        check(False, "disk", criticality="informational")
        rig = make_rig(groups={"mine": ("disk",)}).start()
        rig.step()

        assert rig.pillar.probe("mine") == (200, b'{"status":"pass"}')
        assert rig.pillar.problems() == ()


class TestSubject:
    """What ready-made checks say of what they look at."""

    def test_is_in_the_report(self, make_rig: Callable[..., Rig]) -> None:
        """Kind, measurement, target and what was observed, with secrets hidden."""
        answers = [CheckResult("pass", "", 41.5, "%")]
        ready = ReadyMade(
            lambda: answers[0],
            kind="system",
            target="/data?password=hunter2",
            measurement="utilization",
        )
        add("disk", ready, {"criticality": "informational"})
        rig = make_rig(redactor=Redactor()).start()
        rig.step()

        got = entry(rig, "disk:utilization")
        assert got["componentType"] == "system"
        assert (got["observedValue"], got["observedUnit"]) == (41.5, "%")
        assert str(got["target"]).startswith("/data?password=")
        assert "hunter" not in str(got)

        answers[0] = CheckResult("fail", "gone")
        rig.advance(10)
        assert "observedValue" not in entry(rig, "disk:utilization")

    def test_an_attribute_is_no_subject(self, make_rig: Callable[..., Rig]) -> None:
        """An object of the application's that happens to have a `kind` is plain."""

        class Mine:
            kind = "system"
            measurement = "lag"
            target = "x"

            def __call__(self) -> None:
                """Check."""

        health.check("mine")(Mine())
        rig = make_rig().start()
        rig.step()

        got = entry(rig, "mine:responseTime")
        assert (got["componentType"], got["observedUnit"]) == ("component", "ms")


class TestTransitions:
    """The recent changes."""

    def test_are_kept(self, make_rig: Callable[..., Rig]) -> None:
        """Each change has its time, its two sides and its reason; the newest first."""
        subject = check(None, critical=True, fail_after=1, recover_after=1)
        rig = make_rig().start()
        began_ns = rig.clock.time_ns()
        rig.step()
        subject.answer = OSError("down")
        rig.advance(10)
        rig.advance(10)
        subject.answer = None
        rig.advance(10)

        assert rig.status("db").transitions == (
            (began_ns, "pending", "pass", ""),
            (began_ns + 10_000_000_000, "pass", "fail", "OSError: down"),
            (began_ns + 30_000_000_000, "fail", "pass", ""),
        )
        moves = rig.pillar.report()["transitions"]
        assert isinstance(moves, list)
        assert [(move["time"][14:19], move["to"]) for move in moves] == [
            ("00:30", "pass"),
            ("00:10", "fail"),
            ("00:00", "pass"),
        ]

    def test_are_bounded(self, make_rig: Callable[..., Rig]) -> None:
        """A check that goes to and fro for hours keeps its last 20."""
        subjects = [
            check(name=name, fail_after=1, recover_after=1) for name in ("a", "b")
        ]
        rig = make_rig().start()
        for number in range(500):
            for subject in subjects:
                subject.answer = bool(number % 2)

            rig.advance(10)

        kept = rig.status("a").transitions
        assert len(kept) == 20
        assert (rig.clock.time_ns() - kept[0].time_ns) / 1e9 == 190
        moves = rig.pillar.report()["transitions"]
        assert isinstance(moves, list)
        assert len(moves) == 20
        assert {move["componentId"] for move in moves} == {"a", "b"}
