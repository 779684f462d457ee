"""The guard: a fault of ours is counted and reported, never raised into the app."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.places import calling_place
from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from types import TracebackType

    from svcready._core.clock import Clock

__all__ = [
    "FaultLog",
    "FaultReporter",
    "Foreign",
    "fault_counts",
    "guard",
    "report_fault",
    "report_foreign",
    "set_reporter",
]

_REPEAT_AFTER_S = 60.0
_MAX_SITES = 256


class Foreign(Exception):
    """
    Stands for an error of somebody else's code, an application's key function.

    It tells the error's class and where it was raised, by whom that we had called.
    The error's own text may hold arguments and secrets, and stays untold, as does all
    that it came from.

    Args:
        error: What was raised.
    """

    def __init__(self, error: Exception) -> None:
        first = trace = error.__traceback__
        if trace is not None and trace.tb_next is not None:
            first = trace = trace.tb_next  # the frame before is the one that called

        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next

        text = type(error).__name__
        if trace is not None:
            text += f" in {_place_of(trace)}"

        if first is not None and first is not trace:
            text += f", called by {_place_of(first)}"

        super().__init__(text)
        self.site = _site(error)
        """Where it was raised: the file, and the line."""


class FaultReporter(Protocol):
    """What is told about a fault of ours; the tests' one raises it again."""

    def __call__(self, component: str, error: Exception, /) -> None:
        """Take the fault of *component*."""
        ...


class FaultLog:
    """
    Logs a fault once per site per minute, on the logger `svcready`.

    Args:
        clock: Tells when a minute has passed.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._next_at: dict[tuple[str, str, int], float] = {}
        self._busy = threading.local()

    def __call__(self, component: str, error: Exception, /) -> None:
        """Log *error*, unless its site spoke within the last minute; never raises."""
        if getattr(self._busy, "on", False):
            return

        self._busy.on = True  # a fault of the logging path itself must not come back
        try:
            self._log(component, error)
        except Exception:  # noqa: BLE001 - a handler's, filter's or record factory's
            return  # it is counted
        finally:
            self._busy.on = False

    def _log(self, component: str, error: Exception) -> None:
        now = self._clock.monotonic()
        # What was used wrongly was made nowhere in particular: the line that did it.
        wrongly, foreign = isinstance(error, DeclarationError), None
        if isinstance(error, Foreign):
            foreign = error.site

        site = (component, *(calling_place() if wrongly else foreign or _site(error)))
        if now < self._next_at.get(site, 0.0):
            return

        if len(self._next_at) >= _MAX_SITES:
            self._next_at.clear()

        self._next_at[site] = now + _REPEAT_AFTER_S
        import logging

        log = logging.getLogger("svcready")
        if wrongly:  # the caller's, and it says where
            log.error("%s used wrongly: %s", component, error)
        elif foreign is not None:
            log.error("%s: the application's own code failed: %s", component, error)
        else:
            name = type(error).__name__
            log.error("internal error in %s: %s", component, name, exc_info=error)


_counts: Counter[str] = Counter()
# Re-entrant: a finalizer or signal handler may report while its own thread does.
_lock = threading.RLock()
_reporter: FaultReporter = FaultLog()


def _reset() -> None:
    global _lock  # noqa: PLW0603 - a thread that the child lacks may hold the old one
    _lock = threading.RLock()
    _counts.clear()  # the parent counts its faults itself


fork.reset_in_child(_reset)


def set_reporter(reporter: FaultReporter) -> FaultReporter:
    """Put *reporter* in force and return the one before it."""
    global _reporter
    before, _reporter = _reporter, reporter
    return before


def report_fault(component: str, error: Exception) -> None:
    """
    Count and report a fault of ours.

    Args:
        component: Where: `logging`, `metrics.prometheus`, `health.runner`, ...
        error: What was raised.
    """
    with _lock:
        _counts[component] += 1

    _reporter(component, error)


def report_foreign(component: str, error: Exception) -> None:
    """
    Count and report an error of code that is not ours, without what it says.

    Args:
        component: What we had called it for.
        error: What it raised.
    """
    report_fault(component, Foreign(error))


def fault_counts() -> dict[str, int]:
    """Return how many faults each component has had since the process started."""
    with _lock:
        return dict(_counts)


class guard:  # noqa: N801 - reads as a verb in `with guard(...)`
    """
    Swallow and report every `Exception` of a block; nothing else is caught.

    Stateless, so one object serves all threads; make it once, outside hot paths.

    Args:
        component: The name under which faults are counted.
        foreign: The block runs code that is not ours.
    """

    __slots__ = ("_component", "_report")

    def __init__(self, component: str, *, foreign: bool = False) -> None:
        self._component = component
        self._report = report_foreign if foreign else report_fault

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, Exception):
            self._report(self._component, error)
            return True

        return False


def _site(error: Exception) -> tuple[str, int]:
    trace = error.__traceback__
    if trace is None:
        return (type(error).__name__, 0)

    while trace.tb_next is not None:
        trace = trace.tb_next

    return (trace.tb_frame.f_code.co_filename, trace.tb_lineno)


def _place_of(trace: TracebackType) -> str:
    code = trace.tb_frame.f_code
    return f"{code.co_qualname} ({code.co_filename}:{trace.tb_lineno})"
