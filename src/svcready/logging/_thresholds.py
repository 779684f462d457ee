"""Thresholds: from which level each logger's lines are written, and who said so."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready.logging import _logger
from svcready.logging._levels import level_name, level_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Temporary", "Threshold", "Thresholds", "is_application"]

_OURS = "svcready"
_ROOT = "root"
_LIBRARIES = ("site-packages", "dist-packages")


class Temporary(NamedTuple):
    """A level that an operator set while the service runs."""

    level: int
    until_ns: int
    """When it falls back, in nanoseconds since the epoch."""


class Threshold(NamedTuple):
    """What is known of one logger's level."""

    logger: str
    level: str | None
    """What was set on this very logger, by the schema's name; None: it inherits."""
    effective: str
    """From which level its lines are written."""
    said_by: str
    """`level` or `levels` (the setting), `admin`, `own` (code), or empty."""
    until_ns: int | None
    """When an operator's level falls back."""


class Thresholds:
    """
    Owns the levels of stdlib's loggers: sets them, and puts them back.

    What is said for a logger counts for those below it too, whatever level code gives
    them; the longest name wins. An operator's temporary level wins over the settings,
    and these over code. Levels that code sets where nothing is said stay.

    Args:
        level: The setting `level`: of all loggers, or `auto`.
        levels: The setting `levels`: those of single loggers.
        debug_allowed: DEBUG may be written; else it is INFO, whoever asks for it.
    """

    def __init__(
        self,
        level: str,
        levels: Iterable[tuple[str, str]] = (),
        *,
        debug_allowed: bool,
    ) -> None:
        self.floor = 0 if debug_allowed else logging.INFO
        """No line below this level is written, whatever its logger's level."""
        self._rules: dict[str, int] = {}
        self._temporary: dict[str, Temporary] = {}
        self._written: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self._set_by_us: dict[str, int] = {}
        self._created: set[str] = set()
        self._lock = threading.RLock()
        self.configure(level, levels)
        fork.reset_in_child(self._after_fork)

    def configure(self, level: str, levels: Iterable[tuple[str, str]]) -> None:
        """
        Take what the settings say; `apply` puts it in force.

        Raises:
            ValueError: No level is called so.
        """
        base, of_application = self._both(level)
        rules = {name: self._number(word) for name, word in levels}
        self._base, self._of_application, self._rules = base, of_application, rules

    def keep(self, temporary: Mapping[str, Temporary]) -> None:
        """Take the operators' temporary levels, all of them; `apply` enforces them."""
        self._temporary = dict(temporary)

    @property
    def temporary(self) -> Mapping[str, Temporary]:
        """The operators' temporary levels in force."""
        return self._temporary

    @property
    def level(self) -> str:
        """The lowest level that is written, by the schema's name."""
        return level_name(self._base)

    @property
    def is_auto(self) -> bool:
        """Whether the application's own loggers say more than the others."""
        return self._of_application != self._base

    @property
    def watches(self) -> bool:
        """
        Whether `apply` is due often.

        Somebody may undo what is in force, or the application's loggers are told from
        others' and more of them come with each module.
        """
        return bool(self._rules or self._temporary) or self.is_auto

    def apply(self) -> None:
        """Put in force what is wanted where it is not; cheap if it is."""
        with self._lock:
            self._written = wanted = self._wanted()
            for name, level in wanted.items():
                self._set(name, level)

            for name in tuple(self._before.keys() - wanted.keys()):
                self._put_back(name)

    def restore(self) -> None:
        """Give every logger the level that it had."""
        with self._lock:
            for name in tuple(self._before):
                self._put_back(name)

            self._written = {}

    def describe(self, prefix: str = "") -> tuple[Threshold, ...]:
        """Return what is known of every logger whose name begins so, by name."""
        loggers = logging.Logger.manager.loggerDict
        names = {
            n for n, it in tuple(loggers.items()) if isinstance(it, logging.Logger)
        }
        names = {_ROOT, *names, *self._rules, *self._temporary}
        return tuple(self.of(name) for name in sorted(names) if name.startswith(prefix))

    def of(self, name: str) -> Threshold:
        """Return what is known of one logger's level."""
        effective, _ = self._find(name)
        temporary = self._temporary.get(name)
        level: int | None
        if temporary is not None:
            level, said_by = temporary.level, "admin"
        elif name in self._rules:
            level, said_by = self._rules[name], "levels"
        elif name == _ROOT:
            level, said_by = self._base, "level"
        elif self._written.get(name):
            level, said_by = self._written[name], "level"
        else:
            level = None if name in self._written else self._own_level(name) or None
            said_by = "own" if level else ""

        return Threshold(
            name,
            None if level is None else level_name(level),
            level_name(effective),
            said_by,
            None if temporary is None else temporary.until_ns,
        )

    def strangers(self) -> tuple[str, ...]:
        """Return the names that the settings have and nothing in the process has."""
        used = {name for name in self._rules if _is_used(name, self._created)}
        return tuple(name for name in self._rules if name not in used)

    def names(self) -> frozenset[str]:
        """Return the names of the loggers that the process has asked for itself."""
        return frozenset(logging.Logger.manager.loggerDict) - self._created

    def _both(self, level: str) -> tuple[int, int]:
        """Return the level of all loggers and that of the application's own."""
        if level == "auto":
            return logging.INFO, max(logging.DEBUG, self.floor)

        number = self._number(level)
        return number, number

    def _number(self, level: str) -> int:
        return max(level_number(level), self.floor)

    def _wanted(self) -> dict[str, int]:
        """Return the level that each logger is to have that we care about."""
        said = self._rules | {name: it.level for name, it in self._temporary.items()}
        wanted = {_ROOT: said.pop(_ROOT, self._base)}
        if self.is_auto and _ROOT not in self._temporary:
            for name in _application_names():
                if not self._own_level(name):
                    wanted[name] = self._of_application

        if said:
            for name in _loggers():
                if _is_below(name, said) and self._own_level(name):
                    wanted[name] = logging.NOTSET

        for name in said:  # made now, so that those made later inherit from them
            if name not in logging.Logger.manager.loggerDict:
                self._created.add(name)

        return wanted | said

    def _own_level(self, name: str) -> int:
        """Return the level that code gave a logger, whatever we made of it."""
        now = _level_of(name)
        if name in self._before and now == self._set_by_us[name]:
            return self._before[name]

        return now

    def _set(self, name: str, level: int) -> None:
        logger = logging.getLogger(name)
        now = logger.level
        if now != self._set_by_us.get(name) and (now != level or name in self._before):
            self._before[name] = now  # code has set it, the first time or again

        if now != level:
            logger.setLevel(level)

        if name in self._before:
            self._set_by_us[name] = level

    def _put_back(self, name: str) -> None:
        before, ours = self._before.pop(name), self._set_by_us.pop(name)
        logger = logging.getLogger(name)
        if logger.level == ours:
            logger.setLevel(before)

    def _find(self, logger: str) -> tuple[int, str]:
        """Return from which level *logger* writes, and the name that it has it from."""
        name = logger
        while name and name != _ROOT:
            level = self._written.get(name)
            if level is None:
                level = self._own_level(name)

            if level:
                return max(level, self.floor), name

            name = name.rpartition(".")[0]

        return max(self._written.get(_ROOT) or _level_of(_ROOT), self.floor), _ROOT

    def _after_fork(self) -> None:
        self._lock = threading.RLock()


