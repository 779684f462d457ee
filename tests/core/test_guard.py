"""The guard: faults of ours are counted and told, never raised into the app."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import pytest

from svcready._core.guard import FaultLog, Foreign, fault_counts, guard
from svcready.errors import DeclarationError
from svcready.testing import FakeClock

if TYPE_CHECKING:
    from tests.conftest import Faults


def fault() -> KeyError:
    """Return an error that was raised, always at the same place."""
    try:
        raise KeyError("k")
    except KeyError as error:
        return error


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_passes(kind: type[BaseException]) -> None:
    """Only `Exception` is caught."""
    with pytest.raises(kind), guard("x"):
        raise kind


def test_a_fault_is_swallowed_and_counted(faults: Faults) -> None:
    """Under the component's name."""
    before = fault_counts().get("test.guard", 0)
    with guard("test.guard"):
        raise KeyError

    assert fault_counts()["test.guard"] == before + 1
    faults.claim("test.guard")


def test_a_site_speaks_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """The same place stays silent for 60 s; another place has its own minute."""
    clock = FakeClock()
    log = FaultLog(clock)
    caplog.set_level(logging.ERROR, "svcready")
    for seconds in (0.0, 30.0, 29.9, 0.2):
        clock.advance(seconds)
        log("x", fault())

    log("x", KeyError("never raised"))

    assert [record.getMessage() for record in caplog.records] == [
        "internal error in x: KeyError"
    ] * 3


def test_each_line_that_uses_something_wrongly_speaks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once a minute for each, though the error is made in one place of ours."""
    log = FaultLog(FakeClock())
    caplog.set_level(logging.ERROR, "svcready")
    for _ in range(2):
        log("metrics", DeclarationError("first"))
        log("metrics", DeclarationError("second"))

    assert [record.getMessage() for record in caplog.records] == [
        "metrics used wrongly: first",
        "metrics used wrongly: second",
    ]


def test_a_fault_while_logging_a_fault_does_not_come_back() -> None:
    """The logging path's own fault ends there."""
    log = FaultLog()
    told: list[str] = []

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())
            log("logging", ValueError("in the handler"))

    logger = logging.getLogger("svcready")
    handler = Broken()
    logger.addHandler(handler)
    try:
        log("x", fault())
    finally:
        logger.removeHandler(handler)

    assert told == ["internal error in x: KeyError"]


def test_who_fails_to_log_a_fault_is_not_heard_by_the_application() -> None:
    """A record factory, filter or handler of somebody else's may fail as well."""
    log = FaultLog()

    def fail(*_: object, **__: object) -> logging.LogRecord:
        raise RuntimeError("of theirs")

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(fail)
    try:
        log("x", fault())
    finally:
        logging.setLogRecordFactory(before)


def test_a_fault_that_cannot_be_read_is_not_heard_either() -> None:
    """An exception may have code of its own that fails."""

    class Unreadable(Exception):
        def __getattribute__(self, name: str) -> object:
            raise RuntimeError(name)

    FaultLog()("x", Unreadable())


def test_sites_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of components cannot make it grow."""
    log = FaultLog(FakeClock())
    caplog.set_level(logging.CRITICAL, "svcready")
    for number in range(1000):
        log(f"c{number}", fault())

    assert len(log._next_at) <= 256


def test_what_an_error_of_others_says_is_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its class, place and function are; no text, no cause and no traceback."""
    log = FaultLog(FakeClock())
    caplog.set_level(logging.ERROR, "svcready")
    for _ in range(2):  # the second one is silent
        try:
            they_ask("hunter2")
        except LookupError as error:
            log("x", Foreign(error))

    log("x", Foreign(LookupError("hunter2")))

    told, never_raised = caplog.records
    text = told.getMessage()
    assert re.sub(r"\(\S+/(\w+\.py):\d+\)", r"(\1)", text) == (
        "x: the application's own code failed: LookupError in they_look (test_guard.py)"
        ", called by they_ask (test_guard.py)"
    )
    assert str(they_look.__code__.co_firstlineno + 5) in text
    assert told.exc_info is None
    assert "hunter2" not in caplog.text
    assert never_raised.getMessage().endswith("failed: LookupError")


def they_ask(key: str) -> None:
    """Stand for a key function of the application's."""
    they_look(key)


def they_look(key: str) -> None:
    """Fail in the depths, with what it was called with in its text."""
    try:
        int(key)
    except ValueError as error:
        raise LookupError(key) from error


def test_a_block_may_be_of_others(faults: Faults) -> None:
    """What is raised in it is told as theirs."""
    with guard("test.guard", foreign=True):
        raise KeyError("hunter2")

    fault = faults.claim("test.guard")
    assert isinstance(fault, Foreign)
    assert "hunter2" not in f"{fault!r}{fault.__cause__}"
