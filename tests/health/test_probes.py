"""Probes, groups, lifecycle and report: what others see of the checks."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest

from svcready import health
from svcready._core import events
from svcready.health import LifecycleChanged, _board
from tests.health.rig import HeldPool, Rig

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Faults


def check(answer: object = None, name: str = "db", **arguments: object) -> list[object]:
    """Declare a check that returns the first item of what is returned."""
    box = [answer]
    health.check(name, **arguments)(lambda: box[0])  # type: ignore[call-overload]
    return box


class TestLifecycle:
    """Starting, ready, draining, stopped."""

    def test_a_signal_drains_in_the_middle_of_anything(
        self, make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """SIGTERM's handler, run on a thread that renders, drains; nothing waits."""
        rig = make_rig().start(ready=False)
        life = rig.pillar.lifecycle
        render = _board.render

        def interrupted(*args: object, **kwargs: object) -> object:
            monkeypatch.setattr(_board, "render", render)
            view = render(*args, **kwargs)  # type: ignore[arg-type]
            assert life.drain()
            return view

        monkeypatch.setattr(_board, "render", interrupted)
        life.ready()

        assert life.state == "draining"
        assert rig.answers()[1] == 503

    def test_states(self, make_rig: Callable[..., Rig]) -> None:
        """Each state has its probes; liveness passes until all is over."""
        rig = make_rig().start(ready=False)
        life = rig.pillar.lifecycle
        seen = [(life.state, rig.answers())]
        for go_on in (life.ready, life.drain, life.stop):
            assert go_on()
            seen.append((life.state, rig.answers()))

        assert seen == [
            ("starting", (200, 503, 503)),
            ("ready", (200, 200, 200)),
            ("draining", (200, 503, 200)),
            ("stopped", (503, 503, 503)),
        ]
        assert rig.moves == [
            LifecycleChanged("starting", "ready"),
            LifecycleChanged("ready", "draining"),
            LifecycleChanged("draining", "stopped"),
        ]

    def test_never_goes_back(self, make_rig: Callable[..., Rig]) -> None:
        """A drain cannot be undone, and a state is entered once."""
        rig = make_rig().start()
        life = rig.pillar.lifecycle

        assert not life.ready()
        assert life.drain()
        assert not life.drain()
        assert not life.ready()
        assert life.state == "draining"
        assert len(rig.moves) == 2

    def test_probe_fails_before_drain_returns(
        self, make_rig: Callable[..., Rig]
    ) -> None:
        """When an event tells of the drain, readiness fails already."""
        rig = make_rig().start()
        seen: list[int] = []
        end = events.subscribe(
            LifecycleChanged,
            lambda _: seen.append(rig.pillar.probe("readiness").status),
        )
        rig.pillar.lifecycle.drain()
        end()

        assert seen == [503]


