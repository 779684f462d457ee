"""The rows: each belongs to a budget, and everything that it names exists."""

from __future__ import annotations

import pytest

from benchmarks.benches import BENCHES
from benchmarks.budgets import LATER, Budget, Item
from benchmarks.model import Bench, Goal, Row, Subject
from benchmarks.rows import ROWS

BY_KEY = {bench.key: bench for bench in BENCHES}


def test_every_item_has_rows_and_every_row_a_budget() -> None:
    """What the harness owes first is measured, under names of the budgets."""
    assert {row.item for row in ROWS} == set(Item)
    assert all(isinstance(row.budget, Budget) for row in ROWS)


def test_every_budget_is_measured_or_put_off() -> None:
    """No row of the budgets is forgotten, and none is both."""
    measured = {row.budget for row in ROWS}

    assert measured | LATER == set(Budget)
    assert not measured & LATER


def test_three_frameworks() -> None:
    """Requests are measured on all three frameworks at both shares."""
    labels = {
        (row.bench, limit.subject)
        for row in ROWS
        if row.item is Item.REQUEST
        for limit in row.limits
    }

    assert labels >= {
        (framework, f"svcready {share}")
        for framework in ("fastapi", "flask", "django")
        for share in ("5%", "100%")
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_a_row_names_what_its_bench_measures(row: Row) -> None:
    """Every label of a row is a subject of its bench, and the first is ours."""
    subjects = {subject.label: subject for subject in BY_KEY[row.bench].subjects}
    named = {name for limit in row.limits for name in (limit.subject, limit.against)}

    assert (named | set(row.shows) | {row.over}) - {""} <= set(subjects)
    assert subjects[row.shows[0]].ours
    assert all(subjects[limit.subject].ours for limit in row.limits)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_a_stretch_is_harder_than_its_budget(row: Row) -> None:
    """A stretch limit on the same pair is below the budget's."""
    budgets = {
        (limit.subject, limit.against): limit.at_most
        for limit in row.limits
        if limit.goal is Goal.BUDGET
    }

    assert budgets
    for limit in row.limits:
        pair = (limit.subject, limit.against)
        if limit.goal is Goal.STRETCH and pair in budgets:
            assert limit.at_most < budgets[pair]


def test_titles_are_told_apart() -> None:
    """Titles are the keys of the table: no two rows share one."""
    assert len({row.title for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.key)
def test_subjects_of_a_bench_are_told_apart(bench: Bench) -> None:
    """Labels are the keys of results: no two subjects of a bench share one."""
    assert len({subject.label for subject in bench.subjects}) == len(bench.subjects)


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.key)
def test_only_what_is_installed_elsewhere_lives_elsewhere(bench: Bench) -> None:
    """Logfire and ADOT stay out of the environment of all others."""

    def is_distro(subject: Subject) -> bool:
        return "logfire" in subject.label or subject.label == "ADOT"

    assert [s.distro for s in bench.subjects] == [is_distro(s) for s in bench.subjects]
