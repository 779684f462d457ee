from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING

import pytest

from svcready.logging import get_logger
from tests.logging.support import Listener, Log, make_log

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Return somebody else's handler on the root logger."""
    made = Listener()
    root = logging.getLogger()
    root.addHandler(made)
    root.setLevel(logging.INFO)
    yield made
    root.removeHandler(made)


def test_before_init_it_is_stdlibs_logger(listener: Listener) -> None:
    """A line goes wherever stdlib's logger of that name sends it, fields and all."""
    bare = get_logger("shop").bind(tenant="t1")

    bare.info("order %s", 7, items=3)
    bare.debug("not enabled")

    (record,) = listener.records
    assert record.getMessage() == "order 7"
    assert record.name == "shop"
    assert record.__dict__["items"] == 3
    assert record.__dict__["tenant"] == "t1"
    assert record.funcName == "test_before_init_it_is_stdlibs_logger"
    assert record.filename == "test_logger.py"


def test_fields_never_overwrite_what_a_record_has(listener: Listener) -> None:
    """Where stdlib's `extra=` raises, a field named like an attribute is harmless."""
    get_logger("shop").info("x", name="ann", args=1, message="m", levelno=3)

    (record,) = listener.records
    assert (record.name, record.levelno, record.getMessage()) == ("shop", 20, "x")


def test_everybody_who_listens_gets_a_proper_record(
    log: Log, listener: Listener
) -> None:
    """With another handler in the chain both see the line, ours with the fields."""
    get_logger("shop").info("order %s", 7, items=3, name="ann")

    (record,) = listener.records
    assert record.getMessage() == "order 7"
    assert log.last["message"] == "order 7"
    assert log.last["context"] == {"items": 3, "name": "ann"}
    assert log.last["source"]["function"].endswith("gets_a_proper_record")


def test_a_handler_anywhere_in_the_chain_counts(log: Log) -> None:
    """A handler on a parent, added after the first line, sees the next."""
    bare = get_logger("shop.orders.api")
    bare.info("one")
    listener = Listener()
    parent = logging.getLogger("shop.orders")
    parent.addHandler(listener)
    bare.info("two")
    parent.propagate = False
    bare.info("three")
    parent.propagate = True
    parent.removeHandler(listener)
    bare.info("four")

    assert [record.msg for record in listener.records] == ["two", "three"]
    assert [line["message"] for line in log.lines] == ["one", "two", "four"]


def test_filters_and_disabled_loggers_are_honoured(log: Log) -> None:
    """What stdlib would drop is dropped."""
    std = logging.getLogger("shop.filtered")
    bare = get_logger("shop.filtered")
    drop = type("Drop", (), {"filter": lambda self, record: record.msg != "drop"})()
    std.addFilter(drop)
    bare.info("drop")
    bare.info("keep")
    std.removeFilter(drop)
    std.disabled = True
    bare.info("disabled")
    std.disabled = False
    log.pillar.handler.addFilter(drop)
    bare.info("drop")
    std.info("drop")
    log.pillar.handler.removeFilter(drop)

    assert [line["message"] for line in log.lines] == ["keep"]


def test_a_record_factory_is_honoured(log: Log) -> None:
    """A factory that adds attributes sees our lines too, and they are context."""
    before = logging.getLogRecordFactory()

    def factory(*args: object, **kwargs: object) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.__dict__["tenant"] = "t1"
        return record

    logging.setLogRecordFactory(factory)
    try:
        logging.getLogger("lib").warning("x")
    finally:
        logging.setLogRecordFactory(before)

    assert log.last["context"] == {"tenant": "t1"}


def test_levels_change_at_once(log: Log) -> None:
    """Our logger keeps no answer of its own about what is enabled."""
    bare = get_logger("shop.levels")
    std = logging.getLogger("shop.levels")
    bare.info("one")
    assert bare.isEnabledFor("INFO")
    std.setLevel(logging.ERROR)
    bare.info("no")
    assert not bare.isEnabledFor(logging.INFO)
    std.setLevel(logging.NOTSET)
    logging.disable(logging.INFO)
    bare.info("no")
    logging.disable(logging.NOTSET)
    bare.info("two")

    assert [line["message"] for line in log.lines] == ["one", "two"]


def test_all_methods_write_their_level(log: Log) -> None:
    """Each method has its level; `log` takes names too."""
    logging.getLogger("shop.all").setLevel(logging.DEBUG)
    log.pillar.handler.setLevel(logging.NOTSET)
    bare = get_logger("shop.all")
    bare.debug("m")
    bare.info("m")
    bare.warning("m")
    bare.error("m")
    bare.exception("m")
    bare.critical("m")
    bare.log("WARN", "m")
    bare.log("critical", "m")
    bare.log(10, "m")
    logging.getLogger("shop.all").setLevel(logging.NOTSET)

    assert [line["level"] for line in log.lines] == [
        *("DEBUG", "INFO", "WARN", "ERROR", "ERROR", "FATAL"),
        *("WARN", "FATAL", "DEBUG"),
    ]
    with pytest.raises(ValueError, match="LOUD"):
        bare.log("LOUD", "m")


def test_stdlibs_own_keywords_mean_what_they_mean_there(log: Log) -> None:
    """`extra` gives fields, `stacklevel` the caller's caller, `stack_info` a stack."""

    def helper() -> None:
        get_logger("shop").info("x", stacklevel=2, extra={"a": 1, "b": 1}, b=2)

    helper()
    get_logger("shop").info("y", stack_info=True)
    get_logger("shop").info("z", stacklevel=10_000)

    first, second, third = log.lines
    assert first["context"] == {"a": 1, "b": 2}
    assert first["source"]["function"] == (
        "test_stdlibs_own_keywords_mean_what_they_mean_there"
    )
    assert "test_logger.py" in second["context"]["stack_info"]
    assert third["message"] == "z"


def test_a_logger_survives_pickle() -> None:
    """A bound logger may sit in an object that is sent to another process."""
    again = pickle.loads(pickle.dumps(get_logger("shop").bind(a=1)))

    assert again.name == "shop"
    assert repr(again) == "<svcready.Logger 'shop'>"


def test_loggers_made_before_follow_every_pillar() -> None:
    """A logger made at import writes to whichever pillar runs."""
    bare = get_logger("shop")
    first, second = make_log(), make_log()
    first.pillar.start()
    bare.info("one")
    first.pillar.close()
    bare.info("nowhere")
    second.pillar.start()
    bare.info("two")
    second.pillar.close()

    assert [line["message"] for line in first.lines] == ["one"]
    assert [line["message"] for line in second.lines] == ["two"]