class TestProbes:
    """Readiness, liveness and startup over checks."""

    def test_pending(self, make_rig: Callable[..., Rig]) -> None:
        """Before the first result of a critical check only liveness passes."""
        check(critical=True)
        pool = HeldPool()
        rig = make_rig(lambda: pool).start()
        assert rig.answers() == (200, 503, 503)

        pool.finish()
        rig.step()
        assert rig.answers() == (200, 200, 200)

    def test_pending_but_not_critical(self, make_rig: Callable[..., Rig]) -> None:
        """A check that is not critical holds nothing up."""
        check()
        rig = make_rig(HeldPool).start()

        assert rig.answers() == (200, 200, 200)

    @pytest.mark.parametrize(
        ("answer", "critical", "expected"),
        [
            (None, True, (200, "pass")),
            (None, False, (200, "pass")),
            (health.warn(), True, (200, "warn")),
            (health.warn(), False, (200, "warn")),
            (health.fail(), True, (503, "fail")),
            (health.fail(), False, (200, "warn")),
        ],
    )
    def test_readiness(
        self,
        make_rig: Callable[..., Rig],
        answer: object,
        critical: bool,
        expected: tuple[int, str],
    ) -> None:
        """A critical failure is 503; anything else wrong is a 200 that warns."""
        check(answer, critical=critical)
        check(name="fine")
        rig = make_rig().start()
        rig.step()

        probe = rig.pillar.probe("readiness")
        assert (probe.status, json.loads(probe.body)) == (
            expected[0],
            {"status": expected[1]},
        )
        assert rig.pillar.probe("liveness").status == 200
        assert rig.pillar.report(details=False) == {"status": expected[1]}

    def test_start_up_is_over_once(self, make_rig: Callable[..., Rig]) -> None:
        """A dependency that is down at the start fails readiness, not start-up."""
        check(False, critical=True)
        rig = make_rig().start()
        rig.step()

        assert rig.answers() == (200, 503, 200)

    def test_startup_group(self, make_rig: Callable[..., Rig]) -> None:
        """A check of the group `startup` must pass once, and then counts no more."""
        migrated = check(False, critical=True, groups=("startup",))
        rig = make_rig().start()
        rig.step()
        assert rig.answers() == (200, 200, 503)

        migrated[0] = None
        rig.advance(10)
        rig.advance(10)
        assert rig.answers() == (200, 200, 200)
        migrated[0] = False
        for _ in range(5):
            rig.advance(10)

        assert rig.answers() == (200, 200, 200)

    def test_late_check_takes_nobody_out(self, make_rig: Callable[..., Rig]) -> None:
        """A critical check declared in a working service warns until it has spoken."""
        pool = HeldPool()
        rig = make_rig(lambda: pool).start()
        assert rig.answers() == (200, 200, 200)
        health.check("late", critical=True)(lambda: False)

        assert rig.pillar.probe("readiness") == (200, b'{"status":"warn"}')
        rig.step()
        pool.finish()
        rig.step()
        assert rig.answers() == (200, 503, 200)

    def test_forced_liveness(self, make_rig: Callable[..., Rig]) -> None:
        """A check that code forced into liveness has its word there, once it failed."""
        check(False, critical=True, groups=("liveness",), force_liveness=True)
        pool = HeldPool()
        rig = make_rig(lambda: pool).start()
        assert rig.answers() == (200, 200, 200)
        pool.finish()
        rig.step()

        assert rig.answers() == (503, 200, 200)

    def test_unknown_group(self, make_rig: Callable[..., Rig]) -> None:
        """A probe of no group raises, for the adapter's 404."""
        with pytest.raises(KeyError):
            make_rig().start().pillar.probe("nonsense")

    def test_groups(self, make_rig: Callable[..., Rig]) -> None:
        """A group is a probe over its members, whatever the lifecycle."""
        check(False, name="a", critical=True, groups=("storage",))
        check(name="b", groups=("storage", "readiness"))
        check(name="c")
        rig = make_rig(groups={"both": ("B", "c")}).start()
        rig.step()
        rig.pillar.lifecycle.drain()

        assert set(rig.pillar.groups) == {
            *("liveness", "readiness", "startup", "storage", "both"),
        }
        assert rig.pillar.probe("storage").status == 503
        assert rig.pillar.probe("both").status == 200

    def test_configured_readiness(self, make_rig: Callable[..., Rig]) -> None:
        """The configuration's word of a group's members wins over code."""
        check(False, name="a", critical=True)
        check(name="b", groups=("other",))
        rig = make_rig(groups={"readiness": ("b",)}).start()
        rig.step()

        assert rig.answers() == (200, 200, 200)

    def test_groups_are_matched_as_variables_spell_them(
        self, make_rig: Callable[..., Rig]
    ) -> None:
        """SVCREADY_GROUP__READ_ONLY__CHECKS is the group `read-only` of the code."""
        check(False, name="a", critical=True, groups=("read-only",))
        check(name="b")
        rig = make_rig(groups={"read_only": ("b",)}).start()
        rig.step()

        assert rig.pillar.probe("read-only").status == 200
        assert "read_only" not in rig.pillar.groups

    def test_group_problems(self, make_rig: Callable[..., Rig]) -> None:
        """A group that names an unknown check, or liveness, is reported."""
        check(name="database")
        rig = make_rig(groups={"x": ("DATABSE",), "liveness": ("database",)}).start()
        rig.step()

        liveness, unknown = rig.pillar.problems()
        assert "'liveness'" in liveness
        assert "'x'" in unknown
        assert "'DATABSE'" in unknown
        assert "'database'" in unknown
        assert rig.pillar.report()["notes"] == [liveness, unknown]
        assert rig.pillar.probe("liveness").status == 200

    def test_probe_does_no_work_per_check(self, make_rig: Callable[..., Rig]) -> None:
        """A probe of 200 checks makes as many calls as a probe of none."""
        empty = self.calls_of_a_probe(make_rig().start())
        for number in range(200):
            check(name=f"c{number}", critical=True)

        rig = make_rig().start()
        while rig.pillar.runner.step() == 0.0:
            pass

        rig.step()
        assert {status.status for status in rig.pillar.results()} == {"pass"}
        assert self.calls_of_a_probe(rig) == empty <= 2

    def calls_of_a_probe(self, rig: Rig) -> int:
        """Count the Python and C calls that a probe makes."""
        calls = []
        sys.setprofile(
            lambda _frame, event, _: calls.append(event) if "call" in event else None
        )
        try:
            rig.pillar.probe("readiness")
        finally:
            sys.setprofile(None)

        return len(calls) - 1  # the end of profiling is a call


