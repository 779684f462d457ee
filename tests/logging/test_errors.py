from __future__ import annotations

import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING

import pytest

from svcready._core.redaction import Redactor
from svcready.logging import get_logger
from svcready.logging._lines._errors import ErrorTexts

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.logging.support import Log


def texts(max_frames: int = 100) -> ErrorTexts:
    """Make a renderer."""
    return ErrorTexts(Redactor(), max_frames)


def caught(function: Callable[[], object]) -> BaseException:
    """Return what *function* raises."""
    try:
        function()
    except BaseException as error:  # noqa: BLE001
        return error

    pytest.fail("nothing was raised")


def plain() -> None:
    """Raise a plain error on a line that gets carets."""
    {"a": 1}["b"] + len("x")


def caused() -> None:
    """Raise with a cause."""
    try:
        plain()
    except KeyError as error:
        raise ValueError("bad") from error


def in_handler() -> None:
    """Raise while handling another, twice."""
    try:
        caused()
    except ValueError:
        raise RuntimeError  # noqa: B904


def suppressed() -> None:
    """Raise without the context."""
    try:
        plain()
    except KeyError:
        raise ValueError("bad") from None


def recursive(depth: int = 30) -> None:
    """Raise below many equal frames."""
    if depth:
        recursive(depth - 1)
    else:
        raise ValueError("bottom")


def noted() -> None:
    """Raise with notes."""
    error = ValueError("multi\nline")
    error.add_note("first\nsecond")
    error.add_note("third")
    raise error


def named() -> None:
    """Raise an error that newer Pythons make a suggestion for."""
    strange = 1  # noqa: F841
    strang  # type: ignore[name-defined]  # noqa: B018, F821


def attribute() -> None:
    """Raise an error about an attribute."""
    sys.exi  # type: ignore[attr-defined]  # noqa: B018


def syntax() -> None:
    """Raise a syntax error."""
    compile("a b", "<made>", "exec")


def group() -> None:
    """Raise a group with a group inside."""
    raise BaseExceptionGroup(
        "many", [caught(plain), ExceptionGroup("in", [ValueError(1)])]
    )


def circular() -> None:
    """Raise errors that are each other's cause."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


def executed() -> None:
    """Raise from code without a source."""
    exec("1/0", {})


class BrokenError(Exception):
    """Can't say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("str")


def broken() -> None:
    """Raise the broken error."""
    raise BrokenError


RAISERS = [
    plain,
    caused,
    in_handler,
    suppressed,
    recursive,
    noted,
    named,
    attribute,
    syntax,
    group,
    circular,
    executed,
    broken,
]


@pytest.mark.parametrize("raiser", RAISERS, ids=lambda raiser: raiser.__name__)
def test_the_stack_is_what_traceback_prints(raiser: Callable[[], object]) -> None:
    """Character by character, the first time and from the cache."""
    error = caught(raiser)
    expected = "".join(traceback.format_exception(error))
    render = texts()

    assert render.fields(error)["stack"] == expected
    assert render.fields(error)["stack"] == expected


def test_an_error_without_traceback_has_its_last_line_only() -> None:
    """An exception that was never raised has no frames."""
    fields = texts().fields(LookupError("x"))

    assert fields["stack"] == "LookupError: x\n"


def test_types_are_named_with_their_module() -> None:
    """Built-in ones are named alone, as Python does."""
    assert texts().fields(KeyError())["type"] == "KeyError"
    assert texts().fields(BrokenError())["type"].endswith("test_errors.BrokenError")


def test_the_fingerprint_is_of_the_place_not_the_words() -> None:
    """Two failures of one kind at one place are one; another place is another."""

    def fail(value: object) -> None:
        raise ValueError(value)

    same = {
        texts().fields(caught(partial(fail, value)))["fingerprint"]
        for value in (1, "other")
    }
    elsewhere = texts().fields(caught(caused))["fingerprint"]

    assert len(same) == 1
    assert elsewhere not in same


def test_a_deep_stack_loses_its_middle_and_says_so() -> None:
    """Of 31 + 1 frames with a limit of 10, the first and last five stay."""
    stack = texts(10).fields(caught(recursive))["stack"]

    assert "frames left out]" in stack
    assert stack.startswith("Traceback (most recent call last):\n")
    assert stack.endswith("ValueError: bottom\n")


def test_secrets_in_messages_and_chains_are_hidden() -> None:
    """Also in the error that caused the one that was raised."""

    def inner() -> None:
        raise ConnectionError("amqp://user:hunter2@mq/")

    def outer() -> None:
        try:
            inner()
        except ConnectionError as error:
            raise ValueError(f"password=hunter2") from error  # noqa: F541

    assert "hunter2" not in str(texts().fields(caught(outer)))


def test_a_line_has_the_error(log: Log) -> None:
    """`exception` and `exc_info` in its forms give the member `error`."""
    error = caught(plain)
    bare = get_logger("shop")
    try:
        plain()
    except KeyError:
        bare.exception("one")
        bare.error("two", exc_info=True)

    bare.warning("three", exc_info=error)
    bare.warning("four", exc_info=(type(error), error, error.__traceback__))
    bare.info("five", exc_info=(None, None, None))
    bare.info("six", exc_info=False)

    assert [line.get("error", {}).get("type") for line in log.lines] == [
        *["KeyError"] * 4,
        None,
        None,
    ]


def test_no_message_is_shown_where_every_value_is_hidden() -> None:
    """A redaction pattern that does not compile hides what exceptions say, too."""
    texts = ErrorTexts(Redactor(patterns=("(",)), 100, hidden=True)
    try:
        try:
            raise ValueError("C-12345678")
        except ValueError as cause:
            raise ExceptionGroup("C-12345678", [KeyError("C-12345678")]) from cause
    except ExceptionGroup as error:
        fields = texts.fields(error)
        last = texts.last_lines(error)

    assert "C-12345678" not in repr(fields).replace('("C-12345678")', "") + last
    assert fields["message"] == "[redacted:mask-all]"
    assert "ExceptionGroup: [redacted:mask-all]" in fields["stack"]
