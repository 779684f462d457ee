"""What failed: flags by status and span, exceptions with their chains and stacks."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, cast

import pytest
from opentelemetry.trace import SpanKind, Status, StatusCode

from svcready.tracing.xray._traceback import parse_traceback
from tests.tracing.xray.support import (
    document_of,
    documents_of,
    exception,
    make_span,
    part,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.util.types import AttributeValue

ERROR = Status(StatusCode.ERROR, "it broke")


@pytest.mark.parametrize(
    ("code", "status", "flags"),
    [
        (200, StatusCode.UNSET, set()),
        (200, StatusCode.ERROR, {"fault"}),
        (302, StatusCode.UNSET, set()),
        (400, StatusCode.UNSET, {"error"}),
        (404, StatusCode.ERROR, {"error"}),
        (429, StatusCode.UNSET, {"error", "throttle"}),
        (499, StatusCode.UNSET, {"error"}),
        (500, StatusCode.UNSET, {"fault"}),
        (599, StatusCode.OK, {"fault"}),
        (600, StatusCode.UNSET, set()),
        (600, StatusCode.ERROR, {"fault"}),
        (None, StatusCode.UNSET, set()),
        (None, StatusCode.OK, set()),
        (None, StatusCode.ERROR, {"fault"}),
    ],
)
@pytest.mark.parametrize("name", ["http.response.status_code", "http.status_code"])
def test_flags(
    name: str, code: int | None, status: StatusCode, flags: set[str]
) -> None:
    """The response's status decides if it is an error's; else the span's own does."""
    attributes: dict[str, AttributeValue] = {} if code is None else {name: code}
    document = document_of(
        make_span(SpanKind.CLIENT, attributes, status=Status(status))
    )

    assert {f for f in ("error", "fault", "throttle") if f in document} == flags
    assert all(document[flag] is True for flag in flags)


def exceptions_of(document: dict[str, object]) -> list[dict[str, object]]:
    """Return the exceptions of a document."""
    return cast("list[dict[str, object]]", part(document, "cause")["exceptions"])


def test_a_span_that_failed_without_an_exception_has_its_description() -> None:
    """The status says why, and the attribute what kind it was."""
    span = make_span(attributes={"error.type": "TimeoutError"}, status=ERROR)
    (made,) = exceptions_of(document_of(span))

    assert made["message"] == "it broke"
    assert made["type"] == "TimeoutError"
    assert "cause" not in document_of(make_span(status=Status(StatusCode.ERROR)))
    assert "cause" not in document_of(make_span())


def test_the_old_attribute_of_a_status_counts() -> None:
    """`http.status_text` stands in for a description."""
    span = make_span(
        attributes={"http.status_text": "Gone"}, status=Status(StatusCode.ERROR)
    )
    document = document_of(span)

    assert exceptions_of(document)[0]["message"] == "Gone"
    assert "metadata" not in document


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        (SpanKind.CLIENT, True),
        (SpanKind.PRODUCER, True),
        (SpanKind.INTERNAL, None),
        (SpanKind.CONSUMER, None),
    ],
)
def test_exceptions_of_calls_are_remote(kind: SpanKind, remote: bool | None) -> None:
    """They are told of what was called."""
    span = make_span(kind, events=[exception("KeyError", "'x'")], status=ERROR)
    (made,) = exceptions_of(document_of(span))

    assert (made["type"], made["message"]) == ("KeyError", "'x'")
    assert made.get("remote") is remote


def test_exceptions_that_were_x_rays_before_keep_what_it_said() -> None:
    """Attributes that X-Ray's receiver writes become fields again."""
    told: dict[str, AttributeValue] = {
        "aws.xray.exception.id": "00000000000000aa",
        "aws.xray.exception.cause": "00000000000000bb",
        "aws.xray.exception.remote": True,
        "aws.xray.exception.truncated": 3,
        "aws.xray.exception.skipped": 2,
    }
    event = exception("E", "m", more=told)

    assert exceptions_of(document_of(make_span(events=[event]))) == [
        {
            "id": "00000000000000aa",
            "cause": "00000000000000bb",
            "message": "m",
            "type": "E",
            "remote": True,
            "truncated": 3,
            "skipped": 2,
        }
    ]


def test_an_exception_that_two_events_tell_counts_once() -> None:
    """As where it is recorded on the span and logged; the one with a stack stays."""
    stack = "Traceback (most recent call last):\n" + FRAME + "E: m\n"
    events = [exception("E", "m", stack), exception("E", "m"), exception("F", "m")]
    made = exceptions_of(document_of(make_span(events=events)))

    assert [(entry["type"], "stack" in entry) for entry in made] == [
        ("E", True),
        ("F", False),
    ]


def test_a_long_message_stays_whole_in_the_metadata() -> None:
    """250 characters are in the field, all of them under the exception's id."""
    document = document_of(make_span(events=[exception("E", "m" * 400)]))
    (made,) = exceptions_of(document)
    kept = part(document, "metadata", "default")["exception.messages"]

    assert made["message"] == "m" * 250
    assert kept == {made["id"]: "m" * 400}


def test_a_service_points_at_the_exception_of_its_call() -> None:
    """One exception, told in the call's document."""
    span = make_span(
        SpanKind.CLIENT, parent=None, events=[exception("E", "m")], status=ERROR
    )
    service, call = documents_of(span)

    assert service["cause"] == exceptions_of(call)[0]["id"]
    assert service["fault"] is True
    assert call["fault"] is True