class TestReport:
    """The deep report."""

    def test_shape(self, make_rig: Callable[..., Rig]) -> None:
        """It has the members and the values that the health+json draft names."""
        check(name="a", critical=True)
        check(health.warn("slow, password=hunter2"), name="b")
        check(ConnectionError("gone"), name="c")
        health.check("d")(self.fail)
        rig = make_rig().start()
        rig.step()
        rig.pillar.add_info("breakers", lambda: {"payments": "closed"})
        report = rig.pillar.report()

        stamp = re.compile(r"2027-01-15T08:00:\d\d\.\d{3}Z")
        checks = report.pop("checks")
        assert isinstance(checks, dict)
        life = report.pop("lifecycle")
        moves = report.pop("transitions")
        assert isinstance(moves, list)
        assert {(m["componentId"], m["from"], m["to"]) for m in moves} == {
            ("a", "pending", "pass"),
            ("b", "pending", "warn"),
            ("c", "pending", "warn"),
            ("d", "pending", "fail"),
        }
        assert life["state"] == "ready"  # type: ignore[index]
        assert report == {
            "status": "warn",
            "version": "1.2.3",
            "releaseId": "1.2.3",
            "serviceId": "orders",
            "info": {"breakers": {"payments": "closed"}},
        }
        times = [entry.pop("time") for (entry,) in checks.values()]
        assert all(stamp.fullmatch(time) for time in times)
        measured = {"componentType": "component", "observedUnit": "ms"}
        assert checks["a:responseTime"] == [
            {
                **measured,
                "componentId": "a",
                "status": "pass",
                "criticality": "critical",
                "observedValue": 0.0,
            }
        ]
        assert checks["b:responseTime"][0]["output"] == "slow, password=[redacted:key]"
        assert checks["d:responseTime"] == [
            {
                **measured,
                "componentId": "d",
                "status": "fail",
                "criticality": "degraded",
                "observedValue": 0.0,
                "output": "OSError: down",
                "consecutiveFailures": 1,
            }
        ]
        json.dumps(checks)

    @staticmethod
    def fail() -> None:
        """Fail."""
        raise OSError("down")

    def test_pending_stuck_and_stale(self, make_rig: Callable[..., Rig]) -> None:
        """What is not a result says so."""
        check(name="a")
        pool = HeldPool()
        rig = make_rig(lambda: pool).start()

        def entry() -> dict[str, object]:
            checks = rig.pillar.report()["checks"]
            found: dict[str, object] = checks["a:responseTime"][0]  # type: ignore[index]
            return found

        assert entry()["output"] == "no result yet"
        assert entry()["status"] == "warn"
        assert "time" not in entry()
        end = pool.begin()
        rig.advance(2)
        assert entry()["stuck"] is True
        end()
        rig.step()
        assert "stuck" not in entry()
        pool.cap = 0
        rig.advance(40)
        assert entry()["stale"] is True

    @pytest.mark.parametrize("status", ["warn", "fail"])
    def test_info_warns_the_report_only(
        self, make_rig: Callable[..., Rig], status: str
    ) -> None:
        """An open breaker makes the report warn; no probe changes."""
        rig = make_rig().start()
        rig.pillar.add_info("breakers", lambda: {"status": status, "token": "x"})

        report = rig.pillar.report()
        assert report["status"] == "warn"
        assert report["info"] == {
            "breakers": {"status": status, "token": "[redacted:key]"}
        }
        assert rig.pillar.probe("readiness").body == b'{"status":"pass"}'

    def test_broken_info(self, make_rig: Callable[..., Rig], faults: Faults) -> None:
        """A part that cannot be told is a fault of ours; the rest stands."""
        rig = make_rig().start()
        nothing: dict[str, dict[str, object]] = {}
        rig.pillar.add_info("broken", lambda: nothing["x"])
        rig.pillar.add_info("fine", lambda: {"x": 1})

        assert rig.pillar.report()["info"] == {
            "broken": {"status": "warn", "output": "KeyError"},
            "fine": {"x": 1},
        }
        assert isinstance(faults.claim("health.info.broken"), KeyError)

    def test_describe(self, make_rig: Callable[..., Rig]) -> None:
        """The start-up line learns how many checks there are and which are critical."""
        check(name="a", critical=True)
        check(name="b", groups=("other",))
        check(name="c")
        rig = make_rig(values={"c": {"enabled": False}}).start()

        assert rig.pillar.describe() == {
            "enabled": True,
            "checks": 2,
            "critical": ["a"],
            "off": ["c"],
            "groups": ["other"],
            "details": "authorised",
            "loop": "auto",
        }
