"""The report's timeline: what was done to the services, and how they took it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._core.styled import WIDTH, fit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from svcready._core.styled import Line
    from svcready.demo._findings import Findings, Move, Verdict

__all__ = ["timeline_lines"]

_LABEL = 12
_COLUMNS = WIDTH - _LABEL - 2
_WHO = 11
_READY = 200

_MARKS = {
    "ok": ("=", "good"),
    "slow": ("~", "wait"),
    "broken": ("x", "bad"),
    "locked": ("x", "bad"),
    "closed": ("=", "good"),
    "half_open": ("o", "wait"),
    "open": ("x", "bad"),
    "ready": ("=", "good"),
    "not ready": ("x", "bad"),
}
"""How a strip draws each state."""


class _Entry(NamedTuple):
    at_s: float
    who: str
    what: str
    style: str = ""


def timeline_lines(findings: Findings) -> Iterator[Line]:
    """Draw a strip for each thing that changed, then list the changes."""
    seconds = findings["seconds"]
    phases = findings["phases"]
    breaker = [("closed", 0.0), *((m["after"], m["at_s"]) for m in findings["breaker"])]
    readiness = [(_state(v), v["at_s"]) for v in findings["readiness"]]
    for label, states in (
        ("payments", [(phase["payments"], phase["at_s"]) for phase in phases]),
        ("breaker", breaker),
        ("database", [(phase["database"], phase["at_s"]) for phase in phases]),
        ("readiness", readiness),
    ):
        yield ((f"  {label:<{_LABEL - 2}}", "faint"), *_strip(states, seconds))

    yield ((" " * _LABEL + _scale(seconds), "faint"),)
    yield ()
    for entry in sorted(_entries(findings), key=lambda entry: entry.at_s):
        yield (
            (f"  {entry.at_s:6.2f}  ", "faint"),
            (f"{entry.who:<{_WHO}}", "faint"),
            (fit(entry.what, WIDTH - _WHO - 10).rstrip(), entry.style),
        )


def _entries(findings: Findings) -> Iterator[_Entry]:
    for phase in findings["phases"]:
        yield _Entry(phase["at_s"], "the demo", phase["what"], "strong")

    for move in findings["breaker"]:
        style = _MARKS.get(move["after"], ("", ""))[1]
        yield _Entry(move["at_s"], "breaker", _moved(move), style)

    before: Verdict | None = None
    for verdict in findings["readiness"]:
        told = _changed(before, verdict)
        if told:
            style = "good" if verdict["status"] == _READY else "bad"
            yield _Entry(verdict["at_s"], "readiness", told, style)

        before = verdict


def _moved(move: Move) -> str:
    before, after = (move[key].replace("_", "-") for key in ("before", "after"))
    reason = {
        "failure_rate": "too many calls failed",
        "slow_rate": "too many calls were slow",
        "consecutive": "too many calls failed in a row",
        "elapsed": "its time is over, one call may probe",
        "probe_failed": "the probe failed",
        "probe_lost": "the probe never came back",
        "probes_passed": "the probes passed",
    }.get(move["reason"], move["reason"])
    stays = f", for {move['open_s']:.1f} s" if move["after"] == "open" else ""
    return f"{before} -> {after}: {reason}{stays}"


def _changed(before: Verdict | None, now: Verdict) -> str:
    word = "ready" if now["status"] == _READY else "not ready, out of rotation"
    complaints = "; ".join(
        f"{name}: {said}" if said else name for name, said in now["checks"].items()
    )
    if before is not None and before["status"] == now["status"]:
        word = "still ready" if complaints else "every check passes"
        word = word if now["status"] == _READY else "still not ready"

    return f"{now['status']} {word}" + (f" ({complaints})" if complaints else "")


def _state(verdict: Verdict) -> str:
    return "ready" if verdict["status"] == _READY else "not ready"


def _strip(
    states: Iterable[tuple[str, float]], seconds: float
) -> Iterator[tuple[str, str]]:
    """Draw the states over the run, a state that is too short for a column as well."""
    known = list(states)
    marks: list[tuple[str, str]] = []
    for column in range(_COLUMNS):
        until_s = (column + 1) * seconds / _COLUMNS
        since_s = column * seconds / _COLUMNS
        entered = [state for state, at_s in known if since_s <= at_s < until_s]
        held = [state for state, at_s in known if at_s < since_s][-1:]
        now = (entered or held)[-1:]
        # The worst that a column saw, so that a short failure is not drawn away.
        worst = [state for state in entered if _MARKS.get(state, ("", ""))[0] == "x"]
        state = (worst or now or [""])[-1]
        marks.append(_MARKS.get(state, (" ", "")))

    at = 0
    while at < len(marks):
        end = at
        while end < len(marks) and marks[end] == marks[at]:
            end += 1

        yield marks[at][0] * (end - at), marks[at][1]
        at = end


def _scale(seconds: float) -> str:
    scale = [" "] * (_COLUMNS + 6)
    for part in range(5):
        column = round(part * (_COLUMNS - 1) / 4)
        text = f"{seconds * part / 4:.0f}"
        start = max(0, column - len(text) + 1) if part else 0
        scale[start : start + len(text)] = text

    return "".join(scale).rstrip()
