"""How decisions are told: as text, as JSON, and as the table of the README."""

from __future__ import annotations

import dataclasses
import os
import platform
from typing import TYPE_CHECKING

from benchmarks.figures import Verdict, spell_ratio
from benchmarks.model import Goal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.figures import Figure
    from benchmarks.model import Results
    from benchmarks.verdicts import Decision, Finding, Shown

BEGIN = "<!-- measured: written by run.py -->"
END = "<!-- end of measured -->"
NONE = "-"
UNITS = {"us": "µs", "ms": "ms", "MiB": "MiB"}
HEADER = (
    (
        "| Path | svcready, CPU (wall) | Peer | Others | Ratio | Budget | Stretch "
        "| Verdict |"
    ),
    "|---|---|---|---|---|---|---|---|",
)


def number(value: float) -> str:
    """Spell a figure with three significant digits."""
    if abs(value) >= 100:
        return f"{value:.0f}"

    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def machine() -> str:
    """Say what the figures were measured on."""
    cores, kind = os.cpu_count(), platform.machine()
    return f"{cores}-core {kind}, Python {platform.python_version()}"


def as_text(decisions: Iterable[Decision]) -> str:
    """Lay decisions out for a terminal, one block per row."""
    lines = []
    for decision in decisions:
        unit = UNITS[decision.row.unit]
        lines.append(f"{decision.verdict.value:>14}  {decision.row.title}")
        for shown in decision.shown:
            cost, wall = shown.cost, shown.wall
            over = f" over {decision.row.over}" if shown.is_added else ""
            beside = f"   wall {number(wall.median)}" if wall else ""
            lines.append(
                f"{'':16}{shown.label:<22}{number(cost.median):>8} {unit}{over}"
                f"   quartiles {number(cost.low)}-{number(cost.high)}{beside}"
            )

        lines.extend(f"{'':16}{_spell_finding(f)}" for f in decision.findings)
        lines.extend(f"{'':16}! {remark}" for remark in decision.remarks)

    return "\n".join(lines)


def as_json(results: Results, decisions: Iterable[Decision]) -> dict[str, object]:
    """Return everything measured and decided, for a file."""
    return {
        "machine": machine(),
        "benches": {
            bench: {label: dataclasses.asdict(s) for label, s in series.items()}
            for bench, series in results.items()
        },
        "rows": [
            {
                "title": decision.row.title,
                "verdict": decision.verdict.value,
                "findings": [
                    {**dataclasses.asdict(f.limit), "value": f.value, "kept": f.kept}
                    for f in decision.findings
                ],
                "remarks": decision.remarks,
            }
            for decision in decisions
        ],
    }


def rewrite(page: str, decisions: Sequence[Decision]) -> str:
    """
    Put decisions into a page's table, leaving rows that were not measured.

    Args:
        page: Markdown with the two marker lines.
        decisions: The rows measured now, in the order of the budgets.

    Raises:
        ValueError: If the page lacks a marker.
    """
    before, begin, rest = page.partition(BEGIN)
    table, end, after = rest.partition(END)
    if not begin or not end:
        message = f"no {BEGIN} and {END} in the page"
        raise ValueError(message)

    lines = {_path_of(line): line for line in table.splitlines() if _is_row(line)}
    lines.update({d.row.title: _table_line(d) for d in decisions})
    body = "\n".join([f"On a {machine()}.", "", *HEADER, *lines.values()])
    return f"{before}{BEGIN}\n{body}\n{END}{after}"


def _is_row(line: str) -> bool:
    return line.startswith("| ") and line not in HEADER


def _path_of(line: str) -> str:
    return line.split(" | ", maxsplit=1)[0].removeprefix("| ")


def _table_line(decision: Decision) -> str:
    unit = UNITS[decision.row.unit]
    by_label = {shown.label: shown for shown in decision.shown}
    ours = by_label.pop(decision.row.shows[0], None)
    peer = by_label.pop(decision.row.shows[1], None)
    ratios = [_spell_value(f) for f in decision.findings if f.limit.goal is Goal.BUDGET]
    cells = (
        decision.row.title,
        _spell_cost(ours.cost, ours.wall, unit) if ours else NONE,
        _spell_shown(peer, unit) if peer else NONE,
        "; ".join(_spell_shown(shown, unit) for shown in by_label.values()) or NONE,
        ", ".join(ratios) or NONE,
        _spell_limits(decision, Goal.BUDGET),
        _spell_limits(decision, Goal.STRETCH),
        decision.verdict.value,
    )
    return f"| {' | '.join(cells)} |"


def _spell_cost(cost: Figure, wall: Figure | None, unit: str) -> str:
    beside = f" ({number(wall.median)})" if wall else ""
    return f"{number(cost.median)}{beside} {unit}"


def _spell_shown(shown: Shown, unit: str) -> str:
    return f"{shown.label} {_spell_cost(shown.cost, shown.wall, unit)}"


def _spell_limits(decision: Decision, goal: Goal) -> str:
    unit = UNITS[decision.row.unit]
    return (
        ", ".join(
            f"≤ {spell_ratio(limit.at_most)} {limit.against}"
            if limit.against
            else f"≤ {number(limit.at_most)} {unit}"
            for limit in decision.row.limits
            if limit.goal is goal
        )
        or NONE
    )


def _spell_value(finding: Finding) -> str:
    if finding.value is None:
        around = finding.comparison
        if around is None or finding.kept is None:
            return Verdict.NOISY.value

        return f"{around.low:.2f}-{around.high:.2f} x"

    if finding.comparison is None:
        return number(finding.value)

    return spell_ratio(finding.value)


def _spell_finding(finding: Finding) -> str:
    limit = finding.limit
    kept = {True: "kept", False: "broken", None: "undecided"}[finding.kept]
    if limit.against:
        wanted = f"at most {spell_ratio(limit.at_most)} of {limit.against}"
    else:
        wanted = f"at most {number(limit.at_most)}"

    return (
        f"{limit.goal.value}: {limit.subject} {wanted}: {_spell_value(finding)}, {kept}"
    )
