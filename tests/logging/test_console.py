from __future__ import annotations

import logging
import re

from svcready._core.context import ContextRecord, activate
from svcready.config._sections.log import LogSettings
from svcready.logging import get_logger
from tests.logging.support import SPAN, TRACE, Log, make_log


def console(*, terminal: bool = False, color: bool = True) -> Log:
    """Make a pillar that writes for people."""
    log = make_log(
        LogSettings(level="auto", color=color), development=True, terminal=terminal
    )
    log.pillar.start()
    log.written.clear()
    return log


def test_a_line_is_time_level_message_fields_trace() -> None:
    """In this order, the trace id shortened and last, without colour in a file."""
    log = console()
    activate(ContextRecord("req-1", "cor-1", TRACE, SPAN, fields={"tenant": "t1"}))
    get_logger("shop").info("accepted", order_id=7, name="two words", odd='a"b')
    log.pillar.close()

    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} INFO  accepted {28} tenant=t1 order_id=7 "
        r'name="two words" odd="a\\"b" trace=4bf92f35\n',
        log.text,
    )


def test_requests_are_aligned() -> None:
    """Method, route, status and duration stand under each other."""
    log = console()
    access = log.pillar.access_log()
    access.write("GET", "/orders/{id}", 200, 0.0123)
    access.write("DELETE", "/", 404, 1.5)
    log.pillar.close()

    first, second = log.text.splitlines()
    assert first.endswith("200     12.3 ms")
    assert second.endswith("404   1500.0 ms")
    assert len(first) == len(second)


def test_colour_is_for_terminals_and_can_be_switched_off() -> None:
    """Only a terminal gets escape sequences, and NO_COLOR's setting stops them."""
    for terminal, color in ((True, True), (True, False), (False, True)):
        log = console(terminal=terminal, color=color)
        get_logger("shop").error("x", a=1)
        log.pillar.close()
        assert ("\x1b[" in log.text) == (terminal and color)


def test_a_traceback_has_own_frames_bright() -> None:
    """Once, under the line; frames of Python's own library are dimmed."""
    import json

    log = console(terminal=True)
    try:
        json.loads("{")
    except ValueError:
        get_logger("shop").exception("bad input")

    log.pillar.close()

    own = [line for line in log.text.splitlines() if "test_console.py" in line]
    theirs = [line for line in log.text.splitlines() if "json/decoder.py" in line]
    assert len(own) == 1
    assert not own[0].startswith("\x1b[2m")
    assert all("\x1b[2m" in line for line in theirs[:1])
    assert log.text.count("JSONDecodeError") == 1


def test_chains_are_shown_whole() -> None:
    """An error with a cause is printed as Python prints it."""
    log = console(terminal=True)
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error
    except ValueError:
        get_logger("shop").exception("bad")

    log.pillar.close()

    assert "direct cause" in log.text


def test_control_characters_do_not_reach_the_terminal() -> None:
    """A log line can't move the cursor or forge another line's start."""
    log = console()
    get_logger("shop").info("a\x1b[2Jb\nc\r", key="\x1b[31m")
    log.pillar.close()

    assert "\x1b" not in log.text
    assert "\r" not in log.text
    assert "\n" + " " * len("12:34:56.789 INFO  ") + "c" in log.text


def test_the_form_follows_the_place() -> None:
    """JSON in production, console in development or on a terminal; or as set."""
    chosen = [
        make_log(development=False, terminal=False),
        make_log(development=False, terminal=True),
        make_log(development=True, terminal=False),
        make_log(LogSettings(format="json"), development=True, terminal=True),
        make_log(LogSettings(format="console")),
    ]

    assert [log.pillar.describe()["format"] for log in chosen] == [
        "json",
        "console",
        "console",
        "json",
        "console",
    ]


def test_stdlib_records_and_spans_are_shown() -> None:
    """A record of any logger comes out, with the current span's trace."""
    log = make_log(development=True, span_ids=lambda: (TRACE, SPAN))
    log.pillar.start()
    logging.getLogger("lib").warning("x %s", 1)
    log.pillar.identify()
    log.pillar.close()

    assert re.search(r"WARN  x 1 +trace=4bf92f35$", log.text.rstrip())
