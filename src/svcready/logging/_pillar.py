"""The logging pillar of one runtime: builds the parts, starts and stops them."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.guard import guard, report_fault
from svcready.logging import _logger
from svcready.logging._access import AccessLog
from svcready.logging._claims import claim
from svcready.logging._destinations import Destinations, are_further
from svcready.logging._flood import FloodGate
from svcready.logging._handler import LineHandler
from svcready.logging._levels import level_number
from svcready.logging._lines._forms import form_of, make_lines
from svcready.logging._lines._text import kind_name
from svcready.logging._lost import write_recovered
from svcready.logging._records import write_error, write_event
from svcready.logging._sources import _celery
from svcready.logging._sources._hooks import ConfigHooks, ProcessHooks
from svcready.logging._sources._servers import ServerLoggers, is_server
from svcready.logging._thresholds import Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready.config._sections.log import LogSettings
    from svcready.logging._lines._line import Identity
    from svcready.logging._lines._values import Redaction
    from svcready.logging._stages import Sink
    from svcready.logging._suppressed import SuppressedCalls

__all__ = ["LogPillar"]

_telling = guard("logging")


class LogPillar:
    """
    Writes everything that the process says, once, as lines of one schema.

    Args:
        settings: The section LOG.
        identity: Who the service is; read again after a fork and by `identify`.
        development: The environment is one of development's.
        clock: Wall time for the lines.
        redactor: Hides secrets.
        span_ids: Returns the current span's trace and span id in hex; None means
            those of the request's context.
        stdout_is_terminal: Standard output is read by a person.
        write: Takes each line and its level instead of the destinations.
        quiet: Makes a context in which the delivery's own calls are not traced.
    """

    def __init__(
        self,
        settings: LogSettings,
        *,
        identity: Identity,
        development: bool,
        clock: Clock,
        redactor: Redaction,
        span_ids: Callable[[], tuple[str, str] | None],
        stdout_is_terminal: bool,
        write: Sink | None = None,
        quiet: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._settings, self._identity = settings, identity
        self._notes: list[str] = []
        further = are_further(settings)
        for_people = (development or stdout_is_terminal) and not further
        self._format = form_of(settings, for_people=for_people)
        self.destinations: Destinations | None = None
        """Where lines go; None if *write* takes them."""
        if write is None:
            self.destinations = Destinations(
                settings,
                lambda: self._identity,
                clock=clock,
                quiet=quiet,
                on_recovered=lambda it: write_recovered(self.handler, it),
            )
            write = self.destinations.write

        self._lines = make_lines(
            settings,
            self._format,
            identity,
            redactor,
            span_ids=span_ids,
            terminal=stdout_is_terminal and not further,
        )
        self.thresholds = Thresholds(
            settings.level,
            settings.levels,
            debug_allowed=development or settings.allow_debug,
        )
        self.handler = LineHandler(
            self._lines,
            write,
            clock.time_ns,
            is_server=is_server,
            floor=self.thresholds.floor,
        )
        self._flood = _limit_floods(settings, self.handler)
        self._suppressed = _record(settings, self.handler, clock)
        self._servers = ServerLoggers(self.handler)
        self._process = ProcessHooks()
        self._config = ConfigHooks(self.unify)
        self._access = AccessLog(self.handler, clock.monotonic)
        self._started = False
        fork.reset_in_child(self._after_fork)

    def start(self) -> None:
        """Install the handler, take over the servers' loggers and the hooks."""
        if self._started:
            return

        self._started = True
        root = logging.getLogger()
        for handler in tuple(root.handlers):
            if isinstance(handler, LineHandler):  # of a pillar that was not closed
                root.removeHandler(handler)

        self._process.install()
        self._config.install()
        if self._suppressed is not None:
            self._suppressed.install()

        self.unify()
        # The application's own loggers say more, whenever they come.
        auto = self.thresholds.is_auto
        _logger.use(self.handler, self.apply_levels if auto else None)

    def close(self) -> None:
        """Put everything in the process back as it was; what is queued stays queued."""
        if not self._started:
            return

        self._started = False
        if _logger.running() is self.handler:
            _logger.use(None)

        if self._suppressed is not None:
            self._suppressed.remove()

        self._config.remove()
        self._process.remove()
        self._servers.restore()
        logging.getLogger().removeHandler(self.handler)
        self.thresholds.restore()

    def unify(self) -> None:
        """
        Bring the process's loggers in order again; cheap if they are.

        To be called when serving begins: servers may have configured `logging` since.
        """
        if not self._started:
            return

        try:
            root = logging.getLogger()
            if self.handler not in root.handlers:
                root.addHandler(self.handler)

            self.thresholds.apply()
            for name in _logger.names_in_use():
                logging.getLogger(name).disabled = False

            _celery.connect()
            notes = self._servers.unify()
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault("logging", error)
            return

        self._notes += notes
        if notes and _logger.running() is self.handler:  # the start line was written
            for note in notes:
                self.event(note, "INFO", event="svcready.logging.notice")

    def flush(self, timeout_s: float) -> bool:
        """
        Wait until what is queued is written.

        Returns:
            False if something was left after *timeout_s* seconds.
        """
        self._flood.flush()
        return self.destinations is None or self.destinations.flush(timeout_s)

    def drain(self, timeout_s: float) -> bool:
        """Flush for the last time: what is left then is counted as dropped."""
        self._flood.flush()
        return self.destinations is None or self.destinations.close(timeout_s)

    def sweep(self) -> None:
        """Tell of floods that are over; to be called about once a second."""
        self._flood.sweep()

    @property
    def dropped(self) -> dict[str, int]:
        """How many lines this process dropped for which reason."""
        return {} if self.destinations is None else self.destinations.dropped

    @property
    def level(self) -> str:
        """The lowest level that is written, by the schema's name."""
        return self.thresholds.level

    def set_level(self, name: str) -> None:
        """
        Write lines from this level on.

        DEBUG is INFO in production unless the settings allow it.

        Raises:
            ValueError: No level is called so.
        """
        self.thresholds.configure(name, self._settings.levels)
        self.apply_levels()

    def reload(self, settings: LogSettings) -> None:
        """Put the levels in force that the settings have by now."""
        self._settings = settings
        self.set_level(settings.level)

    def apply_levels(self) -> None:
        """Put in force what `thresholds` were told, while the pillar runs."""
        if self._started:
            self.thresholds.apply()

    def identify(self, identity: Identity | None = None) -> None:
        """Put what is known now of the service's identity on further lines."""
        self._identity = identity or self._identity
        self._lines.identify(self._identity)

    def describe(self) -> dict[str, object]:
        """Return what the start line tells of this pillar."""
        places = self.destinations
        return {
            "format": self._format,
            "level": "auto" if self.thresholds.is_auto else self.level,
            "delivery": self._settings.delivery if places else "given",
            "destinations": places.names if places else [],
            "notes": self._notes + (places.notices() if places else []),
        }

    def event(self, message: str, level: str | int, /, **fields: object) -> None:
        """Write one line of the library's own, on the logger `svcready`."""
        with _telling:  # somebody else's filter or handler may fail
            write_event(level_number(level), message, fields)

    def log_exception(
        self, error: BaseException, message: str = "", /, **fields: object
    ) -> bool:
        """
        Write the one line about an exception that nobody handled.

        Servers and frameworks that log the same exception after this are muted, and
        so is a second call.

        Args:
            error: The exception.
            message: What failed; by default the exception's type.
            fields: Put on the line.

        Returns:
            False if the line was written before.
        """
        if not claim(error):
            return False

        if self.handler.flights is not None:
            self.handler.flights.fail()

        said = message or f"unhandled exception: {kind_name(error)}"
        with _telling:
            write_error(logging.ERROR, said, error, fields)

        return True

    def access_log(self) -> AccessLog:
        """Return what writes access lines; from now on servers' own are muted."""
        if not self._servers.mute_access:
            self._servers.mute_access = True
            self.unify()

        return self._access

    def _after_fork(self) -> None:
        self._lines.identify(self._identity)


def _limit_floods(settings: LogSettings, handler: LineHandler) -> FloodGate:
    """Make what holds floods back, in force unless nothing is limited."""
    per_s, errors_per_s = settings.flood_per_s, settings.flood_errors_per_s
    flood = FloodGate(handler, per_s=per_s, errors_per_s=errors_per_s)
    flood.install()
    return flood


def _record(
    settings: LogSettings, handler: LineHandler, clock: Clock
) -> SuppressedCalls | None:
    """Make the flight recorder, which most services don't have."""
    if not settings.flight_recorder:
        return None

    from svcready.logging._recorder import Flights
    from svcready.logging._suppressed import SuppressedCalls

    handler.flights = Flights(
        handler,
        clock.monotonic,
        max_lines=settings.flight_recorder,
        max_bytes=settings.flight_recorder_bytes,
        on=settings.flight_recorder_on,
        slow_s=settings.flight_recorder_slow_s,
    )
    return SuppressedCalls(handler.flights)
