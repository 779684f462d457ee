"""The report, rendered from what a real demo found."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import cast

import pytest

from svcready._core.styled import Line, plain
from svcready.demo._findings import Findings, Followed
from svcready.demo._paint import painter_for
from svcready.demo._report import report
from svcready.demo._report_request import request_lines

WIDTH = 80
BAR = 28


@pytest.fixture
def findings() -> Findings:
    """Read what a run of 20 s found."""
    recorded = Path(__file__).with_name("recorded.json")
    return cast("Findings", json.loads(recorded.read_text()))


def text_of(findings: Findings) -> list[str]:
    """Render as plain text."""
    return [plain(line) for line in report(findings)]


def section(lines: list[str], title: str) -> list[str]:
    """Return the lines of one section, without its heading."""
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{title} -"))
    rest = lines[start + 1 :]
    ends = [i for i, line in enumerate(rest) if line.endswith(" -") and "---" in line]
    return [line for line in rest[: ends[0] if ends else None] if line]


def test_it_fits_a_terminal_of_80_columns(findings: Findings) -> None:
    """No line is longer than 80 columns, and all are plain ASCII."""
    lines = text_of(findings)

    assert max(map(len, lines)) <= WIDTH
    assert all(line.isascii() for line in lines)


def test_headings_are_all_as_wide(findings: Findings) -> None:
    """The rules of all sections end in the same column."""
    headings = [line for line in text_of(findings) if "---" in line]

    assert len(headings) == 7
    assert len({len(line) for line in headings}) == 1


def test_every_route_is_told(findings: Findings) -> None:
    """Each route has its method, template, count and every status."""
    rows = section(text_of(findings), "Requests by route")[1:]

    assert len(rows) == 2 * len(findings["routes"])
    for route, row, statuses in zip(
        findings["routes"], rows[::2], rows[1::2], strict=True
    ):
        assert row.split()[:3] == [
            route["method"],
            route["route"],
            f"{route['requests']:,}",
        ]
        words = statuses.split()
        told = dict(zip(words[::2], words[1::2], strict=True))
        assert told == {k: f"{n:,}" for k, n in route["statuses"].items()}


def test_the_breaker_and_readiness_are_told_in_order(findings: Findings) -> None:
    """Every move is listed with its time, between what the demo did."""
    rows = section(text_of(findings), "What happened")
    entries = [row.split() for row in rows if row[:8].strip(" .0123456789") == ""]
    entries = [words for words in entries if len(words) > 2]
    times = [float(words[0]) for words in entries]

    assert times == sorted(times)
    moves = [words[2:5] for words in entries if words[1] == "breaker"]
    assert moves == [
        [m["before"].replace("_", "-"), "->", m["after"].replace("_", "-") + ":"]
        for m in findings["breaker"]
    ]
    verdicts = [words[2] for words in entries if words[1] == "readiness"]
    assert verdicts == [str(v["status"]) for v in findings["readiness"]]


def test_strips_are_drawn_to_scale(findings: Findings) -> None:
    """The share of the strip that is down is the share of the time that was."""
    rows = section(text_of(findings), "What happened")
    [strip] = [row.split()[1] for row in rows if row.split()[0] == "database"]
    locked, free = (
        phase["at_s"]
        for phase in findings["phases"]
        if phase["what"].startswith("the database")
    )

    assert strip.count("x") / len(strip) == pytest.approx(
        (free - locked) / findings["seconds"], abs=2 / len(strip)
    )


def test_the_request_is_told_line_by_line(findings: Findings) -> None:
    """Its ids, each log line's message and each span's duration are there."""
    followed = findings["followed"]
    assert followed is not None
    rows = section(text_of(findings), "One request")

    assert any(followed["trace_id"] in row for row in rows)
    assert any(followed["request_id"] in row for row in rows)
    logged = [row for row in rows if " ms " in row[:13]]
    assert len(logged) == len(followed["lines"])
    for row, line in zip(logged, followed["lines"], strict=True):
        assert line["message"] in row
        assert line["service"] in row

    drawn = [row for row in rows if row.count("|") == 2]
    assert len(drawn) == len(followed["spans"])
    for row, span in zip(drawn, followed["spans"], strict=True):
        assert row.startswith(f"  {'  ' * span['depth']}{span['name']} ")
        assert f"{span['duration_ms']:.1f}" in row.split("|")[2]


def test_bars_stand_where_the_time_was_spent() -> None:
    """A span over the second half of the request fills the second half of its bar."""
    followed: Followed = {
        "method": "GET",
        "route": "/",
        "status": 200,
        "request_id": "r",
        "trace_id": "t",
        "duration_ms": 100.0,
        "lines": [],
        "spans": [
            {
                "depth": 0,
                "service": "orders",
                "name": "half",
                "start_ms": 50.0,
                "duration_ms": 50.0,
                "failed": False,
            },
            {
                "depth": 1,
                "service": "orders",
                "name": "nothing",
                "start_ms": 100.0,
                "duration_ms": 0.0,
                "failed": True,
            },
        ],
    }
    half, nothing = [plain(line) for line in request_lines(followed)][-2:]

    assert half.split("|")[1] == " " * (BAR // 2) + "=" * (BAR // 2)
    assert nothing.split("|")[1] == " " * (BAR - 1) + "x"


def test_a_scrape_is_shown_unchanged(findings: Findings) -> None:
    """The excerpt is shown as it was scraped, wrapped where it is too wide."""
    shown = section(text_of(findings), "A scrape")

    # Long lines are wrapped at commas; spaces apart, nothing is lost or added.
    assert "".join("".join(shown).split()) == "".join(
        "".join(findings["scrape"]).split()
    )


def test_the_cost_is_told_beside_the_bare_application(findings: Findings) -> None:
    """Each kind of request has its cost without svcready and what is added."""
    rows = section(text_of(findings), "What it costs")

    for cost, row in zip(findings["cost"], rows[1:], strict=False):
        assert row.lstrip().startswith(cost["request"])
        assert f"{cost['without_us']:.0f} us" in row
        assert f"{cost['added_us']:+.0f} us" in row
        assert f"{cost['added_sampled_us']:+.0f} us" in row


def test_what_is_missing_is_named(findings: Findings) -> None:
    """A part that did not show up stands out, with the reason."""
    findings["parts"][1] |= {"shown": False, "what": "nothing came " * 12}
    rows = section(text_of(findings), "Parts")

    assert [row.split()[:2] for row in rows if "MISSING" in row] == [
        ["MISSING", findings["parts"][1]["name"]]
    ]
    assert "6 of 7 parts shown" in text_of(findings)[0]
    assert " ".join(" ".join(rows).split()).count("nothing came") == 12
    assert max(map(len, rows)) <= WIDTH


def test_nothing_at_all_is_still_a_report(findings: Findings) -> None:
    """A run that saw nothing says so in each section."""
    empty: Findings = {
        **findings,
        "routes": [],
        "followed": None,
        "breaker": [],
        "readiness": [],
        "scrape": [],
        "cost": [],
    }
    lines = text_of(empty)

    for title in ("Requests by route", "A scrape", "What it costs"):
        assert section(lines, title) == ["  nothing was seen of this"]

    assert "no request" in section(lines, "One request")[0]


LINES: list[Line] = [(("all is ", ""), ("well", "good")), ()]


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_pipe_gets_plain_text(term: str) -> None:
    """What is not a terminal gets no escape sequence and no line that changes."""
    stream = io.StringIO()
    painter = painter_for(stream, {"TERM": term})
    painter.update(LINES)
    painter.show(LINES)
    painter.settle()

    assert stream.getvalue() == "all is well\n\n"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets styles, and with NO_COLOR no colour."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = Terminal()
    painter_for(coloured, {}).show(LINES)
    monkeypatch.setenv("NO_COLOR", "1")
    plainer = Terminal()
    painter_for(plainer, {}).show(LINES)

    assert "\x1b[32mwell" in coloured.getvalue()
    assert "\x1b[32m" not in plainer.getvalue()


def test_updates_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was shown while waiting is gone from a terminal when it is over."""
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    painter = painter_for(stream, {})
    painter.update([(("one moment", ""),)])
    painter.settle()
    painter.settle()

    assert "one moment" in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[2K")
