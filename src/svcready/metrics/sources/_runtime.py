"""The source of how the interpreter runs: pauses, late loops, context switches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.clock import SystemClock
from svcready._core.loop_lag import LoopLag
from svcready.metrics._model import Number
from svcready.metrics.sources._gc import CollectionPauses
from svcready.metrics.sources._reading import Reading, available, family

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Iterator

    from svcready._core.clock import Clock
    from svcready.metrics._instruments._histograms import Histogram
    from svcready.metrics._instruments._register import Declarer
    from svcready.metrics._model import Family

__all__ = ["RuntimeSource", "declare_lag"]

# A selector counts milliseconds and rounds up, so an idle loop is up to one late.
_LAG_BOUNDS_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class RuntimeSource:
    """
    Reads pauses of garbage collection, lag of event loops and context switches.

    Args:
        clock: Times the pauses. Loops keep time of their own: on another clock than
            the system's they are not watched.
        declare: Declares the histogram of the lag, once there is a loop.
    """

    def __init__(self, clock: Clock, declare: Declarer) -> None:
        self._declare = declare
        self._pauses = CollectionPauses(clock.monotonic)
        self._switches = Reading(clock, _context_switches)
        self._real = isinstance(clock, SystemClock)
        self._lag: LoopLag | None = None

    def start(self) -> None:
        """Time collections from now on."""
        self._pauses.start()

    def close(self) -> None:
        """Time and watch no more; what was counted stays."""
        self._pauses.close()
        lag, self._lag = self._lag, None
        if lag is not None:
            lag.close()

    def watch(self, loop: AbstractEventLoop) -> None:
        """Observe how late *loop* calls back."""
        if not self._real:
            return

        if self._lag is None:
            self._lag = LoopLag(declare_lag(self._declare).observe)

        self._lag.watch(loop)

    def __call__(self) -> Iterator[Family]:
        """Return the families; the lag's is among those that are declared."""
        yield self._pauses()
        yield from self._switches()


def declare_lag(declare: Declarer) -> Histogram:
    """Declare the histogram of the event loops' lag."""
    return declare.histogram(
        "svcready_event_loop_lag",
        "How late a callback of the event loop came that was due.",
        unit="s",
        buckets=_LAG_BOUNDS_S,
    )


def _context_switches() -> list[Family]:
    counted = available("metrics.process", _count_switches)
    if counted is None:
        return []

    return [
        family(
            "process.context_switches",
            "process_context_switches",
            "counter",
            "Context switches of all threads, by whether the thread gave way itself.",
            [Number((kind,), count) for kind, count in counted.items()],
            unit="{context_switch}",
            attributes=("process.context_switch.type",),
            workers="pid",
        )
    ]


def _count_switches() -> dict[str, int]:
    # Not psutil: what it reads on Linux is the first thread's.
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"voluntary": used.ru_nvcsw, "involuntary": used.ru_nivcsw}
