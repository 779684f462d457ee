from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from svcready._core.context import bound
from svcready.logging import structlog_processor
from tests.logging.support import Log, make_log, run_script


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    """Leave structlog, and stdlib's class of loggers, as they were."""
    kind = logging.getLoggerClass()
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.setLoggerClass(kind)


def native() -> Any:
    """Return a logger of structlog's usual set-up, ours at its end."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog_processor]
    )
    return structlog.get_logger()


def stdlib() -> Any:
    """Return a logger of the set-up over stdlib, with what it documents."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog_processor,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return structlog.get_logger()


both = pytest.mark.parametrize("make", [native, stdlib])


@both
def test_an_event_is_one_line(make: Any, log: Log) -> None:
    """Message, level, fields and the place of the call, and nothing else."""
    make().bind(shop="north").warning("stock low", left=2)

    (line,) = log.lines
    assert line["message"] == "stock low"
    assert line["level"] == "WARN"
    assert line["context"] == {"shop": "north", "left": 2}
    assert line["source"]["logger"] == __name__
    assert line["source"]["function"] == "test_an_event_is_one_line"
    assert line["source"]["line"] == sys._getframe().f_lineno - 8


@both
def test_structlogs_context_and_ours_are_on_it(make: Any, log: Log) -> None:
    """What was bound in either way."""
    logger = make()
    with structlog.contextvars.bound_contextvars(a=1), bound(b=2):
        logger.info("x", c=3)

    assert log.last["context"] == {"a": 1, "b": 2, "c": 3}


@both
@pytest.mark.parametrize(
    ("method", "level"),
    [
        ("info", "INFO"),
        ("warn", "WARN"),
        ("error", "ERROR"),
        ("critical", "FATAL"),
        ("fatal", "FATAL"),
    ],
)
def test_levels_are_stdlibs(make: Any, method: str, level: str, log: Log) -> None:
    """Each method has its level, and what the logger's level forbids is dropped."""
    getattr(make(), method)("x")
    make().log(logging.WARNING, "by number")
    make().debug("not in production")

    assert [line["level"] for line in log.lines] == [level, "WARN"]


@both
def test_exceptions_and_stacks(make: Any, log: Log) -> None:
    """In each form in which one can be given."""
    logger = make()
    try:
        raise KeyError("k")
    except KeyError as error:
        logger.exception("one")
        logger.error("two", exc_info=True)  # noqa: G201 - the form under test
        kept = error

    logger.info("three", exc_info=kept)
    logger.info("four", exc_info=(KeyError, kept, kept.__traceback__))
    logger.info("five", stack_info=True)

    assert [line.get("error", {}).get("type") for line in log.lines] == [
        *["KeyError"] * 4,
        None,
    ]
    assert "test_exceptions_and_stacks" in log.last["context"]["stack_info"]
    assert all("exc_info" not in line.get("context", {}) for line in log.lines)


@both
def test_positional_arguments_are_in_the_message(make: Any, log: Log) -> None:
    """As in both of structlog's kinds of logger."""
    make().info("%d of %s", 2, "seven")

    assert log.last["message"] == "2 of seven"
    assert "context" not in log.last


@both
def test_names_that_a_record_has_are_fields_like_others(make: Any, log: Log) -> None:
    """Stdlib's `extra` would refuse these, and that with an exception."""
    make().info("x", name="n", args=[1], message="m", module="q", levelname="z")

    assert log.last["message"] == "x"
    assert log.last["context"] == {
        "name": "n",
        "args": [1],
        "message": "m",
        "module": "q",
        "levelname": "z",
    }


@both
def test_a_call_that_is_awaited_stands_where_it_is_written(make: Any, log: Log) -> None:
    """Structlog writes it in another thread, with the caller's context."""
    logger = make()

    async def call() -> None:
        with bound(order=7):
            await logger.ainfo("x")

    asyncio.run(call())

    assert log.last["source"]["function"].endswith("call")
    assert log.last["context"] == {"order": 7}


def test_a_name_is_kept() -> None:
    """Of the wrapped stdlib logger, and what its level forbids is not written."""
    log = make_log()
    log.pillar.start()
    stdlib()
    named = structlog.get_logger("shop.orders")
    named.info("x")
    logging.getLogger("shop.orders").setLevel("ERROR")
    named.info("y")
    logging.getLogger("shop.orders").setLevel("NOTSET")
    log.pillar.close()

    assert [line["source"]["logger"] for line in log.lines[-1:]] == ["shop.orders"]
    assert log.last["message"] == "x"


def test_a_value_that_fails_does_not_fail_the_caller(log: Log) -> None:
    """Whatever is in the event."""

    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError

        __str__ = __repr__

    logger = native()
    logger.info(Bad(), bad=Bad())
    logger.info("in a dict", **{"a b": {(1, 2): Bad()}})

    assert len(log.lines) == 2
    assert log.last["context"]["a b"]


def test_capture_in_tests_still_works(log: Log) -> None:
    """Structlog's own helper sees what would have been written."""
    logger = native()
    with structlog.testing.capture_logs() as captured:
        logger.info("x", a=1)

    assert captured == [{"event": "x", "a": 1, "log_level": "info"}]
    assert log.lines == []


def wrap(
    _: Any, __: str, event: MutableMapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what structlog's own `wrap_for_formatter` does; for its type only."""
    return structlog.stdlib.ProcessorFormatter.wrap_for_formatter(_, __, event)


def test_a_set_up_with_its_own_formatter_is_one_line_of_ours(log: Log) -> None:
    """`ProcessorFormatter` on a handler of the application's: taken, not doubled."""
    root = logging.getLogger()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=structlog.dev.ConsoleRenderer())
    )
    root.addHandler(handler)
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            wrap,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    log.pillar.unify()
    log.written.clear()
    # A name of its own: structlog finds the caller for loggers that it made.
    logger = structlog.get_logger("shop.with.formatter")

    try:
        raise KeyError("k")
    except KeyError:
        logger.exception("no price", message="m", order=7)

    logging.getLogger("lib").warning("stdlib's")

    first, second = log.lines
    assert first["message"] == "no price"
    assert first["context"] == {"message": "m", "order": 7}
    assert first["error"]["type"] == "KeyError"
    assert first["source"]["logger"] == "shop.with.formatter"
    assert "own_formatter" in first["source"]["function"]
    assert second["message"] == "stdlib's"
    assert handler not in root.handlers


PRINTED = """
import structlog, logging, sys
logging.basicConfig(stream=sys.stdout, format="%(message)s", level=20)
structlog.configure(
    processors=[structlog.stdlib.add_log_level, structlog.stdlib.render_to_log_kwargs],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)
pillar = start()
def here():
    structlog.get_logger("shop").info("x", a=1)
here()
"""


def test_a_set_up_that_renders_to_arguments_of_stdlib_is_one_line() -> None:
    """Its place is the application's, not structlog's."""
    lines, stderr = run_script(PRINTED)

    line = next(line for line in lines if line["message"] == "x")
    assert len([line for line in lines if line["message"] == "x"]) == 1
    assert line["context"]["a"] == 1
    assert line["source"]["function"] == "here"
    assert stderr == ""


def test_nobody_loads_it_unless_it_is_used() -> None:
    """Neither structlog nor loguru is imported by the running pillar."""
    lines, _ = run_script(
        "pillar = start()\nget_logger('x').warning('%s', [n for n in "
        "('structlog', 'loguru', 'gunicorn') if n in sys.modules])"
    )

    assert lines[-1]["message"] == "[]"
