"""What a person sees while the traffic runs."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from svcready._core.styled import WIDTH

if TYPE_CHECKING:
    from collections import Counter

    from svcready._core.styled import Line
    from svcready.demo._findings import Phase
    from svcready.demo._paint import Painter

__all__ = ["Progress"]

_TICKS = 8  # the rate is of the last so many updates
_LABEL = 12
_LEVELS = {"closed": "good", "half_open": "wait", "open": "bad"}


class Progress:
    """
    Shows how the run goes; where the terminal can't be redrawn, its steps only.

    Args:
        painter: Shows it.
        seconds: How long the run lasts.
    """

    def __init__(self, painter: Painter, seconds: float) -> None:
        self._painter = painter
        self._seconds = seconds
        self._told = 0
        self._history: deque[tuple[float, int]] = deque(maxlen=_TICKS)

    def show(
        self,
        elapsed_s: float,
        phases: list[Phase],
        statuses: Counter[int],
        breaker: str,
        *,
        ready: bool,
    ) -> None:
        """
        Show the state of things.

        Args:
            elapsed_s: Seconds since the run began.
            phases: What was done so far.
            statuses: How many answers there were of each status.
            breaker: The circuit breaker's state.
            ready: Whether the service is in rotation.
        """
        if len(phases) > self._told:
            self._painter.settle()

        for phase in phases[self._told :]:
            at = f"{phase['at_s']:6.1f} s  "
            self._painter.show([((at, "faint"), (phase["what"], ""))])

        self._told = len(phases)
        answered = statuses.total()
        self._history.append((elapsed_s, answered))
        since_s, before = self._history[0]
        rate = (answered - before) / max(elapsed_s - since_s, 1e-9)
        done = min(1.0, elapsed_s / self._seconds)
        width = WIDTH - _LABEL - 16
        filled = round(done * width)
        self._painter.update(
            [
                (),
                _row(
                    "run",
                    ("=" * filled, "bar"),
                    ("." * (width - filled), "faint"),
                    (f" {elapsed_s:4.0f} of {self._seconds:.0f} s", ""),
                ),
                _row("requests", (f"{answered:,}", "strong"), (f"  {rate:.0f}/s", "")),
                _row("answers", *_answers(statuses)),
                _row("breaker", (breaker.replace("_", "-"), _LEVELS.get(breaker, ""))),
                _row(
                    "readiness",
                    ("ready", "good") if ready else ("out of rotation", "bad"),
                ),
            ]
        )

    def wait(self, what: str) -> None:
        """Say what is waited for, where the terminal can be redrawn."""
        self._painter.update([((f"  {what}", "faint"),)])


def _answers(statuses: Counter[int]) -> list[tuple[str, str]]:
    classes = {2: "good", 4: "", 5: "bad", 0: "bad"}
    pieces: list[tuple[str, str]] = []
    for first, style in classes.items():
        count = sum(n for status, n in statuses.items() if status // 100 == first)
        if count:
            word = f"{first}xx" if first else "none"
            pieces += [(f"{word} ", "faint"), (f"{count:,}   ", style)]

    return pieces


def _row(label: str, *pieces: tuple[str, str]) -> Line:
    return ((f"  {label:<{_LABEL - 2}}", "faint"), *pieces)
