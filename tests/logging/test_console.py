from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import pty
import re
import struct
import sys
import termios
from unicodedata import east_asian_width

import pytest

from svcready._core.context import ContextRecord, activate
from svcready.config._sections.log import LogSettings
from svcready.logging import get_logger
from svcready.logging._lines._console import ConsoleLines
from tests.architecture.house import run_clean
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


def in_terminal(width: int) -> Log:
    """Make a pillar that writes into a terminal of that many columns."""
    log = make_log(LogSettings(level="auto"), development=True, terminal=True)
    lines = log.pillar.handler.lines
    assert isinstance(lines, ConsoleLines)
    lines._width = lambda: width
    log.pillar.start()
    log.written.clear()
    return log


def rows_of(log: Log) -> list[str]:
    """Return what was written by rows, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", log.text).splitlines()


def columns(text: str) -> int:
    """Count the columns that a terminal needs."""
    return sum(2 if east_asian_width(char) in {"W", "F"} else 1 for char in text)


SENTENCE = (
    "a message of many words that is longer than its terminal is wide, as some are"
)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_rows_fit_the_terminals_width(width: int) -> None:
    """Messages are wrapped between words, fields behind or below, values cut last."""
    log = in_terminal(width)
    get_logger("shop").info(SENTENCE, order_id=7, sql="x" * 70, ids=list(range(30)))
    get_logger("shop").info("日本語" * 6 + " " + "日本語" * 6, 名前="値" * 90)
    log.pillar.close()
    rows = rows_of(log)

    assert all(columns(row) <= width for row in rows)
    indent = " " * len("12:34:56.789 INFO  ")
    later = [row for row in rows if not re.match(r"\d\d:", row)]
    assert all(row.startswith(indent) and row[len(indent)] != " " for row in later)
    text = " ".join(row[len(indent) :].strip() for row in rows)
    assert SENTENCE in text
    assert "order_id=7" in text
    assert "x" * 70 in text.replace(" ", "")


def test_a_word_is_never_broken_by_us() -> None:
    """One that is longer than the row is left to the terminal."""
    log = in_terminal(40)
    get_logger("shop").info("see " + "u" * 50 + " there")
    log.pillar.close()

    assert "u" * 50 in log.text
    assert [row.split()[-1] for row in rows_of(log)] == ["see", "u" * 50, "there"]


def test_a_very_long_value_says_how_much_is_left_out() -> None:
    """Four rows of it are shown; where the width is unknown all of it is."""
    log = in_terminal(80)
    get_logger("shop").info("x", text="y" * 5000)
    log.pillar.close()
    assert len(rows_of(log)) == 5
    shown = log.text.count("y")
    assert f"… {5000 - shown} more" in log.text

    log = in_terminal(0)
    get_logger("shop").info("x", text="y" * 5000)
    log.pillar.close()
    assert log.text.count("y") == 5000


def test_rows_of_a_message_stand_under_each_other() -> None:
    """The second begins where the first did; fields follow the last."""
    log = console()
    get_logger("shop").warning("first\nsecond", left=2)
    log.pillar.close()
    first, second = log.text.splitlines()

    assert first.index("first") == second.index("second")
    assert second.endswith("left=2")


def test_chains_and_groups_are_coloured_too() -> None:
    """In each of the tracebacks own frames stand out and the rest is dimmed."""
    import json

    log = console(terminal=True)
    try:
        try:
            json.loads("{")
        except ValueError as error:
            raise ExceptionGroup("two", [KeyError("k"), error]) from error
    except ExceptionGroup:
        get_logger("shop").exception("bad")

    log.pillar.close()
    rows = log.text.splitlines()
    own = [row for row in rows if "test_console.py" in row]
    theirs = [row for row in rows if "/json/" in row]
    errors = [row for row in rows if "\x1b[1;31m" in row]

    assert len(own) >= 2
    assert all("\x1b[1m" in row and "\x1b[2m" not in row for row in own)
    assert len(theirs) >= 4
    assert all(row.startswith("\x1b[2m") for row in theirs)
    named = [re.sub(r"\x1b\[[0-9;]*m", "", row).strip(" |") for row in errors]
    assert [row.partition(":")[0] for row in named] == [
        "json.decoder.JSONDecodeError",
        "ExceptionGroup",
        "KeyError",
        "json.decoder.JSONDecodeError",
    ]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", log.text)
    assert "Exception Group Traceback (most recent call last):" in plain


def test_an_exceptions_text_cannot_move_the_cursor() -> None:
    """Its control characters are written out as those of a message are."""
    for terminal in (True, False):
        log = console(terminal=terminal)
        try:
            raise ValueError("a\x1b[2J\x9b\u202eb")
        except ValueError:
            get_logger("shop").exception("bad")

        log.pillar.close()
        assert "\x1b[2J" not in log.text
        assert not {"\x9b", "\u202e"} & set(log.text)


def test_the_library_for_rich_text_is_not_imported() -> None:
    """Not even for a traceback: ours is as readable, and shows no local values."""
    code = """
import sys, svcready
svcready.init(service="orders", environment="development")
try:
    1 / 0
except ZeroDivisionError:
    svcready.get_logger("shop").exception("bad")
print("rich" in sys.modules)
"""
    assert run_clean(code).rstrip().splitlines()[-1] == "False"


def test_in_a_real_terminal() -> None:
    """A service in a pseudo-terminal of 70 columns: colours, and rows that fit."""
    code = """
import svcready
svcready.init(service="orders", environment="development")
svcready.get_logger("shop").info("accepted", **{f"key{i}": "value" for i in range(20)})
svcready.shutdown()
"""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover - becomes the service
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 70, 0, 0))
        os.execv(sys.executable, [sys.executable, "-c", code])

    printed = b""
    with contextlib.suppress(OSError):  # the other end is gone
        while block := os.read(terminal, 65536):
            printed += block

    os.close(terminal)
    os.waitpid(pid, 0)
    text = printed.decode()
    rows = [row for row in text.splitlines() if "key" in row]
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", row).rstrip() for row in rows]

    assert "\x1b[2m" in text
    assert len(plain) >= 3
    assert all(len(row) <= 70 for row in plain)
    assert sum(row.count("=value") for row in plain) == 20
