"""SQLAlchemy's engines, as they are found: all there are, and all that are made."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from svcready._core.guard import guard
from svcready.health._check import CHECKS
from svcready.health._result import CheckResult
from svcready.health.checks._adding import ReadyMade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine
    from sqlalchemy.pool import Pool

__all__ = ["FoundEngines", "Key", "is_in_memory", "is_view", "watch_engines"]

_quiet = guard("health.found")
_GONE = CheckResult("pass", "the engine is gone, or was disposed of and not used since")


class Key(NamedTuple):
    """What one check is of."""

    target: str
    is_async: bool


class FoundEngines:
    """A database of which engines were found; the first that lives is asked."""

    def __init__(
        self, key: Key, name: str, gone: Callable[[FoundEngines], None]
    ) -> None:
        self.key = key
        self.name = name
        self.critical = False
        self.engines: list[ref[Engine]] = []
        self._gone = gone
        self._seen: tuple[int, ref[Engine], ref[Pool]] | None = None
        run = self.run_async if key.is_async else self.run
        self.check = ReadyMade(run, kind="datastore", target=key.target, found=True)

    def is_declared(self) -> bool:
        """Tell whether the check of this name is still this one."""
        check = CHECKS.get(self.name)
        return check is not None and check.function is self.check

    def run(self) -> CheckResult:
        """Run the check."""
        engine = self._engine()
        if engine is None:
            return _GONE

        from svcready.health.checks._sql._sqlalchemy import EngineSource

        return self._judged(EngineSource(engine).run())

    async def run_async(self) -> CheckResult:
        """Run the check of an asynchronous engine."""
        engine = self._engine()
        if engine is None:
            return _GONE

        from svcready.health.checks._sql._sqlalchemy import EngineSource
        from svcready.health.checks._sql._sqlalchemy_async import AsyncEngineSource

        return self._judged(await AsyncEngineSource(EngineSource(engine)).run())

    def add(self, engine: Engine) -> None:
        """Take one more engine."""
        alive = [each for each in self.engines if each() is not None]
        self.engines = [*alive, ref(engine)]

    def _judged(self, result: CheckResult) -> CheckResult:
        if result.status == "fail":
            # The next run asks another: one may have been for migrations alone.
            self.engines = [*self.engines[1:], *self.engines[:1]]

        return result

    def _engine(self) -> Engine | None:
        alive = [engine for each in self.engines if (engine := each()) is not None]
        if not alive:
            self._gone(self)
            return None

        return next((engine for engine in alive if not self._is_left(engine)), None)

    def _is_left(self, engine: Engine) -> bool:
        """Tell whether an engine was disposed of since the last run, and not used."""
        from sqlalchemy.pool import QueuePool

        pool, pid, seen = engine.pool, os.getpid(), self._seen
        # Not in a forked child, where disposing of the parent's connections is what
        # one does before the first use.
        if (
            isinstance(pool, QueuePool)
            and seen is not None
            and (seen[0], seen[1]()) == (pid, engine)
            and seen[2]() is not pool
            and not pool.checkedin() + pool.checkedout()
        ):
            return True

        self._seen = (pid, ref(engine), ref(pool))
        return False


def watch_engines(found: Callable[[Engine], None]) -> Callable[[], None]:
    """
    Call *found* with every engine that there is and that will be made.

    Returns:
        What ends it.
    """
    import wrapt  # SQLAlchemy is there, and with it asyncio, its price

    # Not from `sqlalchemy`, which is half way through its own import when it is new.
    from sqlalchemy.engine.base import Engine

    active = True

    def tell(engine: Engine) -> None:
        with _quiet:
            if active:
                found(engine)

    def make(
        inner: Callable[..., None],
        engine: Engine,
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> None:
        inner(*args, **kwargs)
        tell(engine)

    # Not by its attribute: what others wrapped it in is bound there, anew each time.
    original = vars(Engine)["__init__"]
    # `create_engine` reads the parameters off it, so it has to look as before.
    patched = wrapt.FunctionWrapper(original, make)
    Engine.__init__ = patched  # type: ignore[method-assign]
    kinds = {Engine, *_subclasses(Engine)}
    # As the instrumentation finds them: classes are referred to by their objects.
    there = [each for each in gc.get_referrers(*kinds) if type(each) in kinds]
    for each in sorted(there, key=lambda engine: str(engine.url)):  # the same each time
        tell(each)

    def end() -> None:
        nonlocal active
        active = False
        if vars(Engine)["__init__"] is patched:  # else somebody wrapped it after us
            Engine.__init__ = original  # type: ignore[method-assign]

    return end


def _subclasses(kind: type[Engine]) -> Iterator[type[Engine]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


def is_view(engine: Engine) -> bool:
    """Tell whether an engine is one of another's pool."""
    return getattr(engine, "_proxied", None) is not None


def is_in_memory(engine: Engine) -> bool:
    """Tell whether the database is one of SQLite's in this process alone."""
    if engine.dialect.name != "sqlite":
        return False

    database = engine.url.database or ""
    if engine.url.query.get("mode") == "memory" or "mode=memory" in database:
        return True

    return not database or ":memory:" in database
