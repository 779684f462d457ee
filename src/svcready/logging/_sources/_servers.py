"""Servers' and frameworks' loggers, brought under the one root handler."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.guard import report_fault
from svcready.logging._records import SAID
from svcready.logging._sources._server_filters import FILTERS, Uncolored

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ServerLoggers", "is_server"]

_SERVERS = ("uvicorn", "gunicorn", "hypercorn", "werkzeug", "django", "celery")
_ACCESS = ("uvicorn.access", "gunicorn.access", "hypercorn.access")
_WATCHED = ("uvicorn", "uvicorn.error", "gunicorn.error", "hypercorn.error")
_FRAMEWORKS = ("flask", "starlette", "fastapi", "asyncio")
_KNOWN_MODULES = tuple(f"{name}." for name in (*_SERVERS, "flask"))
_KNOWN_AND_QUIET = {("django.utils.log", "AdminEmailHandler")}
_OUR_FORMATTER = "svcready.logging._formatter"
_FAMILIES = frozenset({*_SERVERS, *_FRAMEWORKS})


def is_server(record: logging.LogRecord) -> bool:
    """Tell whether *record* is a server's or framework's, not the application's."""
    if record.name.partition(".")[0] in _FAMILIES:
        return True

    # Flask's own line, which it writes on the application's logger.
    return record.funcName == "log_exception" and "Exception on " in str(record.msg)


class _Before(NamedTuple):
    propagate: bool
    disabled: bool
    taken: list[logging.Handler]


class ServerLoggers:
    """
    Takes servers' own handlers away, so that each line comes out once, as ours.

    Only handlers that print to the process's standard streams are taken: those on
    loggers that servers and frameworks made, those known to be theirs (Flask's and
    Celery's default handlers), and, with a word to the operator, the plain
    `StreamHandler` of `basicConfig` and of most projects' `LOGGING`, which would say
    everything twice. All others stay and are told about.

    What such a `StreamHandler` alone printed, because its logger's records do not reach
    the root, is still printed: through a stand-in with its level and filters, or, if it
    has none of them and nobody else would listen, by letting the records propagate.

    Args:
        ours: The root handler.
    """

    def __init__(self, ours: logging.Handler) -> None:
        self._ours = ours
        self._before: dict[str, _Before] = {}
        self._filtered: list[tuple[logging.Logger, logging.Filter]] = []
        self._told: set[str] = set()
        self.mute_access = False
        """Our own access lines replace the servers'."""

    def unify(self) -> list[str]:
        """
        Bring all loggers that exist now in order; cheap if they are.

        Returns:
            What is worth telling the operator and was not told before.
        """
        self._watch()
        told: list[str] = []
        for logger in _loggers():
            self.adopt(logger)
            told += self._take_second_consoles(logger)
            told += [
                f"{type(handler).__name__} on logger {logger.name!r} is not ours and "
                "stays: it gets the same lines"
                for handler in logger.handlers
                if self._is_foreign(handler)
            ]

        if self.mute_access:
            self._mute()

        new = [note for note in told if note not in self._told]
        self._told.update(new)
        return new

    def adopt(self, logger: logging.Logger) -> None:
        """Bring one server's logger in order."""
        for handler in tuple(logger.handlers):
            if self._is_servers(handler, logger.name.partition(".")[0]):
                self._remember(logger).taken.append(handler)
                logger.removeHandler(handler)

        self._adopt(logger)

    def restore(self) -> None:
        """Put everything back as it was."""
        for name, before in self._before.items():
            logger = logging.getLogger(None if name == "root" else name)
            logger.propagate = before.propagate
            logger.disabled = before.disabled
            stay = [it for it in logger.handlers if not isinstance(it, _StandIn)]
            taken = [handler for handler in before.taken if handler not in stay]
            logger.handlers[:] = taken + stay

        for logger, kept in self._filtered:
            logger.removeFilter(kept)

        self._before.clear()
        self._filtered.clear()
        self._told.clear()

    def _watch(self) -> None:
        # Some servers make handlers by hand, and at any time.
        for name in (*_WATCHED, *_ACCESS):
            if name.partition(".")[0] in sys.modules:
                logger = logging.getLogger(name)
                if not any(isinstance(known, _Guard) for known in logger.filters):
                    self._add_filter(logger, _Guard(self, logger))

        if "werkzeug" in sys.modules:
            logger = logging.getLogger("werkzeug")
            if not any(isinstance(known, Uncolored) for known in logger.filters):
                self._add_filter(logger, Uncolored())

    def _add_filter(self, logger: logging.Logger, made: logging.Filter) -> None:
        logger.addFilter(made)
        self._filtered.append((logger, made))

    def _adopt(self, logger: logging.Logger) -> None:
        if logger.name.partition(".")[0] not in _SERVERS:
            return

        muted = self.mute_access and logger.name in _ACCESS
        before = self._before.get(logger.name)
        # Somebody's wish, if there never was a handler that we took.
        silenced = not (before and before.taken) and any(
            isinstance(handler, logging.NullHandler) for handler in logger.handlers
        )
        if not (muted or silenced) and (logger.disabled or not logger.propagate):
            self._remember(logger)
            logger.disabled = False
            logger.propagate = True

    def _mute(self) -> None:
        for name in _ACCESS:
            logger = logging.Logger.manager.loggerDict.get(name)
            if isinstance(logger, logging.Logger) and (
                logger.propagate or not logger.disabled
            ):
                self._remember(logger)
                # uvicorn asks `hasHandlers` and then doesn't even make the line. A
                # file that the operator named goes on.
                logger.propagate = False
                logger.disabled = not logger.handlers

        for name, kind in FILTERS.items():
            known = logging.Logger.manager.loggerDict  # some make their logger late
            if name in known or name.partition(".")[0] in sys.modules:
                logger = logging.getLogger(name)
                if not any(isinstance(there, kind) for there in logger.filters):
                    self._add_filter(logger, kind())

    def _take_second_consoles(self, logger: logging.Logger) -> Iterator[str]:
        """Take the application's own printing handlers, which would say all twice."""
        for handler in tuple(logger.handlers):
            if type(handler) is logging.StreamHandler and _prints(handler):
                self._remember(logger).taken.append(handler)
                logger.removeHandler(handler)
                if not _reaches_root(logger):
                    self._stand_in(logger, handler)

                if type(handler.formatter).__module__ == _OUR_FORMATTER:
                    continue  # what it printed before us was ours already

                yield (
                    f"StreamHandler on logger {logger.name!r} prints what is printed "
                    "here, so it is set aside"
                )

    def _stand_in(self, logger: logging.Logger, handler: logging.Handler) -> None:
        """Print what *handler* alone printed, and nothing that it did not."""
        if not (handler.level or handler.filters or logger.handlers):
            logger.propagate = True  # leaves `get_logger` its short way to our handler
            if self._alone_above(logger):
                return

            logger.propagate = False

        logger.addHandler(_StandIn(handler, self._ours))

    def _alone_above(self, logger: logging.Logger) -> bool:
        handlers = [handler for node in _chain(logger) for handler in node.handlers]
        return _reaches_root(logger) and handlers == [self._ours]

    def _remember(self, logger: logging.Logger) -> _Before:
        now = _Before(logger.propagate, logger.disabled, [])
        return self._before.setdefault(logger.name, now)

    def _is_servers(self, handler: logging.Handler, family: str) -> bool:
        if handler is self._ours or not _prints(handler):
            return False

        if family in _SERVERS or getattr(handler, "_gunicorn", False):
            return True

        kinds = (type(handler), type(handler.formatter))
        return any(
            f"{kind.__module__}.".startswith(_KNOWN_MODULES) for kind in kinds
        ) or (handler is _flask_default())

    def _is_foreign(self, handler: logging.Handler) -> bool:
        kind = type(handler)
        return not (
            handler is self._ours
            or isinstance(handler, _StandIn)
            or any(base.__name__ == "NullHandler" for base in kind.__mro__)  # botocore
            or (kind.__module__, kind.__name__) in _KNOWN_AND_QUIET
        )


