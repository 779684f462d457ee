"""The flood gate: lines that repeat too often within a second are summarised."""

from __future__ import annotations

import sys
import threading
from contextvars import Context
from typing import TYPE_CHECKING

from svcready._core import events, fork
from svcready._core.guard import guard

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from svcready.logging._handler import LineHandler
    from svcready.logging._lines._line import Site
    from svcready.logging._stages import Gate

__all__ = ["FloodGate"]

_PATIENCE_S = 0.05
_SECOND_NS = 1_000_000_000
_ERROR = 40
_LOOKS_PER_S = 4
_EXACT_BELOW = 100
_MOST_PLACES = 4096
_MOST_TEMPLATES = 1024
_LONGEST_SAID = 512
_saying = guard("logging.flood")


class _Held:
    """What is held back of one template since its last summary."""

    __slots__ = ("count", "level", "logger", "said", "site")

    def __init__(self, said: str, site: Site, logger: str, level: int) -> None:
        self.said = said
        self.site = site
        self.logger = logger
        self.level = level
        self.count = 0


class _Place:
    """One place in the code that logs, and what it has left of its current second."""

    __slots__ = (
        "begun_ns",
        "code",
        "counts",
        "gone",
        "held",
        "left",
        "message",
        "mixed",
        "severe",
    )

    def __init__(self, code: CodeType | None) -> None:
        self.code = code  # kept, so that its id means nothing else meanwhile
        self.left = 0
        self.held: dict[tuple[str, int, object], _Held] = {}
        self.gone = False

    def begin(self, left: int, level: int, message: object, time_ns: int) -> None:
        """Begin another second with its first line."""
        self.begun_ns = time_ns
        self.left = left - 1
        self.message = message
        self.mixed = False
        self.severe = level >= _ERROR
        self.counts: dict[tuple[bool, object], int] | None = None

    def lasts(self, time_ns: int) -> bool:
        """Tell whether the second is not over."""
        return _is_same_second(self.begun_ns, time_ns)