FRAME = '  File "/app/a.py", line 7, in work\n    code()\n    ^^^^^^\n'


def test_a_stack_is_newest_first() -> None:
    """Path, line and label of each frame, as X-Ray orders them."""
    stack = (
        "Traceback (most recent call last):\n"
        '  File "/app/a, b.py", line 3, in <module>\n    work()\n'
        + FRAME
        + "ValueError: bad\nsecond line\n"
    )
    span = make_span(events=[exception("ValueError", "bad\nsecond line", stack)])
    (made,) = exceptions_of(document_of(span))

    assert made["stack"] == [
        {"path": "/app/a.py", "line": 7, "label": "work"},
        {"path": "/app/a, b.py", "line": 3, "label": "<module>"},
    ]


def test_repeated_frames_are_counted_as_left_out() -> None:
    """Python writes a recursion's frames three times; X-Ray is told of the others."""
    text = FRAME * 3 + "  [Previous line repeated 996 more times]\nRecursionError: x\n"
    span = make_span(events=[exception("RecursionError", "x", text)])
    (made,) = exceptions_of(document_of(span))

    assert made["truncated"] == 996
    assert len(cast("list[object]", made["stack"])) == 3


def fail(message: str) -> None:
    """Raise."""
    raise ValueError(message)


def from_another() -> None:
    """Raise because of another exception."""
    try:
        fail("first: cause\nof two lines")
    except ValueError as error:
        raise KeyError("second") from error


def while_handling() -> None:
    """Raise while a chain of two is handled."""
    try:
        from_another()
    except KeyError:
        fail("third")


def without_message() -> None:
    """Raise an exception without a message after one with."""
    try:
        fail("x")
    except ValueError:
        raise RuntimeError from None


@pytest.mark.parametrize(
    "raising",
    [lambda: fail("one: two"), from_another, while_handling, without_message],
)
def test_chains_are_read_as_python_has_them(raising: Callable[[], None]) -> None:
    """Types, messages, frames and order equal those of the exceptions themselves."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of several kinds
        raising()

    raised: BaseException | None = caught.value
    text = "".join(traceback.format_exception(caught.value))
    chain, members = parse_traceback(text)
    assert members == []
    for read in chain:
        assert raised is not None
        assert read.type == type(raised).__qualname__
        assert read.message == str(raised)
        assert [frame[:] for frame in read.stack] == [
            (frame.filename, frame.lineno, frame.name)
            for frame in reversed(traceback.extract_tb(raised.__traceback__))
        ]
        suppressed = raised.__suppress_context__
        raised = raised.__cause__ or (None if suppressed else raised.__context__)

    assert raised is None
    span = make_span(events=[exception("T", "m", text)])
    made = exceptions_of(document_of(span))
    assert [entry.get("cause") for entry in made] == [
        *(entry["id"] for entry in made[1:]),
        None,
    ]


def test_members_of_a_group_are_told_beside_it() -> None:
    """Each with its own stack, also in groups inside of groups."""

    def caught(message: str) -> Exception:
        try:
            fail(message)
        except ValueError as error:
            return error

        raise AssertionError

    inner = ExceptionGroup("inner", [caught("c")])
    group = ExceptionGroup("several", [caught("a"), caught("b"), inner])
    with pytest.raises(ExceptionGroup) as seen:
        raise group

    text = "".join(traceback.format_exception(seen.value))
    chain, members = parse_traceback(text)

    assert [(read.type, read.message) for read in chain] == [
        ("ExceptionGroup", "several (3 sub-exceptions)")
    ]
    assert chain[0].stack
    assert [(read.type, read.message, len(read.stack)) for read in members] == [
        ("ValueError", "a", 2),
        ("ValueError", "b", 2),
        ("ExceptionGroup", "inner (1 sub-exception)", 0),
        ("ValueError", "c", 2),
    ]
    span = make_span(events=[exception("ExceptionGroup", "several", text)])
    made = exceptions_of(document_of(span))
    assert [entry["type"] for entry in made] == [
        "ExceptionGroup",
        *(read.type for read in members),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "no traceback",
        "  File",
        '  File "x", line , in y\n',
        "Error",
        "The above exception was the direct cause of the following exception:",
        "\n\nDuring handling of the above exception, another exception occurred:\n\n",
        "  + Exception Group Traceback (most recent call last):\n  +-+---- 1 ----\n",
        "at com.example.Main(Main.java:5)\n",
    ],
)
def test_no_text_makes_it_raise(text: str) -> None:
    """What is no traceback gives an exception without a stack."""
    span = make_span(events=[exception("E", "m", text)])
    made = exceptions_of(document_of(span))[0]

    assert (made["type"], made["message"]) == ("E", "m")
    assert "stack" not in made


def test_a_traceback_alone_tells_the_type() -> None:
    """An event need not name what its text names."""
    from opentelemetry.sdk.trace import Event

    text = "Traceback (most recent call last):\n" + FRAME + "ValueError: bad\n"
    span = make_span(events=[Event("exception", {"exception.stacktrace": text}, 1)])

    assert exceptions_of(document_of(span))[0]["type"] == "ValueError"