class _Guard(logging.Filter):
    """Brings a server's logger in order again before its record finds handlers."""

    def __init__(self, servers: ServerLoggers, logger: logging.Logger) -> None:
        super().__init__()
        self._servers = servers
        self._logger = logger

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        if self._logger.handlers or not self._logger.propagate:
            self._servers.adopt(self._logger)

        return True


class _StandIn(logging.Handler):
    """
    Hands to our handler what a handler in whose place it stands would have printed.

    Args:
        theirs: Whose level and filters count, as they are when a record comes.
        ours: The root handler.
    """

    def __init__(self, theirs: logging.Handler, ours: logging.Handler) -> None:
        super().__init__()
        self._theirs = theirs
        self._ours = ours

    def createLock(self) -> None:  # noqa: N802 - stdlib's name
        """Have no lock: our handler needs none."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Pass *record* on, once, however many stand-ins it meets."""
        theirs, ours = self._theirs, self._ours
        if record.levelno < max(theirs.level, ours.level) or hasattr(record, SAID):
            return False

        try:
            passed: object = theirs.filter(record)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault("logging", error)
            passed = True

        if not passed:
            return False

        setattr(record, SAID, True)
        shown = passed if isinstance(passed, logging.LogRecord) else record
        return bool(ours.handle(shown))


def _loggers() -> Iterator[logging.Logger]:
    yield logging.getLogger()
    for logger in tuple(logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield logger


def _chain(logger: logging.Logger) -> Iterator[logging.Logger]:
    """Yield the loggers whose handlers get the records of *logger*."""
    node: logging.Logger | None = logger
    while node is not None:
        yield node
        node = node.parent if node.propagate else None


def _reaches_root(logger: logging.Logger) -> bool:
    return any(node.parent is None for node in _chain(logger))


def _prints(handler: logging.Handler) -> bool:
    if not isinstance(handler, logging.StreamHandler) or isinstance(
        handler, logging.FileHandler
    ):
        return False

    stream: object = handler.stream
    if stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        return True

    try:
        return stream.fileno() in {1, 2}  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - a stream without descriptor prints nowhere
        return handler is _flask_default()


def _flask_default() -> object:
    flask_logging = sys.modules.get("flask.logging")
    return getattr(flask_logging, "default_handler", None)
