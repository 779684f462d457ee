"""What a row's measurements come to: figures, ratios and a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.figures import (
    Verdict,
    added,
    between,
    compare,
    judge,
    summarise,
    within,
)
from benchmarks.model import SAMPLE_COUNT, Goal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.figures import Comparison, Figure
    from benchmarks.model import Bench, Limit, Row, Series, Subject

SCALES = {"us": 1e6, "ms": 1e3, "MiB": 1 / 1024**2}


@dataclass(frozen=True, slots=True)
class Shown:
    """
    One subject's figures in a row's unit.

    Args:
        label: The subject.
        cost: What it costs.
        wall: Its wall time, if the row is about time.
        is_added: Whether the figures are what it adds over the row's baseline.
    """

    label: str
    cost: Figure
    wall: Figure | None
    is_added: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """A limit with what was found: a ratio, an absolute value, or noise."""

    limit: Limit
    value: float | None
    comparison: Comparison | None

    @property
    def kept(self) -> bool | None:
        """
        Whether the limit is kept, or `None` if noise hides it.

        Two costs that are hardly different have no honest ratio; but where both
        quartiles of it lie on one side of the limit, they decide.
        """
        if self.value is None and self.comparison is not None:
            return between(self.comparison, self.limit.at_most)

        return within(self.value, self.limit.at_most)


@dataclass(frozen=True, slots=True)
class Decision:
    """
    A row with everything that its line in a table says.

    `remarks` says what makes a verdict not comparable or incomplete.
    """

    row: Row
    verdict: Verdict
    shown: tuple[Shown, ...]
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]


def decide(
    row: Row, measured: Mapping[str, Series], shirked: Mapping[str, Sequence[str]]
) -> Decision:
    """
    Judge one row.

    Args:
        row: The row.
        measured: The series of its bench, by label.
        shirked: What subjects left undone, by label; a cost without the work decides
            nothing.

    Returns:
        The row with everything that its line in a table says.
    """
    missing = _missing(row, measured)
    undone = [
        remark
        for label in dict.fromkeys(
            name for limit in row.limits for name in (limit.subject, limit.against)
        )
        for remark in shirked.get(label, ())
    ]
    findings = tuple(_find(row, limit, measured) for limit in row.limits if not missing)
    forbidden = [
        f"loads {name}"
        for name in row.forbids
        if not missing and name in measured[row.shows[0]].loaded
    ]
    budget = [f.kept for f in findings if f.limit.goal is Goal.BUDGET]
    stretch = [f.kept for f in findings if f.limit.goal is Goal.STRETCH]
    budget.extend(False for _ in forbidden)
    return Decision(
        row=row,
        verdict=Verdict.INCOMPARABLE if undone else judge(budget, stretch),
        shown=tuple(_show(row, measured)),
        findings=findings,
        remarks=(*missing, *undone, *forbidden),
    )


def _missing(row: Row, measured: Mapping[str, Series]) -> list[str]:
    needed = {limit.subject for limit in row.limits if limit.goal is Goal.BUDGET}
    return [
        f"svcready part not there yet ({measured[label].missing})"
        for label in sorted(needed)
        if measured[label].missing
    ]


def _samples(row: Row, series: Series) -> Sequence[float]:
    scale = SCALES[row.unit]
    raw = series.rss if row.unit == "MiB" else series.cpu
    return [value * scale for value in raw]


def _find(row: Row, limit: Limit, measured: Mapping[str, Series]) -> Finding:
    subject = measured[limit.subject]
    if subject.missing:
        return Finding(limit, None, None)

    ours = _samples(row, subject)
    if not limit.against:
        return Finding(limit, summarise(ours).median, None)

    comparison = compare(
        ours,
        _samples(row, measured[limit.against]),
        _samples(row, measured[limit.over]) if limit.over else None,
    )
    return Finding(limit, comparison.ratio, comparison)


def _show(row: Row, measured: Mapping[str, Series]) -> list[Shown]:
    shown = []
    for label in (*row.shows, row.over):
        series = measured.get(label)
        if series is None or series.missing or not series.cpu:
            continue

        over = measured[row.over] if row.over and label != row.over else None
        cost = _samples(row, series)
        wall = [value * SCALES[row.unit] for value in series.wall]
        if over is not None:
            cost = added(cost, _samples(row, over))
            wall = added(wall, [value * SCALES[row.unit] for value in over.wall])

        timed = summarise(wall) if row.unit != "MiB" else None
        shown.append(Shown(label, summarise(cost), timed, over is not None))

    return shown


def find_shirked(bench: Bench, measured: Mapping[str, Series]) -> dict[str, list[str]]:
    """Return by label what the subjects of a bench had to do and did not."""
    return {
        subject.label: remarks
        for subject in bench.subjects
        if (remarks := _undone(subject, measured[subject.label]))
    }


def _undone(subject: Subject, series: Series) -> list[str]:
    if series.missing:
        return []

    remarks = []
    if subject.logs and len(series.lines) < SAMPLE_COUNT:
        written = len(series.lines)
        remarks.append(
            f"{subject.label} wrote {written} lines in {SAMPLE_COUNT} operations"
        )

    if series.spans < subject.spans:
        remarks.append(
            f"{subject.label} exported {series.spans:.3f} spans per operation"
        )

    return remarks
