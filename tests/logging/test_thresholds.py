"""Levels of single loggers: who says them, what undoes them, and what is put back."""

from __future__ import annotations

import importlib
import logging
import logging.config
from typing import TYPE_CHECKING

import pytest

from svcready.config._sections.log import LogSettings
from svcready.logging import get_logger
from svcready.logging._thresholds import Temporary, Thresholds
from tests.logging.support import Log, make_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEBUG, INFO, WARN, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR


@pytest.fixture(autouse=True)
def no_levels_left() -> Iterator[None]:
    """Let no test leave a level behind on the loggers that these use."""
    yield
    for name in tuple(logging.Logger.manager.loggerDict):
        if name.partition(".")[0] == "lib":
            logging.getLogger(name).setLevel(logging.NOTSET)


def started(*levels: tuple[str, str], **settings: object) -> Log:
    """Return a running log with levels of single loggers."""
    chosen = LogSettings(levels=levels, **settings)  # type: ignore[arg-type]
    log = make_log(chosen)
    log.pillar.start()
    log.written.clear()
    return log


def said(log: Log) -> list[str]:
    """Return the messages written so far, and forget them."""
    messages = [line["message"] for line in log.lines]
    log.written.clear()
    return messages


def speak(name: str) -> None:
    """Log at each level, by both kinds of loggers."""
    for logger in (get_logger(name), logging.getLogger(name)):
        logger.debug("debug")
        logger.info("info")
        logger.warning("warning")


def test_a_level_counts_for_a_logger_and_those_below() -> None:
    """The longest name wins, and the others have the general level."""
    log = started(("lib", "WARN"), ("lib.db", "DEBUG"), allow_debug=True)
    speak("lib.http.client")
    assert said(log) == ["warning"] * 2

    speak("lib.db.pool")
    assert said(log) == ["debug", "info", "warning"] * 2

    speak("library")
    assert said(log) == ["info", "warning"] * 2
    log.pillar.close()


def test_the_operator_overrides_levels_that_code_sets() -> None:
    """Before the start, later, and on loggers below; at the end code's are back."""
    early = logging.getLogger("lib.early")
    early.setLevel(ERROR)
    log = started(("lib", "INFO"))
    late = logging.getLogger("lib.late")
    late.setLevel(ERROR)
    logging.getLogger("lib").setLevel(ERROR)
    log.pillar.apply_levels()  # what the background does every second
    for name in ("lib", "lib.early", "lib.late"):
        speak(name)

    assert said(log) == ["info", "warning"] * 6

    early.setLevel(WARN)
    log.pillar.apply_levels()
    speak("lib.early")
    assert said(log) == ["info", "warning"] * 2

    log.pillar.close()
    assert logging.getLogger("lib").level == ERROR
    assert late.level == ERROR
    assert early.level == WARN


def test_a_configuration_by_code_does_not_undo_them() -> None:
    """`dictConfig` sets levels as it likes; ours are back when it returns."""
    log = started(("lib.db", "WARN"))
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": True,
            "root": {"level": "ERROR"},
            "loggers": {"lib.db": {"level": "INFO"}, "lib.db.x": {"level": "INFO"}},
        }
    )
    speak("lib.db.x")
    speak("lib.other")
    log.pillar.close()

    assert said(log) == ["warning"] * 2 + ["info", "warning"] * 2


def test_the_roots_level_can_be_said_by_its_name() -> None:
    """`root` is the logger that all inherit from."""
    log = started(("root", "WARN"))
    speak("lib")
    log.pillar.close()

    assert said(log) == ["warning"] * 2


def test_debug_of_one_logger_needs_the_word_too() -> None:
    """In production it is INFO there without it."""
    log = started(("lib", "DEBUG"))
    speak("lib")
    log.pillar.close()

    assert said(log) == ["info", "warning"] * 2


