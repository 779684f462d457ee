"""Databases and caches that are found, and which database is the service's own."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

from svcready._core import events, fork
from svcready._core.events import ClientFound
from svcready._core.guard import guard
from svcready._core.imports import when_imported
from svcready.errors import DeclarationError
from svcready.health._check import CHECKS
from svcready.health._events import CheckFound
from svcready.health._subject import ReadyMade
from svcready.health.checks._adding import add
from svcready.health.checks._named import derive_name
from svcready.health.checks._sql._engines import (
    FoundEngines,
    Key,
    is_in_memory,
    is_view,
    watch_engines,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from svcready.health._pillar import HealthPillar

__all__ = ["Finder", "claim", "names", "notices"]

_quiet = guard("health.found")

_SEVERAL = (
    "more than one SQL database was found ({names}), so none is taken for the "
    "service's own: their checks only warn. svcready.health.add_engine(engine, "
    "critical=True) or SVCREADY_CHECK__<NAME>__CRITICALITY=critical says which it is"
)
_claimed: WeakSet[Engine] = WeakSet()
_finders: list[Finder] = []


def claim(engine: Engine) -> None:
    """Take note that the application checks *engine* itself."""
    _claimed.add(engine)
    for finder in tuple(_finders):
        finder.leave(engine)


def names() -> dict[str, str]:
    """Return the checks that were found: `critical` or `degraded`, by name."""
    return {name: how for finder in _finders for name, how in finder.ranks()}


def notices() -> tuple[str, ...]:
    """Return what is worth knowing about what was found."""
    return tuple(word for finder in _finders for word in finder.notices())


class Finder:
    """
    Declares checks of SQLAlchemy's engines and Django's databases as they appear.

    The service's own database is critical: Django's `default`; without Django the one
    SQL database of which there are engines, as long as it is the only one. Of several
    none is guessed.

    Args:
        pillar: Runs the checks.
    """

    def __init__(self, pillar: HealthPillar) -> None:
        self._pillar = pillar
        self._entries: dict[Key, FoundEngines] = {}
        self._django: dict[str, bool] = {}
        self._undo: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._several = False
        fork.reset_in_child(self._reset_lock)

    def start(self) -> Callable[[], None]:
        """
        Look for what there is, and wait for what comes.

        Returns:
            What ends it, and takes back the checks that were found.
        """
        _finders.append(self)
        self._undo.append(events.subscribe(ClientFound, self._told))
        self._undo.append(when_imported("sqlalchemy.engine.base", self._watch))
        django = sys.modules.get("django.apps")
        # Not `ready`: it is in an application's own `ready` that Django calls `init()`.
        if django is not None and django.apps.models_ready:
            with _quiet:
                self._find_django()

        return self.stop

    def stop(self) -> None:
        """Look no more, and take back what was found."""
        for undo in self._undo:
            undo()

        if self in _finders:
            _finders.remove(self)

        declared = [entry.name for entry in self._entries.values()]
        for name in (*declared, *self._django):
            self._remove(name)

        self._entries, self._django = {}, {}

    def ranks(self) -> Iterator[tuple[str, str]]:
        """Return how each check that was found counts."""
        found = [(entry.name, entry.critical) for entry in self._found()]
        for name, critical in (*self._django.items(), *found):
            if (tuned := self._pillar.runner.states.get(name)) is not None:
                critical = tuned.status.critical  # noqa: PLW2901 - the operator's word

            yield name, "critical" if critical else "degraded"

    def notices(self) -> Iterator[str]:
        """Return what the operator should know."""
        found = self._found()
        is_settled = any(rank == "critical" for _, rank in self.ranks())
        if self._several and found and not is_settled and not self._django:
            yield _SEVERAL.format(names=", ".join(entry.name for entry in found))

    def leave(self, engine: Engine) -> None:
        """Take back the check of an engine that the application checks itself."""
        with self._lock:
            left = [
                entry
                for entry in self._entries.values()
                if any(each() is engine for each in entry.engines)
            ]
            for entry in left:
                del self._entries[entry.key]

        for entry in left:
            self._remove(entry.name)

        self._rank()

    def _found(self) -> list[FoundEngines]:
        return [entry for entry in self._entries.values() if entry.is_declared()]

    def _told(self, found: ClientFound) -> None:
        if found.library == "django":
            self._find_django()

    def _find_django(self) -> None:
        from svcready.health.checks._sql._django import found_databases
        from svcready.health.checks._sql._django_caches import found_caches

        caches = ((name, check, False) for name, check in found_caches())
        for name, check, critical in (*found_databases(), *caches):
            if CHECKS.get(name) is None:
                add(name, check, {"critical": critical})
                self._django[name] = critical
                self._tell(name, check.target)

        self._rank()

    def _watch(self) -> None:
        self._undo.append(watch_engines(self._find))

    def _find(self, engine: Engine) -> None:
        from svcready.health.checks._sql._sqlalchemy import describe

        if engine in _claimed or is_view(engine) or is_in_memory(engine):
            return

        database, target = describe(engine)
        key = Key(target, engine.dialect.is_async)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                name = self._name(engine, database, key)
                entry = FoundEngines(key, name, self._gone)
                self._entries[key] = entry

            entry.add(engine)

        self._rank()

    def _name(self, engine: Engine, database: str, key: Key) -> str:
        taken = {entry.name for entry in self._entries.values()}
        host = engine.url.host or ""
        ways = ("", "async" if key.is_async else "", host, str(len(taken) + 1))
        named = [derive_name("sqlalchemy", database, way) for way in ways]
        return next(name for name in named if name not in taken)

    def _rank(self) -> None:
        """Declare what was found, again if what it counts as has changed."""
        entries = list(self._entries.values())
        own = {_target(engine) for engine in tuple(_claimed)}
        targets = {entry.key.target for entry in entries} | own
        alone = len(targets) == 1 and not self._django and not own
        self._several = len(targets) > 1
        for entry in entries:
            declared = CHECKS.get(entry.name)
            if declared is None or (entry.is_declared() and entry.critical != alone):
                entry.critical = alone
                self._declare(entry)

    def _declare(self, entry: FoundEngines) -> None:
        try:
            add(entry.name, entry.check, {"critical": entry.critical})
        except DeclarationError:  # one that is spelt the same in variables
            with self._lock:
                self._entries.pop(entry.key, None)

            return

        self._tell(entry.name, entry.key.target)

    def _tell(self, name: str, target: str) -> None:
        if self._pillar.lifecycle.state != "starting":  # else the start line says it
            events.publish(CheckFound(name, dict(self.ranks())[name], target))

    def _gone(self, entry: FoundEngines) -> None:
        with self._lock:
            self._entries.pop(entry.key, None)

        self._remove(entry.name)
        self._rank()

    def _remove(self, name: str) -> None:
        check = CHECKS.get(name)
        if check is None:
            return

        if isinstance(check.function, ReadyMade) and check.function.found:
            CHECKS.remove(name)
            self._pillar.runner.drop(name)
            self._pillar.reload()

    def _reset_lock(self) -> None:
        self._lock = threading.Lock()


def _target(engine: Engine) -> str:
    from svcready.health.checks._sql._sqlalchemy import describe

    return describe(engine)[1]
