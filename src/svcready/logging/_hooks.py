"""What the process says past `logging`: warnings and uncaught exceptions."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from typing import TYPE_CHECKING, TextIO

from svcready._core.guard import report_fault
from svcready.logging._errors import claim
from svcready.logging._records import write_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["ConfigHooks", "ProcessHooks"]


class ProcessHooks:
    """
    Brings warnings and uncaught exceptions into the log, once.

    A hook that somebody else set before is called as well; Python's own is not,
    because it would print the same a second time.
    """

    def __init__(self) -> None:
        self._installed = False

    def install(self) -> None:
        """Put the hooks in place."""
        if self._installed:
            return

        self._installed = True
        self._show_before = warnings.showwarning
        self._except_before = sys.excepthook
        self._thread_before = threading.excepthook
        # Bound once: each access of a method makes another object.
        self._show = self._on_warning
        self._except = self._on_exception
        self._thread = self._on_thread_exception
        warnings.showwarning = self._show
        sys.excepthook = self._except
        threading.excepthook = self._thread

    def remove(self) -> None:
        """Put back what was there, unless somebody came after us."""
        if not self._installed:
            return

        self._installed = False
        if warnings.showwarning is self._show:
            warnings.showwarning = self._show_before

        if sys.excepthook is self._except:
            sys.excepthook = self._except_before

        if threading.excepthook is self._thread:
            threading.excepthook = self._thread_before

    def _on_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is not None or not self._installed:
            self._show_before(message, category, filename, lineno, file, line)
            return

        try:
            logger = logging.getLogger("py.warnings")
            if logger.isEnabledFor(logging.WARNING):
                record = logger.makeRecord(
                    logger.name,
                    logging.WARNING,
                    filename,
                    lineno,
                    str(message),
                    (),
                    None,
                )
                record.__dict__["category"] = category.__name__
                record.__dict__["file"] = filename
                logger.handle(record)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault("logging", error)

    def _on_exception(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        if self._installed and issubclass(kind, Exception):
            _say(logging.CRITICAL, "uncaught exception", error)
            if self._except_before is sys.__excepthook__:
                return

        self._except_before(kind, error, trace)

    def _on_thread_exception(self, args: threading.ExceptHookArgs, /) -> None:
        error = args.exc_value
        if self._installed and isinstance(error, Exception):
            name = args.thread.name if args.thread else "unknown"
            _say(logging.ERROR, f"uncaught exception in thread {name}", error)
            if self._thread_before is threading.__excepthook__:
                return

        self._thread_before(args)


class ConfigHooks:
    """
    Has something done after each configuration of `logging` by somebody else.

    `dictConfig` makes its configurator by a name that stdlib lets one replace, so
    that also those see ours who imported the function before. `fileConfig` has no
    such name and is wrapped.

    Args:
        after: What to do.
    """

    def __init__(self, after: Callable[[], None]) -> None:
        self._after = after
        self._installed = False

    def install(self) -> None:
        """Put the hooks in place."""
        if self._installed:
            return

        from logging import config  # not on the path of a declaration

        self._installed = True
        self._class_before = config.dictConfigClass
        self._file_before = file_before = config.fileConfig
        hooks = self

        class Configurator(self._class_before):  # type: ignore[misc, name-defined]
            """Configures as before, then lets our handler back in."""

            def configure(self) -> None:
                were = _disabled()
                try:
                    super().configure()
                finally:
                    hooks.done(were)

        def file_config(*args: object, **kwargs: object) -> None:
            were = _disabled()
            try:
                file_before(*args, **kwargs)  # type: ignore[arg-type]
            finally:
                hooks.done(were)

        self._class = Configurator
        self._file = file_config
        config.dictConfigClass = Configurator
        config.fileConfig = file_config

    def remove(self) -> None:
        """Put back what was there, unless somebody came after us."""
        if not self._installed:
            return

        from logging import config

        self._installed = False
        if config.dictConfigClass is self._class:
            config.dictConfigClass = self._class_before

        if config.fileConfig is self._file:
            config.fileConfig = self._file_before

    def done(self, were_disabled: frozenset[str]) -> None:
        """
        Undo what a configuration does to those it doesn't know.

        It disables every logger made before it unless told not to, which silences
        servers and modules that were merely imported first.
        """
        if not self._installed:
            return

        try:
            for name in _disabled() - were_disabled:
                logging.getLogger(name).disabled = False

            self._after()
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault("logging", error)


def _disabled() -> frozenset[str]:
    return frozenset(
        logger.name
        for logger in tuple(logging.Logger.manager.loggerDict.values())
        if isinstance(logger, logging.Logger) and logger.disabled
    )


def _say(level: int, message: str, error: BaseException) -> None:
    try:
        if claim(error):
            write_error(level, message, error, {})
    except Exception as fault:  # noqa: BLE001 - telemetry never raises
        report_fault("logging", fault)
