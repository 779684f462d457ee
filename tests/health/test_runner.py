"""What a run of a check says, and how results settle its status."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready import health
from svcready._core.redaction import Redactor
from svcready.config._sections.health import HealthSettings
from svcready.health import CheckChanged, CheckRan, CheckResult
from svcready.health._check import Check
from svcready.health._running._state import CheckState, Tuning, tune
from tests.health.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


from tests.health.subject import check


class Awkward(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError


class TestResults:
    """What a run says."""

    @pytest.mark.parametrize(
        ("answer", "status", "output"),
        [
            (None, "pass", ""),
            (True, "pass", ""),
            (False, "fail", "returned False"),
            (health.warn("slow"), "warn", "slow"),
            (health.fail("gone"), "fail", "gone"),
            (CheckResult("pass", "fine"), "pass", "fine"),
            (ConnectionError("no route"), "fail", "ConnectionError: no route"),
            (ValueError(), "fail", "ValueError"),
            (SystemExit(3), "fail", "SystemExit: 3"),
            (Awkward(), "fail", "Awkward: (its text cannot be made: RuntimeError)"),
        ],
    )
    def test_answers(
        self, make_rig: Callable[..., Rig], answer: object, status: str, output: str
    ) -> None:
        """None and True pass, False and errors fail, results say it themselves."""
        check(answer)

        got = make_rig().start().status("db")
        rig_status = (got.status, got.output)

        assert rig_status == ("pending", "")
        rig = make_rig().start()
        rig.step()
        got = rig.status("db")
        assert (got.status, got.output) == (status, output)

    @pytest.mark.parametrize(
        "answer", [1, "ok", {"status": "down"}, 0.0, ("pass", ""), CheckResult("down")]
    )
    def test_wrong_return_types(
        self, make_rig: Callable[..., Rig], answer: object
    ) -> None:
        """Anything else is a mistake in the check: it warns and says so, no more."""
        check(answer, critical=True)
        rig = make_rig().start()
        rig.step()

        got = rig.status("db")
        assert got.status == "warn"
        assert type(answer).__name__ in got.output
        assert rig.answers() == (200, 200, 200)

    def test_secrets_are_hidden_before_output_is_cut(
        self, make_rig: Callable[..., Rig]
    ) -> None:
        """Output shows no secret, has at most 500 characters, even of huge errors."""
        text = "x" * 480 + " password=hunter2hunter2hunter2 " + "y" * 100_000
        check(OSError(text))
        rig = make_rig(redactor=Redactor()).start()
        rig.step()

        output = rig.status("db").output
        assert "hunter" not in output
        assert len(output) == 500
        assert "hunter" not in repr(rig.changes) + repr(rig.pillar.report())

    def test_latency_and_time(self, make_rig: Callable[..., Rig]) -> None:
        """A result has its duration and its wall time."""
        rig: Rig = make_rig()

        def slow() -> None:
            rig.clock.advance(0.25)

        health.check("db")(slow)
        rig.start()
        rig.step()

        assert rig.status("db").latency_s == 0.25
        assert rig.status("db").time_ns == rig.clock.time_ns()
        assert rig.runs == [CheckRan("db", "pass", 0.25)]

    def test_quiet_context(self, make_rig: Callable[..., Rig]) -> None:
        """A check's own calls run inside the context that keeps them untraced."""
        inside: list[bool] = []
        quiet: list[bool] = []

        @contextmanager
        def keep_quiet() -> Iterator[None]:
            quiet.append(True)
            yield
            quiet.pop()

        health.check("db")(lambda: inside.append(bool(quiet)))
        make_rig(quiet=keep_quiet).start()

        assert inside == [True]
        assert quiet == []


