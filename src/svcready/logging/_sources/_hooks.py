"""What the process says past `logging`: warnings and uncaught exceptions."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from typing import TYPE_CHECKING, TextIO

from svcready._core.guard import report_fault
from svcready.logging._claims import claim
from svcready.logging._lines._text import safe_repr
from svcready.logging._records import write_error
from svcready.logging._sources._asyncio_records import AsyncioDetails

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["ConfigHooks", "ProcessHooks"]

_EXITS = (KeyboardInterrupt, SystemExit)


class ProcessHooks:
    """
    Brings warnings and uncaught exceptions into the log, once.

    A hook that somebody else set before is called as well; Python's own is not,
    because it would print the same a second time. Interrupts and exits are left to
    Python, in threads as well, and so is an exception that we failed to write.
    """

    def __init__(self) -> None:
        self._installed = False
        self._asyncio = AsyncioDetails()

    def install(self) -> None:
        """Put the hooks in place."""
        if self._installed:
            return

        self._installed = True
        self._show_before = warnings.showwarning
        self._except_before = sys.excepthook
        self._thread_before = threading.excepthook
        self._unraisable_before = sys.unraisablehook
        # Bound once: each access of a method makes another object.
        self._show = self._on_warning
        self._except = self._on_exception
        self._thread = self._on_thread_exception
        self._unraisable = self._on_unraisable
        # Whoever asks stdlib to capture warnings after us, as Celery does, would put
        # its hook, which logs a text of many lines, in the place of ours.
        logging.captureWarnings(True)
        self._captured = warnings.showwarning is not self._show_before
        warnings.showwarning = self._show
        sys.excepthook = self._except
        threading.excepthook = self._thread
        sys.unraisablehook = self._unraisable
        logging.getLogger("asyncio").addFilter(self._asyncio)

    def remove(self) -> None:
        """Put back what was there, unless somebody came after us."""
        if not self._installed:
            return

        self._installed = False
        logging.getLogger("asyncio").removeFilter(self._asyncio)
        if warnings.showwarning is self._show:
            if self._captured:
                logging.captureWarnings(False)

            warnings.showwarning = self._show_before

        if sys.excepthook is self._except:
            sys.excepthook = self._except_before

        if threading.excepthook is self._thread:
            threading.excepthook = self._thread_before

        if sys.unraisablehook is self._unraisable:
            sys.unraisablehook = self._unraisable_before

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

        if not _is_pythons(self._show_before):
            self._show_before(message, category, filename, lineno, file, line)

    def _on_exception(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        if (
            self._installed
            and not isinstance(error, _EXITS)
            and _say(logging.CRITICAL, "uncaught exception", error)
            and self._except_before is sys.__excepthook__
        ):
            return

        self._except_before(kind, error, trace)

    def _on_thread_exception(self, args: threading.ExceptHookArgs, /) -> None:
        error = args.exc_value
        if self._installed and error is not None and not isinstance(error, _EXITS):
            name = args.thread.name if args.thread else "unknown"
            said = _say(logging.ERROR, f"uncaught exception in thread {name}", error)
            if said and self._thread_before is threading.__excepthook__:
                return

        self._thread_before(args)

    def _on_unraisable(self, args: sys.UnraisableHookArgs, /) -> None:
        error = args.exc_value
        if self._installed and error is not None and not isinstance(error, _EXITS):
            where: dict[str, object] = {}
            if args.object is not None:
                where["object"] = _name_of(args.object)

            message = args.err_msg or "exception ignored"
            said = _say(logging.ERROR, message, error, where)
            if said and self._unraisable_before is sys.__unraisablehook__:
                return

        self._unraisable_before(args)


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


def _is_pythons(hook: object) -> bool:
    """Tell whether *hook* is one that Python itself shows warnings by."""
    module = getattr(hook, "__module__", "")
    return module in {"warnings", "_py_warnings", "logging"}


def _name_of(thing: object) -> str:
    """Return what a function is called, which its repr has no address in."""
    name = getattr(thing, "__qualname__", None)
    if not isinstance(name, str):
        return safe_repr(thing)

    return f"{getattr(thing, '__module__', '')}.{name}"


def _say(
    level: int,
    message: str,
    error: BaseException,
    fields: dict[str, object] | None = None,
) -> bool:
    """Write the line about *error* unless there is one; False if that failed."""
    try:
        if claim(error):
            write_error(level, message, error, fields or {})
    except Exception as fault:  # noqa: BLE001 - telemetry never raises
        report_fault("logging", fault)
        return False

    return True
