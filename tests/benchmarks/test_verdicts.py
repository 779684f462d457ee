"""What measured series come to, row by row, and the table that tells it."""

from __future__ import annotations

import pytest

from benchmarks.budgets import Budget, Item
from benchmarks.figures import Verdict
from benchmarks.model import Bench, Goal, Group, Limit, Row, Series, Subject
from benchmarks.report import BEGIN, END, as_text, rewrite
from benchmarks.verdicts import decide, find_shirked

US = 1e-6
PAGE = f"# Costs\n\n{BEGIN}\n{END}\n\nThe rest.\n"


def row(*limits: Limit, title: str = "A call", unit: str = "us", **more: str) -> Row:
    """Return a row about svcready beside one peer."""
    return Row(
        Budget.RETRY,
        title,
        "calls",
        limits or (Limit("svcready", 0.5, "peer"),),
        Item.RESILIENCE,
        ("svcready", "peer"),
        unit=unit,
        over=more.get("over", ""),
        forbids=tuple(more.get("forbids", "").split()),
    )


def took(*cpu_us: float, **more: object) -> Series:
    """Return the series of a subject that took so many microseconds."""
    cpu = [value * US for value in cpu_us]
    return Series(cpu=cpu, wall=cpu, loaded=str(more.get("loaded", "")).split())


def test_a_kept_budget() -> None:
    """A third of the peer keeps a limit of a half."""
    measured = {"svcready": took(1, 1, 1), "peer": took(3, 3, 3)}

    assert decide(row(), measured, {}).verdict is Verdict.MET


def test_a_kept_stretch() -> None:
    """A limit of the stretch that is kept too is said."""
    limits = (
        Limit("svcready", 0.5, "peer"),
        Limit("svcready", 0.35, "peer", goal=Goal.STRETCH),
    )
    measured = {"svcready": took(1, 1, 1), "peer": took(3, 3, 3)}

    assert decide(row(*limits), measured, {}).verdict is Verdict.STRETCH


def test_a_missed_budget_over_a_baseline() -> None:
    """What counts is what is added: 60 of 100 is missed, though 110 of 150 is too."""
    limit = Limit("svcready", 0.5, "peer", over="bare")
    measured = {
        "bare": took(50, 50, 50),
        "svcready": took(110, 110, 110),
        "peer": took(150, 150, 150),
    }

    decision = decide(row(limit, over="bare"), measured, {})

    assert decision.verdict is Verdict.MISSED
    assert decision.findings[0].value == pytest.approx(0.6)


def test_cpu_decides_not_wall() -> None:
    """Work moved to a thread still counts: wall time does not make a verdict."""
    ours = Series(cpu=[2 * US] * 3, wall=[0.1 * US] * 3)

    decision = decide(row(), {"svcready": ours, "peer": took(3, 3, 3)}, {})

    assert decision.verdict is Verdict.MISSED


def test_noise_is_said() -> None:
    """Rounds that disagree withhold the ratio and the verdict."""
    measured = {"svcready": took(1, 9, 2, 8), "peer": took(5, 5, 5, 5)}
    decision = decide(row(), measured, {})

    assert decision.verdict is Verdict.NOISY
    assert "noisy" in as_text([decision])


def test_noise_that_cannot_break_a_limit_is_no_verdict() -> None:
    """Rounds that disagree, and all far below what is allowed, keep the limit."""
    measured = {"svcready": took(1.0, 1.2, 0.9, 1.1), "peer": took(1.1, 1.0, 1.0, 1.1)}
    limit = Limit("svcready", 1.5, "peer")
    decision = decide(row(limit), measured, {})

    assert decision.verdict is Verdict.MET
    assert decision.findings[0].value is None
    # Of the ratios 0.9, 0.909, 1.0 and 1.2.
    assert "0.91-1.05 x, kept" in as_text([decision])


def test_a_part_that_is_not_there_yet() -> None:
    """A missing part of ours is named, and the peer's figures are still told."""
    ours = Series(missing="AttributeError: no retry")
    decision = decide(row(), {"svcready": ours, "peer": took(3, 3, 3)}, {})
    text = as_text([decision])

    assert decision.verdict is Verdict.UNKNOWN
    assert "svcready part not there yet (AttributeError: no retry)" in text
    assert "peer" in text


def test_an_absolute_limit() -> None:
    """A limit without a reference is a value in the row's own unit."""
    limit = Limit("svcready", 60)
    ours = Series(cpu=[0.061] * 3, wall=[0.061] * 3)

    decision = decide(row(limit, unit="ms"), {"svcready": ours}, {})

    assert decision.verdict is Verdict.MISSED
    assert decision.findings[0].value == pytest.approx(61)


def test_a_forbidden_import_misses_a_budget() -> None:
    """A module that must stay away and did not is a miss, however quick."""
    measured = {"svcready": took(1, 1, 1, loaded="asyncio"), "peer": took(3, 3, 3)}
    decision = decide(row(forbids="asyncio wrapt"), measured, {})

    assert decision.verdict is Verdict.MISSED
    assert decision.remarks == ("loads asyncio",)


@pytest.mark.parametrize(
    ("subject", "series", "said"),
    [
        (
            Subject("svcready", "x:y", logs=True),
            Series(lines=["{}"]),
            "svcready wrote 1 lines in 2 operations",
        ),
        (
            Subject("svcready", "x:y", spans=0.99),
            Series(spans=0.5),
            "svcready exported 0.500 spans per operation",
        ),
    ],
)
def test_work_left_undone_decides_nothing(
    subject: Subject, series: Series, said: str
) -> None:
    """A subject that logs or exports less than it must is not called cheap."""
    bench = Bench("calls", Group.RESILIENCE, (subject,))
    shirked = find_shirked(bench, {"svcready": series})
    measured = {"svcready": took(1, 1, 1), "peer": took(3, 3, 3)}

    decision = decide(row(), measured, shirked)

    assert shirked == {"svcready": [said]}
    assert decision.verdict is Verdict.INCOMPARABLE
    assert decision.remarks == (said,)


def test_work_done_is_not_remarked() -> None:
    """Lines and spans in full measure raise no remark."""
    subject = Subject("svcready", "x:y", logs=True, spans=0.99)
    bench = Bench("calls", Group.RESILIENCE, (subject,))

    assert not find_shirked(bench, {"svcready": Series(lines=["a", "b"], spans=1.0)})


def test_the_table_keeps_rows_that_were_not_measured() -> None:
    """A partial run replaces its own rows and leaves the others and the prose."""
    measured = {"svcready": took(1, 1, 1), "peer": took(3, 3, 3)}
    slower = {"svcready": took(2, 2, 2), "peer": took(3, 3, 3)}
    page = rewrite(
        PAGE,
        [decide(row(title=title), measured, {}) for title in ("One", "Two")],
    )
    page = rewrite(page, [decide(row(title="Two"), slower, {})])

    assert page.startswith("# Costs\n\n")
    assert page.endswith("\n\nThe rest.\n")
    assert page.count("| One | 1.00 (1.00) µs | peer 3.00 (3.00) µs |") == 1
    assert page.count("| Two | 2.00 (2.00) µs | peer 3.00 (3.00) µs |") == 1
    assert page.count("| Two |") == 1
    assert "| budget met |" in page
    assert "| MISSED |" in page


def test_a_page_without_markers_is_refused() -> None:
    """A table is never written over prose."""
    with pytest.raises(ValueError, match="measured"):
        rewrite("# Costs\n", [])
