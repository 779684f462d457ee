from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from svcready._core.redaction import Redactor
from svcready.config._sections.log import LogSettings
from svcready.logging import get_logger
from svcready.logging._lines._errors import ErrorFields, ErrorTexts
from tests.logging.support import make_log

if TYPE_CHECKING:
    from collections.abc import Callable


def fields(raiser: Callable[[], object]) -> ErrorFields:
    """Return the object for what *raiser* raises."""
    try:
        raiser()
    except BaseException as error:  # noqa: BLE001
        return ErrorTexts(Redactor(), 100).fields(error)

    pytest.fail("nothing was raised")


def relations(found: ErrorFields) -> list[tuple[str, str, str]]:
    """Return type, message and relation of each cause."""
    return [(c["type"], c["message"], c["relation"]) for c in found.get("causes", [])]


def fail(kind: type[Exception] = KeyError, text: str = "k") -> None:
    """Raise an error."""
    raise kind(text)


def wrap(inner: Callable[[], object]) -> None:
    """Raise an error from another."""
    try:
        inner()
    except Exception as error:
        raise RuntimeError("wrapped") from error


def stumble(inner: Callable[[], object]) -> None:
    """Raise an error while handling another."""
    try:
        inner()
    except Exception:  # noqa: BLE001
        raise RuntimeError("stumbled")  # noqa: B904


def test_an_error_alone_has_no_causes() -> None:
    """The member is left out."""
    assert "causes" not in fields(fail)


def test_a_chain_is_in_order_the_nearest_first() -> None:
    """With how each is related to the one before it."""
    found = fields(lambda: wrap(lambda: stumble(lambda: wrap(fail))))

    assert relations(found) == [
        ("RuntimeError", "stumbled", "cause"),
        ("RuntimeError", "wrapped", "context"),
        ("KeyError", "'k'", "cause"),
    ]


def test_from_none_hides_the_context() -> None:
    """As in Python's own traceback."""

    def hide() -> None:
        try:
            fail()
        except KeyError:
            raise ValueError("said") from None

    assert "causes" not in fields(hide)


def made(raiser: Callable[[], object]) -> Exception:
    """Return what *raiser* raises."""
    try:
        raiser()
    except Exception as error:  # noqa: BLE001
        return error

    pytest.fail("nothing was raised")


def test_members_of_a_group_follow_it_each_with_what_is_behind_it() -> None:
    """Also of a group in a group, and after the group's own cause."""

    def group() -> None:
        inner = ExceptionGroup("inner", [ValueError("b"), TypeError("c")])
        raise ExceptionGroup("outer", [made(lambda: wrap(fail)), inner]) from OSError(
            "first"
        )

    found = fields(group)

    assert [cause["depth"] for cause in found["causes"]] == [1, 1, 2, 1, 2, 2]
    assert relations(found) == [
        ("OSError", "first", "cause"),
        ("RuntimeError", "wrapped", "group"),
        ("KeyError", "'k'", "cause"),
        ("ExceptionGroup", "inner (2 sub-exceptions)", "group"),
        ("ValueError", "b", "group"),
        ("TypeError", "c", "group"),
    ]


def test_what_is_left_out_is_said() -> None:
    """Sixteen are told, the others counted."""

    def group() -> None:
        raise ExceptionGroup("many", [ValueError(str(i)) for i in range(50)])

    found = fields(group)

    assert [message for _, message, _ in relations(found)] == [
        str(number) for number in range(16)
    ]
    assert found["causes_cut"] == 34


def test_a_circle_ends() -> None:
    """Errors that are each other's cause are told once."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first

    def circle() -> None:
        raise first

    assert relations(fields(circle)) == [("ValueError", "second", "cause")]


def test_secrets_of_causes_are_hidden_before_they_are_cut() -> None:
    """A long message is cut, what is left of it holds no secret."""
    secret = "amqp://user:hunter2@mq/"

    def leak() -> None:
        wrap(lambda: fail(ValueError, "x" * 145 + " " + secret + "y" * 200))

    ((_, message, _),) = relations(fields(leak))

    assert len(message) == 160
    assert message.endswith("…")
    assert "hunter2" not in message


def test_the_fingerprint_tells_wrapped_failures_apart() -> None:
    """One wrapper for all failures doesn't make them one; an accident counts not."""
    by_key = fields(lambda: wrap(fail))
    by_value = fields(lambda: wrap(lambda: fail(ValueError)))

    assert by_key["fingerprint"] != by_value["fingerprint"]

    prints = {
        fields(partial(stumble, partial(fail, kind)))["fingerprint"]
        for kind in (KeyError, ValueError)
    }
    assert len(prints) == 1


def test_the_fingerprint_of_a_group_is_of_the_kinds_in_it() -> None:
    """How many failed in the same way, and in which order, counts not."""

    def group(*kinds: type[Exception]) -> str:
        def raiser() -> None:
            errors = [made(partial(fail, kind)) for kind in kinds]
            raise ExceptionGroup("many", errors)

        return fields(raiser)["fingerprint"]

    same = group(KeyError, ValueError)
    assert group(ValueError, KeyError, ValueError) == same
    assert group(KeyError) != same


def test_a_line_has_them_and_a_long_one_keeps_the_first() -> None:
    """Also when the line must be cut it obeys the schema and says what is missing."""
    log = make_log(LogSettings(max_line_bytes=16 * 1024))
    log.pillar.start()
    bare = get_logger("x")
    try:
        wrap(fail)
    except RuntimeError:
        bare.exception("short")

    (cause,) = log.last["error"]["causes"]
    assert cause["relation"] == "cause"

    try:
        raise ExceptionGroup("many", [ValueError("y" * 150) for _ in range(20)])
    except ExceptionGroup:
        bare.exception("long", rest="x" * 20_000)

    log.pillar.close()
    error = log.last["error"]
    assert len(log.written[-1]) <= 16 * 1024
    assert len(error["causes"]) + error["causes_cut"] == 20
    assert error["causes"]
