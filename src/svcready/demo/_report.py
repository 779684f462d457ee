"""The demo's report: what was found, told to a person in 78 columns."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from svcready._core.styled import WIDTH, fit
from svcready.demo._report_request import request_lines
from svcready.demo._report_timeline import timeline_lines
from svcready.demo._report_traces import traces_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready._core.styled import Line
    from svcready.demo._findings import Cost, Findings, Part, Route

__all__ = ["report"]

_PART = 24
_COST_NOTE = (
    "Logs, metrics, export of traces and all else in the background included;",
    "as it comes, one trace a second and 5 % of the others are sampled.",
)


def report(findings: Findings) -> Iterator[Line]:
    """Tell what was found, section by section."""
    shown = sum(1 for part in findings["parts"] if part["shown"])
    yield (
        ("svcready demo", "title"),
        (f" | {findings['requests']:,} requests in {findings['seconds']:.0f} s", ""),
        (f" | {shown} of {len(findings['parts'])} parts shown", ""),
    )
    yield from _section("Requests by route", "from /metrics, in ms")
    yield from _routes(findings["routes"])
    yield from _section("One request", "its log lines and its spans")
    yield from request_lines(findings["followed"])
    traces = findings["traces"]
    yield from _section(
        "All traces", f"calls, errors, slowest; {traces['traces']:,} of them"
    )
    yield from traces_lines(traces)
    yield from _section("What happened", "= well  ~ slow  o probing  x down; seconds")
    yield from timeline_lines(findings)
    yield from _section("A scrape", "an excerpt of GET /metrics")
    yield from _scrape(findings["scrape"])
    yield from _section("What it costs", "CPU per request, beside the same app without")
    yield from _cost(findings["cost"])
    yield from _section("Parts", "did everything show up?")
    for part in findings["parts"]:
        yield from _part(part)


def _section(title: str, what: str) -> Iterator[Line]:
    yield ()
    rule = "-" * (WIDTH - len(title) - len(what) - 4)
    yield ((f"{title} ", "title"), (rule, "faint"), (f" {what} -", "faint"))


def _routes(routes: list[Route]) -> Iterator[Line]:
    if not routes:
        yield _nothing()
        return

    heads = f"  {'':<33}{'count':>7}{'per s':>7}{'p50':>7}{'p95':>7}{'p99':>7}"
    yield ((heads, "faint"),)
    for route in routes:
        name = fit(f"{route['method']:<5}{route['route']}", 33)
        numbers = f"{route['requests']:>7,}{route['per_s']:>7.1f}"
        times = "".join(
            f"{_short(ms):>7}"
            for ms in (route["p50_ms"], route["p95_ms"], route["p99_ms"])
        )
        yield ((f"  {name}", ""), (numbers, "strong"), (times, ""))
        yield (("       ", ""), *_statuses(route["statuses"]))


def _statuses(statuses: dict[str, int]) -> Iterator[tuple[str, str]]:
    styles = {"2": "good", "5": "bad"}
    gap = ""
    for status, count in statuses.items():
        yield f"{gap}{status} ", "faint"
        yield f"{count:,}", styles.get(status[:1], "")
        gap = "   "


def _scrape(lines: list[str]) -> Iterator[Line]:
    if not lines:
        yield _nothing()

    for line in lines:
        name, _, rest = line.partition("{")
        if line.startswith("#"):
            yield ((f"  {fit(line, WIDTH - 2).rstrip()}", "faint"),)
        elif not rest:
            series, _, value = line.rpartition(" ")
            yield ((f"  {series} ", ""), (value, "strong"))
        else:
            labels, _, value = rest.rpartition(" ")
            yield from _series(name, "{" + labels, value)


def _series(name: str, labels: str, value: str) -> Iterator[Line]:
    if len(name) + len(labels) + len(value) + 3 <= WIDTH:
        yield ((f"  {name}", ""), (f"{labels} ", "faint"), (value, "strong"))
        return

    yield ((f"  {name}", ""),)
    words = labels.split(",")
    line = ""
    for number, word in enumerate(words):
        more = word if number == len(words) - 1 else f"{word},"
        if line and len(line) + len(more) + len(value) + 8 > WIDTH:
            yield ((f"      {line}", "faint"),)
            line = ""

        line += more

    yield ((f"      {line} ", "faint"), (value, "strong"))


def _cost(costs: list[Cost]) -> Iterator[Line]:
    if not costs:
        yield _nothing()
        return

    heads = f"  {'':<24}{'without':>10}{'added, as it comes':>21}{'all sampled':>19}"
    yield ((heads, "faint"),)
    for cost in costs:
        bare_us = cost["without_us"]
        yield (
            (f"  {cost['request']:<24}{bare_us:>7.0f} us", ""),
            (f"{cost['added_us']:>+12.0f} us", "strong"),
            (f"{_share(cost['added_us'], bare_us):>6}", ""),
            (f"{cost['added_sampled_us']:>+10.0f} us", "strong"),
            (f"{_share(cost['added_sampled_us'], bare_us):>6}", ""),
        )

    for line in _COST_NOTE:
        yield ((f"  {line}", "faint"),)


def _share(part: float, whole: float) -> str:
    return f"{part / whole:+.0%}" if whole else ""


def _part(part: Part) -> Iterator[Line]:
    word = ("  shown    ", "good") if part["shown"] else ("  MISSING  ", "bad")
    first, *more = wrap(part["what"], WIDTH - _PART)
    yield (word, (f"{part['name']:<{_PART - 11}}", "strong"), (first, ""))
    yield from (((" " * _PART + line, ""),) for line in more)


def _nothing() -> Line:
    return (("  nothing was seen of this", "bad"),)


def _short(ms: float) -> str:
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}"