def _loggers() -> Iterator[str]:
    for name, logger in tuple(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger):
            yield name


def _level_of(name: str) -> int:
    if name == _ROOT:
        return logging.getLogger().level

    logger = logging.Logger.manager.loggerDict.get(name)
    return logger.level if isinstance(logger, logging.Logger) else logging.NOTSET


def _is_below(name: str, said: Mapping[str, int]) -> bool:
    """Tell whether *name* is not in *said* itself, but a logger above it is."""
    if name in said:
        return False

    while "." in name:
        name = name.rpartition(".")[0]
        if name in said:
            return True

    return False


def _is_used(name: str, created: set[str]) -> bool:
    if name == _ROOT or name in sys.modules or name in _logger.names_in_use():
        return True

    known = logging.Logger.manager.loggerDict
    below = f"{name}."
    return (name in known and name not in created) or any(
        each.startswith(below) for each in tuple(known) if each not in created
    )


def is_application(name: str) -> bool:
    """Tell whether a top-level module is neither Python's nor installed."""
    if "." in name or name in sys.stdlib_module_names:
        return False

    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return file != "" and not any(part in file for part in _LIBRARIES)


def _application_names() -> set[str]:
    """Return the top-level packages that are neither Python's nor installed."""
    names = {name.partition(".")[0] for name in _logger.names_in_use()}
    names.update(filter(is_application, tuple(sys.modules)))
    return names - {_OURS, "", _ROOT}
