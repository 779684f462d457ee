"""
The arithmetic of a comparison: medians, spreads, ratios and verdicts.

Pure functions over the samples of interleaved rounds: round `i` of one subject ran
right beside round `i` of every other, so samples are compared pairwise.
"""

from __future__ import annotations

import enum
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Verdict(enum.Enum):
    """What a row's measurement says about its budget."""

    STRETCH = "stretch met"
    MET = "budget met"
    MISSED = "MISSED"
    NOISY = "noisy"
    UNKNOWN = "not there yet"
    INCOMPARABLE = "not comparable"


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of a series and its quartiles, in the unit of the samples."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """The distance between the quartiles."""
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    A subject's cost as a share of a reference's.

    `ratio` is `None` when the rounds disagree by more than the two differ, in
    which case no number is honest.
    """

    ratio: float | None
    low: float
    high: float

    @property
    def noisy(self) -> bool:
        """Whether the spread is wider than the difference."""
        return self.ratio is None


def summarise(samples: Sequence[float]) -> Figure:
    """Return the median and quartiles of at least one sample."""
    if not samples:
        message = "no samples to summarise"
        raise ValueError(message)

    if len(samples) == 1:
        return Figure(samples[0], samples[0], samples[0])

    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Figure(statistics.median(samples), low, high)


def added(samples: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """Return what each round cost over the baseline's round beside it."""
    return [value - bare for value, bare in zip(samples, baseline, strict=True)]


def compare(
    subject: Sequence[float],
    reference: Sequence[float],
    baseline: Sequence[float] | None = None,
) -> Comparison:
    """
    Compare two interleaved series, over a common baseline if there is one.

    Args:
        subject: The samples of the subject under test, one per round.
        reference: The samples of the peer or floor in the same rounds.
        baseline: Samples to subtract from both first, round by round.

    Returns:
        The ratio of the medians with the quartiles of the ratios of the rounds. The
        ratio is withheld when the quartiles of the paired differences lie further
        apart than the median difference, or when either side comes out at or below
        nothing, which only noise can do.
    """
    if baseline is not None:
        subject = added(subject, baseline)
        reference = added(reference, baseline)

    ours, theirs = summarise(subject).median, summarise(reference).median
    difference = summarise(added(reference, subject))
    quotients = [a / b for a, b in zip(subject, reference, strict=True) if b > 0]
    around = summarise(quotients) if quotients else Figure(0.0, 0.0, 0.0)
    if ours <= 0 or theirs <= 0 or difference.spread > abs(difference.median):
        return Comparison(None, around.low, around.high)

    return Comparison(ours / theirs, around.low, around.high)


def within(value: float | None, at_most: float) -> bool | None:
    """Say whether a value keeps a limit, or `None` if it is not known."""
    return None if value is None else value <= at_most


def between(comparison: Comparison, at_most: float) -> bool | None:
    """
    Say whether both quartiles of a ratio keep a limit.

    Returns:
        `None` if they differ, or if one is of a cost at or below nothing.
    """
    if comparison.low <= 0:
        return None

    outcomes = {comparison.low <= at_most, comparison.high <= at_most}
    return outcomes.pop() if len(outcomes) == 1 else None


def judge(budget: Sequence[bool | None], stretch: Sequence[bool | None]) -> Verdict:
    """
    Turn the outcomes of a row's limits into its verdict.

    Args:
        budget: One outcome per budget limit; `None` is a limit that noise hides.
        stretch: The same for the stretch limits; may be empty.

    Returns:
        `MISSED` as soon as one budget limit is broken, `NOISY` if none is broken
        but one is hidden, else `STRETCH` if there are stretch limits and all are
        kept, else `MET`.
    """
    if not budget:
        return Verdict.UNKNOWN

    if False in budget:
        return Verdict.MISSED

    if None in budget:
        return Verdict.NOISY

    if stretch and all(outcome is True for outcome in stretch):
        return Verdict.STRETCH

    return Verdict.MET


def spell_ratio(ratio: float) -> str:
    """
    Spell a ratio as budgets do.

    One part of many where that is exact or the ratio is below a tenth (`1/12`,
    `1/14.3`), else a factor (`0.55 x`).
    """
    parts = 1 / ratio if ratio > 0 else 0.0
    if parts > 2.5 and abs(parts - round(parts)) < 1e-9:
        return f"1/{parts:.0f}"

    return f"1/{parts:.1f}" if 0 < ratio < 0.1 else f"{ratio:.2f} x"
