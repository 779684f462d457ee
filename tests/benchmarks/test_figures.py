"""The arithmetic of comparisons, and the verdicts that follow from it."""

from __future__ import annotations

import pytest

from benchmarks.figures import (
    Comparison,
    Verdict,
    between,
    compare,
    judge,
    spell_ratio,
    summarise,
    within,
)


def test_median_and_quartiles() -> None:
    """Quartiles are those of the samples themselves, whatever their order."""
    figure = summarise([5.0, 1.0, 4.0, 2.0, 3.0])

    assert (figure.low, figure.median, figure.high) == (2.0, 3.0, 4.0)
    assert figure.spread == 2.0


def test_one_sample_has_no_spread() -> None:
    """A single sample is its own median and quartiles."""
    assert summarise([7.0]).spread == 0.0


def test_no_samples_are_refused() -> None:
    """A summary of nothing is a fault of the harness, not a zero."""
    with pytest.raises(ValueError, match="no samples"):
        summarise([])


def test_ratio_of_medians() -> None:
    """Series that differ clearly give the ratio of their medians."""
    assert compare([10.0, 11.0, 10.0], [40.0, 41.0, 40.0]).ratio == 0.25


def test_the_baseline_is_taken_off_both_sides() -> None:
    """An added cost is what each round costs over the baseline's round beside it."""
    bare = [50.0, 60.0, 50.0]

    compared = compare([60.0, 70.0, 60.0], [250.0, 260.0, 250.0], bare)

    assert compared.ratio == pytest.approx(10 / 200)


def test_a_load_that_moves_all_subjects_is_no_noise() -> None:
    """Rounds are compared in pairs: what slows both alike hides nothing."""
    slow = [1.0, 3.0, 1.5, 2.5, 2.0]
    compared = compare([10 + s for s in slow], [12 + s for s in slow])

    assert not compared.noisy


def test_a_spread_wider_than_the_difference_gives_no_ratio() -> None:
    """Rounds that disagree by more than the subjects differ decide nothing."""
    compared = compare([10.0, 14.0, 9.0, 13.0], [11.0, 11.0, 12.0, 11.0])

    assert compared.noisy
    assert compared.ratio is None


def test_a_cost_below_nothing_is_noise() -> None:
    """An added cost that comes out negative is never told as a great ratio."""
    bare = [50.0, 50.0, 50.0]

    assert compare([49.0, 49.0, 49.0], [250.0, 250.0, 250.0], bare).noisy


def test_series_of_different_lengths_are_refused() -> None:
    """A round without its pair means that the harness lost one."""
    with pytest.raises(ValueError, match="shorter"):
        compare([1.0, 2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize(("value", "kept"), [(0.5, True), (0.51, False), (None, None)])
def test_a_limit_is_kept_up_to_its_value(
    value: float | None, kept: bool | None
) -> None:
    """A limit includes its own value, and noise leaves it undecided."""
    assert within(value, 0.5) is kept


@pytest.mark.parametrize(
    ("low", "high", "kept"),
    [
        (0.9, 1.0, True),
        (1.06, 1.2, False),
        (0.9, 1.2, None),
        (-0.1, 0.2, None),
        (0.0, 0.0, None),
    ],
)
def test_quartiles_on_one_side_of_a_limit_decide(
    low: float, high: float, kept: bool | None
) -> None:
    """What costs as much as its peer keeps `no dearer`, though noise hides a ratio."""
    assert between(Comparison(None, low, high), 1.05) is kept


@pytest.mark.parametrize(
    ("budget", "stretch", "verdict"),
    [
        ([True], [True], Verdict.STRETCH),
        ([True, True], [True, False], Verdict.MET),
        ([True], [None], Verdict.MET),
        ([True], [], Verdict.MET),
        ([True, False], [True], Verdict.MISSED),
        ([None, False], [True], Verdict.MISSED),
        ([True, None], [True], Verdict.NOISY),
        ([], [], Verdict.UNKNOWN),
    ],
)
def test_verdicts(
    budget: list[bool | None], stretch: list[bool | None], verdict: Verdict
) -> None:
    """One broken budget is a miss; noise decides nothing; stretch takes all."""
    assert judge(budget, stretch) is verdict


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1 / 12, "1/12"),
        (1 / 14.3, "1/14.3"),
        (0.15, "0.15 x"),
        (0.5, "0.50 x"),
        (1.3, "1.30 x"),
    ],
)
def test_ratios_are_spelt_as_budgets_spell_them(ratio: float, text: str) -> None:
    """Small or exact shares read as one part of many, others as a factor."""
    assert spell_ratio(ratio) == text
