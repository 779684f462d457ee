"""SQLAlchemy's engines that OpenTelemetry's package doesn't see being made."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from svcready._core.guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["watch_engines"]

_quiet = guard("tracing.instrumentation")
_PACKAGE = "opentelemetry.instrumentation.sqlalchemy"
_PSYCOPG = "opentelemetry.instrumentation.psycopg"


def watch_engines(*, alone: bool = False) -> Callable[[], None]:
    """
    Trace each engine from its first connection on, however it was made.

    The package patches `create_engine`, so it misses engines from before, and those
    of modules that imported the function by name earlier: most of them, where `init()`
    comes after the imports.

    Args:
        alone: The package itself is not switched on.

    Returns:
        What ends it; the package's own end, if it is on, takes back what was done to
        engines.
    """
    from opentelemetry.instrumentation.sqlalchemy.engine import EngineTracer
    from opentelemetry.metrics import NoOpUpDownCounter
    from opentelemetry.trace import get_tracer
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    trace: Callable[..., object] = EngineTracer
    forget: Callable[[], None] = EngineTracer.remove_all_event_listeners
    tracer = get_tracer(_PACKAGE)
    seen: weakref.WeakSet[Engine] = weakref.WeakSet()

    def connected(connection: Connection) -> None:
        engine = connection.engine
        if engine in seen:
            return

        seen.add(engine)
        with _quiet:
            if not _is_traced(engine, EngineTracer):
                trace(tracer, engine, NoOpUpDownCounter("none"))

    event.listen(Engine, "engine_connect", connected)
    event.listen(Engine, "connect", _leave_to_sqlalchemy)

    def end() -> None:
        event.remove(Engine, "engine_connect", connected)
        event.remove(Engine, "connect", _leave_to_sqlalchemy)
        if alone:
            forget()

    return end


def _leave_to_sqlalchemy(_: object, record: ConnectionPoolEntry) -> None:
    """Have psycopg's package not trace what SQLAlchemy's does: it would be twice."""
    with _quiet:
        connection = record.driver_connection
        factory = getattr(connection, "cursor_factory", None)
        if getattr(factory, "__module__", "") == _PSYCOPG and isinstance(factory, type):
            # The package derives from what was there before.
            connection.cursor_factory = factory.__base__  # type: ignore[union-attr]


def _is_traced(engine: Engine, tracers: type) -> bool:
    # What the package keeps to take its listeners back by: (weak reference, event,
    # function) of each engine.
    kept = getattr(tracers, "_remove_event_listener_params", None)
    if kept is None:
        return True  # another release; it knows its own

    return any(reference() is engine for reference, *_ in tuple(kept))
