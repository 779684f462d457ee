from __future__ import annotations

import inspect
import logging
import sys
import threading
import time
from collections.abc import Iterator

import loguru
import pytest
from loguru import logger

from svcready._core.context import bound
from svcready.logging import get_logger, loguru_sink
from tests.logging.support import Log, make_log


@pytest.fixture(autouse=True)
def only_ours() -> Iterator[None]:
    """Have our sink alone, and leave loguru as it was."""
    logger.configure(handlers=[{"sink": loguru_sink, "level": 0}])
    yield
    logger.remove()
    logger.configure(extra={}, patcher=lambda record: None)


def test_a_message_is_one_line(log: Log) -> None:
    """Message, level, fields and the place of the call, and nothing else."""
    with bound(order=7):
        logger.bind(shop="north").warning("{} left", 2)

    (line,) = log.lines
    assert line["message"] == "2 left"
    assert line["level"] == "WARN"
    assert line["context"] == {"order": 7, "shop": "north"}
    assert line["source"]["logger"] == __name__
    assert line["source"]["function"] == "test_a_message_is_one_line"
    assert line["source"]["line"] == sys._getframe().f_lineno - 8


def test_all_ways_to_add_fields(log: Log) -> None:
    """Bound, in a context, by keyword, patched in, configured for all."""
    logger.configure(extra={"all": 1})

    def patch(record: loguru.Record) -> None:
        record["extra"]["patched"] = 2

    with logger.contextualize(inside=3):
        logger.patch(patch).bind(bound=4).info("x {keyword}", keyword=5)

    assert log.last["message"] == "x 5"
    assert log.last["context"] == {
        "all": 1,
        "inside": 3,
        "bound": 4,
        "keyword": 5,
        "patched": 2,
    }


def test_levels_of_its_own_are_named(log: Log) -> None:
    """They have the level of ours that is next below, and their name as a field."""
    logger.level("NOTICE", no=35)
    logger.success("done")
    logger.log("NOTICE", "noticed")
    logger.log(41, "by number")
    logger.trace("too fine")
    logger.debug("not in production")

    assert [
        (line["level"], line.get("context", {}).get("level_name")) for line in log.lines
    ] == [("INFO", "SUCCESS"), ("WARN", "NOTICE"), ("ERROR", "Level 41")]


def test_trace_is_a_debug_line_where_such_are_written() -> None:
    """In development, on the application's loggers."""
    log = make_log(development=True)
    log.pillar.start()
    logging.getLogger(__name__).setLevel(1)
    logger.trace("fine")
    logging.getLogger(__name__).setLevel(logging.NOTSET)
    log.pillar.close()

    assert "DEBUG" in log.text
    assert "fine" in log.text


def fail() -> None:
    """Raise an error."""
    raise KeyError("k")


def test_exceptions_in_each_form(log: Log) -> None:
    """What is handled, what is given, and what `catch` caught."""
    try:
        fail()
    except KeyError as error:
        logger.exception("one")
        logger.opt(exception=True).error("two")
        kept = error

    logger.opt(exception=kept).info("three")
    logger.opt(exception=True).info("none")
    with logger.catch():
        fail()

    @logger.catch(message="five")
    def decorated() -> None:
        fail()

    decorated()

    assert [line.get("error", {}).get("type") for line in log.lines] == [
        *["KeyError"] * 3,
        None,
        *["KeyError"] * 2,
    ]
    assert "in fail" in log.last["error"]["stack"]
    assert log.last["message"] == "five"


def test_options_of_a_call(log: Log) -> None:
    """Another depth, raw text, colours, lazy arguments, names that a record has."""

    def inner() -> None:
        logger.opt(depth=1).info("deep")

    inner()
    logger.opt(raw=True).info("raw\n")
    logger.opt(colors=True).info("<red>colour</red>")
    logger.opt(lazy=True).info("{}", lambda: "lazy")
    logger.bind(name="n", args=1, message="m", event="stock.low").info("named")

    assert [line["message"] for line in log.lines] == [
        "deep",
        "raw",
        "colour",
        "lazy",
        "named",
    ]
    assert log.lines[0]["source"]["function"] == "test_options_of_a_call"
    assert log.last["context"] == {"name": "n", "args": 1, "message": "m"}
    assert log.last["event"] == "stock.low"


def test_a_queue_of_its_own_keeps_time_and_fields(log: Log) -> None:
    """With `enqueue` another thread writes it, later."""
    logger.configure(handlers=[{"sink": loguru_sink, "level": 0, "enqueue": True}])
    before = time.time()
    try:
        fail()
    except KeyError:
        logger.bind(a=1).exception("later")

    logger.complete()

    (line,) = log.lines
    assert line["context"] == {"a": 1}
    assert line["error"]["type"] == "KeyError"
    made = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(before))
    assert line["timestamp"].startswith(made[:-1])


class InterceptHandler(logging.Handler):
    """Hands stdlib's records to loguru, as its documentation shows."""

    def emit(self, record: logging.LogRecord) -> None:
        """Find the caller and log there."""
        frame, depth = inspect.currentframe(), 0
        while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame, depth = frame.f_back, depth + 1

        logger.opt(depth=depth, exception=record.exc_info).log(
            record.levelname, record.getMessage()
        )


@pytest.mark.parametrize("first", [True, False])
def test_what_stdlib_hands_to_loguru_is_not_said_twice(first: bool, log: Log) -> None:
    """Nor does it go in a circle, in whichever order the handlers stand."""
    intercept = InterceptHandler()
    root = logging.getLogger()
    root.handlers.insert(0 if first else len(root.handlers), intercept)
    try:
        logging.getLogger("lib").warning("stdlib's")
        get_logger("shop").warning("ours", n=1)
        logger.warning("loguru's")
    finally:
        root.removeHandler(intercept)

    assert [line["message"] for line in log.lines] == ["stdlib's", "ours", "loguru's"]
    assert log.lines[1]["context"] == {"n": 1}


def test_what_only_loguru_gets_is_written(log: Log) -> None:
    """A stdlib logger whose records do not reach our handler."""
    alone = logging.getLogger("alone")
    alone.propagate = False
    intercept = InterceptHandler()
    alone.addHandler(intercept)
    try:
        alone.warning("by loguru")
    finally:
        alone.removeHandler(intercept)
        alone.propagate = True

    assert [line["message"] for line in log.lines] == ["by loguru"]


def test_values_that_fail_do_not_fail_the_caller(
    log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does loguru print that its sink failed."""

    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError

        __str__ = __repr__

    logger.bind(bad=Bad()).info("x")

    assert log.last["message"] == "x"
    assert capsys.readouterr().err == ""


def test_threads_do_not_wait_for_one_another(log: Log) -> None:
    """Each line once, from many threads."""

    def work(number: int) -> None:
        for index in range(50):
            logger.info("{}-{}", number, index)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    said = [line["message"] for line in log.lines]
    assert len(said) == len(set(said)) == 200
