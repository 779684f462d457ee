"""The nouns of the harness: subjects, benches, limits and rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.budgets import Budget, Item


SAMPLE_COUNT = 2
"""How many operations a subject does first, for a look at its output."""


class Group(StrEnum):
    """What `--only` chooses by."""

    REQUEST = "request"
    LOGGING = "logging"
    METRICS = "metrics"
    TRACING = "tracing"
    RESILIENCE = "resilience"
    STARTUP = "startup"


class Goal(StrEnum):
    """Whether a limit belongs to a row's budget or to its stretch."""

    BUDGET = "budget"
    STRETCH = "stretch"


@dataclass(frozen=True, slots=True)
class Subject:
    """
    One thing measured, in a process of its own.

    Args:
        label: Its name in tables.
        target: `module:factory` under `benchmarks.subjects`; in a fresh bench the
            module whose import is timed.
        setup: How it is set up, in a line, so that a reader can judge fairness.
        arguments: What the factory is called with.
        distro: Whether it lives in the second environment, with the distributions
            that hook into others by being installed.
        ours: Whether it is svcready, which may lack a part that is still being built.
        logs: Whether it must write at least one line per operation.
        spans: How many spans it must have exported per operation, at least.
        after: Modules imported before a fresh measurement begins.
    """

    label: str
    target: str
    setup: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)
    distro: bool = False
    ours: bool = False
    logs: bool = False
    spans: float = 0.0
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bench:
    """
    Subjects whose rounds are interleaved.

    Args:
        key: Its name in results.
        group: What `--only` chooses it by.
        subjects: What is measured, in the order of the first round.
        count: Operations per round; `None` calibrates each subject to `round_s`.
        fresh: Whether every round is a new process that imports `target` once.
        round_s: How long a calibrated round lasts, in seconds; longer where what
            happens by time is to be in it as often as it is.
    """

    key: str
    group: Group
    subjects: tuple[Subject, ...]
    count: int | None = None
    fresh: bool = False
    round_s: float = 0.04


@dataclass(frozen=True, slots=True)
class Limit:
    """
    One condition of a budget: a subject costs at most so much of a reference.

    Args:
        subject: The label of the subject that has to keep it.
        at_most: The largest ratio, or with `against` empty the largest absolute
            value in the row's unit.
        against: The label of the peer or floor.
        over: The label of what is subtracted from both first.
        goal: Whether it is part of the budget or of the stretch.
    """

    subject: str
    at_most: float
    against: str = ""
    over: str = ""
    goal: Goal = Goal.BUDGET


@dataclass(frozen=True, slots=True)
class Row:
    """
    A row of the budgets, and how a bench decides it.

    Args:
        budget: The row of the budgets that it decides, or half of it.
        title: What tables call it.
        bench: The key of the bench that measures it.
        limits: Its conditions.
        item: Which of the rows that the harness owes it answers.
        shows: Labels in the order of the table; the first is ours.
        over: The label of what the shown figures are added to.
        unit: `us`, `ms` or `MiB`.
        forbids: Modules that must not be loaded by it.
    """

    budget: Budget
    title: str
    bench: str
    limits: tuple[Limit, ...]
    item: Item
    shows: tuple[str, ...]
    over: str = ""
    unit: str = "us"
    forbids: tuple[str, ...] = ()


@dataclass(slots=True)
class Series:
    """
    What the rounds of one subject gave.

    `missing` says why there are none. `lines` is a sample of its output,
    `spans` what the collector got per operation.
    """

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)
    modules: int = 0
    loaded: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    spans: float = 0.0
    missing: str = ""


Results = dict[str, dict[str, Series]]
"""Series by bench key and subject label."""
