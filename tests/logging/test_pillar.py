from __future__ import annotations

import logging
import logging.config
import sys
import threading
import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from svcready._core.redaction import Redactor
from svcready.config._sections.log import LogSettings
from svcready.logging import get_logger
from svcready.logging._handler import LineHandler
from svcready.testing import FakeClock
from tests.logging.support import Identity, Listener, Log, make_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Faults

DICT_CONFIG = {
    "version": 1,
    "disable_existing_loggers": True,
    "handlers": {"null": {"class": "logging.NullHandler"}},
    "root": {"level": "ERROR", "handlers": ["null"]},
}


@pytest.fixture
def uvicorns() -> Iterator[logging.Logger]:
    """Return the logger `uvicorn` as uvicorn configures it."""
    logger = logging.getLogger("uvicorn")
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield logger
    logger.handlers = []
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def ours() -> list[logging.Handler]:
    """List our handlers on the root logger."""
    return [h for h in logging.getLogger().handlers if isinstance(h, LineHandler)]


def test_a_hundred_starts_are_one_handler() -> None:
    """Neither starting again nor a pillar that was never closed adds a second."""
    log = make_log()
    for _ in range(100):
        log.pillar.start()

    other = make_log()
    other.pillar.start()
    get_logger("shop").info("x")
    logging.getLogger("lib").warning("y")

    assert ours() == [other.pillar.handler]
    assert log.lines == []
    assert len(other.lines) == 2
    other.pillar.close()
    log.pillar.close()
    assert ours() == []


def test_close_puts_everything_back(uvicorns: logging.Logger) -> None:
    """Levels, handlers, propagation and hooks are as they were before the start."""
    root = logging.getLogger()
    root.setLevel(logging.ERROR)

    def state() -> list[object]:
        return [
            root.level,
            root.handlers[:],
            [h for h in uvicorns.handlers if type(h) is logging.StreamHandler],
            uvicorns.propagate,
            warnings.showwarning,
            sys.excepthook,
            threading.excepthook,
            logging.config.dictConfigClass,
            logging.config.fileConfig,
        ]

    before = state()
    log = make_log()
    log.pillar.start()
    during = state()
    log.pillar.access_log()
    log.pillar.close()
    log.pillar.close()

    assert all(now != then for now, then in zip(during, before, strict=True))
    assert state() == before


def test_a_hook_that_came_after_ours_stays() -> None:
    """What somebody set while we ran is not taken away from them."""
    log = make_log()
    before = sys.excepthook
    log.pillar.start()

    def theirs(*args: object) -> None:
        pass

    sys.excepthook = theirs
    log.pillar.close()
    assert sys.excepthook is theirs
    sys.excepthook = before


def test_a_server_is_unified_whichever_comes_first(uvicorns: logging.Logger) -> None:
    """Its own handler goes, its lines come out once as ours, with its level."""
    log = make_log()
    log.pillar.start()
    logging.getLogger("uvicorn.error").info("started")
    uvicorns.addHandler(logging.StreamHandler(sys.stdout))
    uvicorns.propagate = False
    log.pillar.unify()
    logging.getLogger("uvicorn.error").info("again")
    log.pillar.close()

    assert [line["message"] for line in log.lines] == ["started", "again"]


def test_dict_config_after_us_is_survived(log: Log) -> None:
    """Django's way, which disables all loggers it doesn't know and resets the root."""
    bare, std = get_logger("shop.early"), logging.getLogger("shop.plain")
    deliberately = logging.getLogger("shop.silent")
    deliberately.disabled = True

    logging.config.dictConfig(DICT_CONFIG)
    bare.info("one")
    std.info("two")
    deliberately.error("no")
    deliberately.disabled = False
    logging.getLogger().handlers = []  # theirs, not to be left to other tests
    log.pillar.unify()

    assert [
        line["message"] for line in log.lines if "not ours" not in line["message"]
    ] == [
        "one",
        "two",
    ]
    assert len(ours()) == 1