class TestThresholds:
    """From single results to a settled status."""

    def test_flapping(self, make_rig: Callable[..., Rig]) -> None:
        """A check that flips at every run never changes its settled status."""
        subject = check(critical=True)
        rig = make_rig().start()
        for number in range(20):
            subject.answer = bool(number % 2)
            rig.advance(10)
            assert rig.answers() == (200, 200, 200)

        assert subject.calls == 21
        assert rig.changes == [CheckChanged("db", "pending", "pass", "", "critical")]

    def test_fails_after_three_and_recovers_after_two(
        self, make_rig: Callable[..., Rig]
    ) -> None:
        """Three failures in a row fail it, two successes in a row bring it back."""
        subject = check(critical=True)
        rig = make_rig().start()
        seen = []
        for answer in (False, False, False, True, False, True, True):
            subject.answer = answer
            rig.advance(10)
            seen.append(rig.answers()[1])

        assert seen == [200, 200, 503, 503, 503, 503, 200]
        assert rig.changes == [
            CheckChanged("db", "pending", "pass", "", "critical"),
            CheckChanged("db", "pass", "fail", "returned False", "critical"),
            CheckChanged("db", "fail", "pass", "", "critical"),
        ]

    @pytest.mark.parametrize("answer", [True, False])
    def test_first_result_counts_at_once(
        self, make_rig: Callable[..., Rig], answer: bool
    ) -> None:
        """There is nothing to wait for before the first result is believed."""
        check(answer)
        rig = make_rig().start()
        rig.step()

        assert rig.status("db").status == ("pass" if answer else "fail")

    def test_warnings_need_no_threshold(self, make_rig: Callable[..., Rig]) -> None:
        """Warnings come and go at once, and count as successes after a failure."""
        subject = check(False)
        rig = make_rig().start()
        seen = []
        for answer in (health.warn(), health.warn(), None, health.warn(), None):
            subject.answer = answer
            rig.advance(10)
            seen.append(rig.status("db").status)

        assert seen == ["fail", "warn", "pass", "warn", "pass"]

    def test_settings_beat_code_beat_defaults(
        self, make_rig: Callable[..., Rig]
    ) -> None:
        """The check's own variables win over code, code over the section's."""
        check(False, "a", interval=5, critical=True)
        check(False, "b", interval=5)
        check(False, "c")
        check(False, "d")
        rig = make_rig(
            settings=HealthSettings(interval_s=20, timeout_s=4, fail_after=7),
            values={
                "a": {"interval_s": 1.0, "criticality": "degraded", "fail_after": 1},
                "d": {"enabled": False},
            },
        ).start()

        tunings = {n: s.tuning for n, s in rig.pillar.runner.states.items()}
        assert tunings == {
            "a": Tuning(True, "degraded", 4, 1.0, 1, 2),
            "b": Tuning(True, "degraded", 4, 5, 7, 2),
            "c": Tuning(True, "degraded", 4, 20, 7, 2),
        }
        assert "switched off: d" in rig.pillar.report()["notes"]  # type: ignore[operator]


@given(
    st.lists(st.sampled_from(["pass", "warn", "fail"])),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_thresholds_against_the_rule(
    results: list[str], fail_after: int, recover_after: int
) -> None:
    """The settled status is what the whole history of results says."""
    declared = Check(
        *("db", lambda: None, "critical", ("readiness",), 1.0, 10.0),
        *(fail_after, recover_after, False, False),
    )
    state = CheckState(declared, tune(declared, HealthSettings(), {}), late=False)
    for number, status in enumerate(results, 1):
        state.record(CheckResult(status), 0.0, number, number)

        assert state.status.status == by_the_rule(
            results[:number], fail_after, recover_after
        )


def by_the_rule(results: list[str], fail_after: int, recover_after: int) -> str:
    """Find what settled last: failures in a row, or successes in a row."""
    fails = [result == "fail" for result in results]
    ends = range(1, len(results) + 1)
    failed_at = [
        end
        for end in ends
        if (end == 1 and fails[0])
        or (end >= fail_after and all(fails[end - fail_after : end]))
    ]
    recovered_at = [
        end
        for end in ends
        if end >= recover_after and not any(fails[end - recover_after : end])
    ]
    if failed_at and max(failed_at) > max(recovered_at, default=0):
        return "fail"

    return [result for result in results if result != "fail"][-1]