class FloodGate:
    """
    Holds back what one place says more than so many times a second.

    What counts is the message before its arguments are put in, so a function through
    which a whole program logs is not silenced by one of its callers. It costs in steps:
    while the process as a whole says less than the limit, its lines are counted and
    that is all; beyond, those of each place; and of a place that has reached the
    limit, those of each message. Each step begins with a count of nothing, so up to
    twice the limit can get through at first.

    When the second is over, one line says how many were held back, at the same place
    and level. Every line is either written or counted there.

    Args:
        handler: Whose lines they are, and what writes the summary.
        per_s: Most lines a second of one message from one place; 0 has no limit.
        errors_per_s: The same for ERROR and above.
    """

    def __init__(self, handler: LineHandler, *, per_s: int, errors_per_s: int) -> None:
        self._handler = handler
        self._limits = (per_s or sys.maxsize, errors_per_s or sys.maxsize)
        self._least = min(self._limits)
        # Of a small limit there is nothing to save: places are counted at once.
        self._quota = self._least // _LOOKS_PER_S if self._least >= _EXACT_BELOW else 0
        self._since_ns = 0
        self._armed = not self._quota
        self._calls = 0
        self._places: dict[object, _Place] = {}
        # Re-entrant: a signal handler or finaliser may log while its holder does.
        self._lock = threading.RLock()
        self.passes: Gate = self._make_gate()
        """Tells whether a line is written; a handler's `gate`."""
        fork.reset_in_child(self._after_fork)

    def install(self) -> None:
        """Have the handler ask, unless nothing is limited."""
        if self._least < sys.maxsize:
            self._handler.gate = self.passes
            self._rest(self._handler.time_ns())

    def sweep(self) -> None:
        """Summarise what was held back in seconds that are over."""
        now_ns = self._handler.time_ns()
        for place in tuple(self._places.values()):
            if place.held and not place.lasts(now_ns):
                self._release(place)

    def flush(self) -> None:
        """Summarise everything that is held back now."""
        for place in tuple(self._places.values()):
            if place.held:
                self._release(place)

    def _make_gate(self) -> Gate:
        places = self._places  # emptied, never replaced
        enter, hold = self._enter, self._hold

        def passes(
            site: Site | FrameType,
            logger: str,
            level: int,
            message: object,
            time_ns: int,
        ) -> bool:
            if not self._armed:
                return self._look(time_ns)

            self._calls += 1
            same = _is_same_second(self._since_ns, time_ns)
            if not same and not self._look_again(time_ns):
                return True

            key: object
            if type(site) is tuple:  # noqa: SIM108 - the comment below
                key = site
            else:  # the address of the instruction, which lies inside its code object
                key = id(site.f_code) + site.f_lasti  # type: ignore[union-attr]

            try:
                place = places[key]
            except KeyError:
                return enter(key, site, level, message, time_ns)

            # Threads may lose a step of this count, never one of what is held back.
            place.left = left = place.left - 1
            if message is not place.message:
                place.mixed = True

            if left >= 0:
                return True

            return hold(place, site, logger, level, message, time_ns)

        return passes

    def _look(self, time_ns: int) -> bool:
        """Let the last line of a quota pass, and look how long the quota took."""
        quick_ns = self._quota * _SECOND_NS // self._least
        if -_SECOND_NS < time_ns - self._since_ns < quick_ns:
            self._calls = 0
            self._since_ns = time_ns
            self._armed = True
        else:
            self._rest(time_ns)

        return True

    def _look_again(self, time_ns: int) -> bool:
        """Go on counting by place if the second that is over had reason for it."""
        if self._quota and self._calls <= self._least:
            self._rest(time_ns)
            return False

        self._calls = 0
        self._since_ns = time_ns
        return True

    def _rest(self, time_ns: int) -> None:
        """Leave the process alone until it has said another quota of lines."""
        self._armed = not self._quota
        self._since_ns = time_ns
        self._handler.left = self._quota
        self._forget()

    def _enter(
        self,
        key: object,
        site: Site | FrameType,
        level: int,
        message: object,
        time_ns: int,
    ) -> bool:
        """Let the first line of a place pass."""
        if len(self._places) >= _MOST_PLACES:
            self._forget()

        place = _Place(None if isinstance(site, tuple) else site.f_code)
        place.begin(self._least, level, message, time_ns)
        self._places.setdefault(key, place)
        return True

    def _hold(
        self,
        place: _Place,
        site: Site | FrameType,
        logger: str,
        level: int,
        message: object,
        time_ns: int,
    ) -> bool:
        """Tell whether a line passes at a place that has said enough for now."""
        template, said = _template_of(message)
        severe = level >= _ERROR
        # Who interrupted a holder of another lock of ours must not wait for ever for
        # one whose holder waits for that.
        if not self._lock.acquire(timeout=_PATIENCE_S):
            return True

        try:
            if place.gone:
                return True

            if place.lasts(time_ns):
                released: dict[tuple[str, int, object], _Held] = {}
                if self._count(place, severe, template) > self._limits[severe]:
                    key = logger, level, template
                    held = place.held.get(key)
                    if held is None:
                        held = _Held(said, _site_of(site, logger), logger, level)
                        held = place.held.setdefault(key, held)

                    held.count += 1
                    return False
            else:
                released = place.held
                place.held = {}
                place.begin(self._least, level, message, time_ns)
        finally:
            self._lock.release()

        self._say(tuple(released.values()))
        return True

    def _count(self, place: _Place, severe: bool, template: object) -> int:  # noqa: FBT001
        """Count a line of *template*, of those that came after the place's limit."""
        counts = place.counts
        if counts is None:
            counts = place.counts = {}
            if not place.mixed:
                first = place.severe, _template_of(place.message)[0]
                counts[first] = self._least

        count = counts.get((severe, template), 0) + 1
        if count > 1 or len(counts) < _MOST_TEMPLATES:
            counts[severe, template] = count

        return count

    def _release(self, place: _Place) -> None:
        with self._lock:
            held = place.held
            place.held = {}

        self._say(tuple(held.values()))

    def _forget(self) -> None:
        with self._lock:
            places = tuple(self._places.values())
            self._places.clear()
            for place in places:
                place.gone = True

        for place in places:
            self._release(place)

    def _say(self, released: tuple[_Held, ...]) -> None:
        for held in released:
            with _saying:
                # In no request's context: it tells of the lines of many.
                Context().run(self._write, held)
                events.publish(events.ItemsDropped("logging", "flood", held.count))

    def _write(self, held: _Held) -> None:
        handler = self._handler
        line = handler.line(
            held.site,
            held.logger,
            held.level,
            handler.lines.text_of(held.said, ()),
            {},
            None,
            handler.time_ns(),
            {"suppressed": held.count},
        )
        handler.write(line, held.level)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._armed = not self._quota
        self._places.clear()  # the parent tells what it held back


def _is_same_second(begun_ns: int, time_ns: int) -> bool:
    """Tell whether a second is not over, for threads with a time from before it too."""
    return -_SECOND_NS < time_ns - begun_ns < _SECOND_NS


def _template_of(message: object) -> tuple[object, str]:
    """Return what makes two messages the same, and how a summary says it."""
    if type(message) is dict:  # as some libraries log; its text names it
        for key in ("message", "event", "msg"):
            text = message.get(key)
            if type(text) is str:
                return text, text[:_LONGEST_SAID]

    if type(message) is str:
        return message, message[:_LONGEST_SAID]

    return type(message), type(message).__name__


def _site_of(site: Site | FrameType, logger: str) -> Site:
    if isinstance(site, tuple):
        return site

    return logger, site.f_code.co_qualname, site.f_lineno