def test_file_config_after_us_is_survived(
    log: Log, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The older way of configuring, as Alembic's template does it."""
    file = tmp_path_factory.mktemp("log") / "logging.ini"
    file.write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=\n[formatters]\nkeys=\n"
        "[logger_root]\nlevel=ERROR\nhandlers=\n"
    )
    bare = get_logger("shop.early")

    logging.config.fileConfig(file)
    bare.info("one")

    assert log.last["message"] == "one"


def test_handlers_we_do_not_know_stay_and_are_told_once() -> None:
    """An application's own handler goes on, and the operator hears of it."""
    listener = Listener()
    logging.getLogger().addHandler(listener)
    log = make_log()
    log.pillar.start()
    log.pillar.unify()
    late = Listener()
    logging.getLogger("shop.other").addHandler(late)
    log.pillar.unify()
    log.pillar.unify()
    logging.getLogger("lib").warning("x")
    logging.getLogger("shop.other").removeHandler(late)
    logging.getLogger().removeHandler(listener)
    log.pillar.close()

    told = log.pillar.describe()["notes"]
    assert isinstance(told, list)
    notes = [note for note in told if note.startswith("Listener")]  # not the runner's
    assert ["'root'" in notes[0], "'shop.other'" in notes[1]] == [True, True]
    assert len(notes) == 2
    assert [line["message"] for line in log.lines] == [notes[1], "x"]
    assert [record.getMessage() for record in listener.records] == [notes[1], "x"]


def test_debug_needs_a_word_in_production() -> None:
    """It is refused, also for a logger that code has set to DEBUG."""
    log = make_log(LogSettings(level="DEBUG"))
    log.pillar.start()
    bare = get_logger("shop.debug")
    std = logging.getLogger("shop.debug")
    std.setLevel(logging.DEBUG)
    bare.debug("no")
    std.debug("no")
    bare.info("yes")
    std.setLevel(logging.NOTSET)
    log.pillar.close()

    assert [line["message"] for line in log.lines] == ["yes"]
    assert log.pillar.level == "INFO"
    assert log.pillar.describe()["notes"] == []  # the configuration reports it

    allowed = make_log(LogSettings(level="DEBUG", allow_debug=True))
    allowed.pillar.start()
    bare.debug("yes")
    allowed.pillar.close()
    assert allowed.last["level"] == "DEBUG"


def test_a_handler_that_says_nothing_is_no_news(log: Log) -> None:
    """Libraries have a `NullHandler`, some (older botocores) of their own making."""

    class NullHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            pass

    library, quiet = logging.getLogger("shop.library"), NullHandler()
    library.addHandler(quiet)
    library.addHandler(logging.NullHandler())
    log.pillar.unify()
    told = log.pillar.describe()["notes"]
    library.handlers.clear()

    assert isinstance(told, list)
    assert [note for note in told if "shop.library" in note] == []


def test_auto_is_debug_for_the_application_only() -> None:
    """In development the application's own loggers say more than the libraries'."""
    log = make_log(LogSettings(level="auto", format="json"), development=True)
    log.pillar.start()
    get_logger("shop.api").debug("ours")
    logging.getLogger("shop.stdlib").debug("ours too")
    logging.getLogger("jsonschema.validators").debug("theirs")
    logging.getLogger("jsonschema.validators").info("theirs, and worth it")
    log.pillar.close()

    assert [line["message"] for line in log.lines] == [
        "ours",
        "ours too",
        "theirs, and worth it",
    ]
    assert log.pillar.describe()["level"] == "auto"
    assert logging.getLogger("shop").level == logging.NOTSET


def test_the_level_can_be_changed(log: Log) -> None:
    """At run time, for all loggers at once."""
    bare = get_logger("shop")
    log.pillar.set_level("ERROR")
    bare.warning("no")
    bare.error("yes")
    log.pillar.set_level("INFO")
    bare.info("yes")

    assert [line["message"] for line in log.lines] == ["yes", "yes"]


