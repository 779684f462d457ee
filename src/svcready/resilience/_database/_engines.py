"""Statements of SQLAlchemy's engines that end with the deadline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, cast

from svcready._core.guard import report_foreign
from svcready.resilience._database._hints import hinted
from svcready.resilience._database._limits import Limit, is_control, is_data
from svcready.resilience._database._verdicts import is_of_database
from svcready.resilience._timing import _deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from svcready.resilience._database._limits import Step

__all__ = ["bind_engine", "keep_limit", "run_steps"]

_LIMIT = "svcready.limit"


class _Cursor(Protocol):
    """A cursor of the DB-API."""

    @property
    def description(self) -> Any:
        """What the columns are; None: there are no rows."""
        ...

    def execute(self, statement: str, parameters: Any = ..., /) -> object:
        """Run a statement."""
        ...

    def fetchone(self) -> Any:
        """Return a row."""
        ...

    def close(self) -> object:
        """Let go."""
        ...


def bind_engine(engine: Engine) -> Callable[[], None]:
    """Have an engine's statements end with the deadline, and return what undoes it."""
    from sqlalchemy import event

    listeners: dict[str, Callable[..., object]] = {}
    if engine.dialect.name == "postgresql":
        listeners = {
            "begin": _begin,
            "begin_twophase": _begin,
            "rollback_savepoint": _roll_back_part,
            "before_cursor_execute": _before,
        }
    elif engine.dialect.name in {"mysql", "mariadb"}:
        listeners = {"before_cursor_execute": _hint}

    for name, listener in listeners.items():
        event.listen(engine, name, listener, retval=listener is _hint)

    def undo() -> None:
        for name, listener in listeners.items():
            if event.contains(engine, name, listener):
                event.remove(engine, name, listener)

    return undo


def keep_limit(connection: Connection, *, data: bool = False) -> None:
    """
    Set PostgreSQL's limit for the transaction, or take it back, as needs be.

    Args:
        connection: What the transaction runs on.
        data: The next statement works with data.
    """
    limit: Limit | None = connection.info.get(_LIMIT)
    if limit is None:
        if _deadline.until_s() == math.inf:
            return

        limit = connection.info[_LIMIT] = Limit()

    raw = connection.connection
    if getattr(raw.dbapi_connection, "autocommit", False):
        return  # it would hold beyond the statement

    placeholder = "$1" if connection.dialect.paramstyle == "numeric_dollar" else "%s"
    cursor_of = cast("Callable[[], _Cursor]", raw.cursor)
    run_steps(limit, cursor_of, data=data, placeholder=placeholder)


def run_steps(
    limit: Limit,
    cursor_of: Callable[[], _Cursor],
    *,
    data: bool,
    placeholder: str = "%s",
) -> None:
    """Run what a limit asks for; what fails, the application's statement will meet."""
    try:
        steps = limit.steps(_deadline.remaining(), data=data)
        step = next(steps, None)
        if step is None:
            return

        cursor = cursor_of()
        try:
            while True:
                step = steps.send(_told_by(cursor, step, placeholder))
        except StopIteration:
            return
        finally:
            cursor.close()
    except Exception as fault:  # noqa: BLE001 - a limit must not end a transaction
        if not is_of_database(fault):
            report_foreign("resilience.statement_timeout", fault)


def _told_by(cursor: _Cursor, step: Step, placeholder: str) -> object:
    """Run a step, and return the first column of its row."""
    if step.parameter is None:
        cursor.execute(step.statement)
    else:
        cursor.execute(step.statement.format(placeholder), (step.parameter,))

    return cursor.fetchone()[0] if cursor.description else None


def _begin(connection: Connection, *_: object) -> None:
    limit = connection.info.get(_LIMIT)
    if limit is not None:
        limit.begin()


def _roll_back_part(connection: Connection, *_: object) -> None:
    limit = connection.info.get(_LIMIT)
    if limit is not None:
        limit.roll_back_part()


def _before(connection: Connection, _: object, statement: str, *__: object) -> None:
    try:
        if not is_control(statement):
            keep_limit(connection, data=is_data(statement))
    except Exception as fault:  # noqa: BLE001 - the statement is what matters
        report_foreign("resilience.statement_timeout", fault)


def _hint(
    connection: Connection, _: object, statement: str, parameters: object, *__: object
) -> tuple[str, object]:
    left_s = _deadline.remaining()
    if left_s < math.inf:
        mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
        statement = hinted(statement, left_s, mariadb=mariadb)

    return statement, parameters