def test_new_settings_take_the_place_of_the_old() -> None:
    """What they no longer say is put back at once."""
    log = started(("lib", "ERROR"))
    log.pillar.reload(LogSettings(level="WARN", levels=(("lib.db", "INFO"),)))
    speak("lib")
    speak("lib.db")
    assert said(log) == ["warning"] * 2 + ["info", "warning"] * 2
    assert log.pillar.level == "WARN"

    log.pillar.reload(LogSettings())
    speak("lib")
    log.pillar.close()
    assert said(log) == ["info", "warning"] * 2


def test_temporary_levels_win() -> None:
    """Over the settings and over code, until they are taken away."""
    log = started(("lib", "WARN"), allow_debug=True)
    thresholds = log.pillar.thresholds
    thresholds.keep({"lib.db": Temporary(DEBUG, 1), "root": Temporary(ERROR, 1)})
    log.pillar.apply_levels()
    speak("lib.db")
    speak("lib")
    speak("other")
    assert said(log) == ["debug", "info", "warning"] * 2 + ["warning"] * 2

    thresholds.keep({})
    log.pillar.apply_levels()
    speak("lib.db")
    speak("other")
    log.pillar.close()
    assert said(log) == ["warning"] * 2 + ["info", "warning"] * 2


def test_what_is_known_of_a_logger() -> None:
    """What was set on it, by whom, and from which level it writes."""
    logging.getLogger("lib.own").setLevel(ERROR)
    log = started(("lib.db", "WARN"), level="INFO")
    log.pillar.thresholds.keep({"lib.now": Temporary(ERROR, 77)})
    log.pillar.apply_levels()
    logging.getLogger("lib.db.pool").setLevel(DEBUG)
    log.pillar.apply_levels()

    found = {it.logger: tuple(it)[1:] for it in log.pillar.thresholds.describe("lib.")}
    (root,) = (
        it for it in log.pillar.thresholds.describe("root") if it.logger == "root"
    )
    log.pillar.close()

    assert found["lib.own"] == ("ERROR", "ERROR", "own", None)
    assert found["lib.db"] == ("WARN", "WARN", "levels", None)
    assert found["lib.db.pool"] == (None, "WARN", "", None)
    assert found["lib.now"] == ("ERROR", "ERROR", "admin", 77)
    assert root == ("root", "INFO", "INFO", "level", None)


def test_a_threshold_is_never_below_what_is_allowed() -> None:
    """Code that sets DEBUG in production writes from INFO on."""
    logging.getLogger("lib.own").setLevel(DEBUG)
    log = started()
    found = log.pillar.thresholds.of("lib.own").effective
    log.pillar.close()

    assert found == "INFO"


def test_names_that_nobody_uses_are_told_from_others() -> None:
    """A module, a logger, or one above another is used; a misspelt name is not."""
    get_logger("lib.ours")
    logging.getLogger("lib.seen.below")
    thresholds = Thresholds(
        "INFO",
        [(it, "WARN") for it in ("json", "lib.ours", "lib.seen", "root", "lib.typo")],
        debug_allowed=False,
    )
    thresholds.apply()
    found = thresholds.strangers()
    thresholds.restore()

    assert found == ("lib.typo",)
    assert "lib.typo" not in thresholds.names()
    assert "lib.seen.below" in thresholds.names()


def test_an_unknown_level_changes_nothing() -> None:
    """It raises, and what was in force stays."""
    log = started(("lib", "WARN"))
    with pytest.raises(ValueError, match="LOUD"):
        log.pillar.set_level("LOUD")

    assert log.pillar.level == "INFO"
    log.pillar.close()


def test_loggers_that_come_after_the_start_are_the_applications_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that is asked for, or imported, after `init()` writes its DEBUG lines."""
    (tmp_path / "late_jobs.py").write_text("")
    log = make_log(LogSettings(level="auto", format="json"), development=True)
    log.pillar.start()
    get_logger("late_reports").debug("asked for")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("late_jobs")
    assert log.pillar.thresholds.watches
    log.pillar.apply_levels()  # as once a second
    logging.getLogger("late_jobs.daily").debug("imported")
    log.pillar.close()

    assert {"asked for", "imported"} <= {line["message"] for line in log.lines}