def test_an_unhandled_error_is_said_once(log: Log) -> None:
    """Our line wins; the server's and the framework's about the same are muted."""
    with pytest.raises(ValueError, match="boom") as caught:
        raise ValueError("boom")

    error = caught.value
    assert log.pillar.log_exception(error, "request failed", route="/x")
    assert not log.pillar.log_exception(error)
    for server in ("uvicorn.error", "gunicorn.error", "django.request"):
        logging.getLogger(server).error("it failed", exc_info=error)

    logging.getLogger("shop").error("the application's own word", exc_info=error)

    first, second = log.lines
    assert first["message"] == "request failed"
    assert first["level"] == "ERROR"
    assert first["context"] == {"route": "/x"}
    assert first["error"]["type"] == "ValueError"
    assert first["source"]["function"] == "test_an_unhandled_error_is_said_once"
    assert second["message"] == "the application's own word"


def test_an_error_that_takes_no_mark_is_still_written(log: Log) -> None:
    """An exception class may refuse attributes."""

    class Closed(Exception):
        @property
        def __dict__(self) -> dict[str, object]:  # type: ignore[override]
            return {}

    assert log.pillar.log_exception(Closed())
    assert log.last["error"]["type"].endswith("Closed")


def test_events_are_lines_of_ours(log: Log) -> None:
    """The runtime's own lines carry the library's name and their fields."""
    log.pillar.event(
        "started", "INFO", event="svcready.started", level="x", message="y"
    )

    assert log.last["event"] == "svcready.started"
    assert log.last["source"]["logger"] == "svcready"
    assert log.last["context"] == {"level": "x", "message": "y"}


def test_a_warning_is_a_line(log: Log) -> None:
    """Category and file are fields; `showwarning` to a file goes on as before."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)

    assert log.last["message"] == "old ways"
    assert log.last["level"] == "WARN"
    assert log.last["source"]["logger"] == "py.warnings"
    assert log.last["context"]["category"] == "DeprecationWarning"


def test_a_fault_of_ours_is_reported_and_never_raised(log: Log, faults: Faults) -> None:
    """Whatever breaks inside, the application goes on, on each way into the log."""

    def fail(*args: object) -> bytes:
        raise LookupError

    access = log.pillar.access_log()
    handler = log.pillar.handler
    handler.line = fail  # type: ignore[assignment]
    handler.lines = SimpleNamespace(line=fail, request_line=fail)
    get_logger("shop").info("x")
    logging.getLogger("lib").warning("x")
    access.write("GET", "/", 200, 0.1)

    assert [type(faults.claim("logging")) for _ in range(3)] == [LookupError] * 3


def test_a_filter_of_theirs_that_fails_stays_with_us(log: Log, faults: Faults) -> None:
    """Neither `init()` nor a failing request hears of it when we have to log."""

    def fail(_: logging.LogRecord) -> bool:
        raise RuntimeError("theirs")

    logger = logging.getLogger("svcready")
    logger.addFilter(fail)
    try:
        log.pillar.event("hello", "INFO")
        said = log.pillar.log_exception(KeyError("k"))
    finally:
        logger.removeFilter(fail)

    assert said
    assert [str(faults.claim("logging")) for _ in range(2)] == ["theirs"] * 2


def test_others_may_call_emit_and_filters_may_replace(log: Log) -> None:
    """A queue listener calls `emit`; a filter may return another record (3.12)."""
    record = logging.LogRecord("lib", 30, "/x.py", 1, "one", (), None)
    log.pillar.handler.emit(record)
    other = logging.LogRecord("lib", 30, "/x.py", 1, "other", (), None)
    log.pillar.handler.filter = lambda _: other  # type: ignore[assignment, method-assign, return-value]
    log.pillar.handler.filters.append(lambda _: True)
    logging.getLogger("lib").warning("two")
    log.pillar.handler.filters.clear()
    del log.pillar.handler.filter

    assert [line["message"] for line in log.lines] == ["one", "other"]


def test_without_standard_output_of_its_own_it_uses_the_processes() -> None:
    """A pillar that was given no writer has a channel, and says what it lost."""
    pillar = make_log().pillar
    own = type(pillar)(
        LogSettings(),
        identity=Identity(),
        development=False,
        clock=FakeClock(),
        redactor=Redactor(),
        span_ids=lambda: None,
        stdout_is_terminal=False,
    )

    assert own.flush(0.1)
    assert own.drain(0.1)
    assert own.dropped == {}
    assert own.describe()["delivery"] == "hybrid"
    assert pillar.describe()["delivery"] == "given"
    assert pillar.flush(0)
