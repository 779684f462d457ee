from __future__ import annotations

import logging

import pytest

from svcready._core.context import ContextRecord, activate, bound
from svcready.config._sections.log import LogSettings
from svcready.logging import get_logger
from svcready.testing import FakeClock
from tests.logging.support import SPAN, TRACE, XRAY, Identity, Log, make_log


def test_a_line_has_all_that_is_known_and_in_the_schemas_order(log: Log) -> None:
    """One call is one line with the schema's members, in the documented order."""
    activate(ContextRecord("req-1", "cor-1", TRACE, SPAN))

    get_logger("shop.orders").info("accepted", order_id=7, event="order.accepted")

    (line,) = log.lines
    assert list(line) == [
        "schema",
        "timestamp",
        "level",
        "message",
        "event",
        "service",
        "version",
        "environment",
        "instance",
        "request_id",
        "correlation_id",
        "trace_id",
        "span_id",
        "xray_trace_id",
        "source",
        "context",
    ]
    assert line["message"] == "accepted"
    assert line["event"] == "order.accepted"
    assert line["service"] == "orders"
    assert line["request_id"] == "req-1"
    assert line["correlation_id"] == "cor-1"
    assert (line["trace_id"], line["span_id"]) == (TRACE, SPAN)
    assert line["xray_trace_id"] == XRAY
    assert line["context"] == {"order_id": 7}


def test_what_is_unknown_is_left_out(log: Log) -> None:
    """Outside a request a line has no ids, and without fields no context."""
    get_logger("shop").info("started")

    assert not {"request_id", "trace_id", "xray_trace_id", "context"} & set(log.last)


def test_the_correlation_id_is_the_request_id_if_there_is_no_other(log: Log) -> None:
    """A request that began here is the first of its chain."""
    activate(ContextRecord("req-1"))

    get_logger("shop").info("x")

    assert log.last["correlation_id"] == "req-1"


def test_the_timestamp_is_the_clocks_in_utc_with_milliseconds() -> None:
    """2027-01-15T08:00:00Z is 1 800 000 000 s after the epoch, by definition."""
    clock = FakeClock(wall_ns=1_800_000_000_000_000_000 + 7_999_999)
    log = make_log(clock=clock)
    log.pillar.start()

    get_logger("shop").info("a")
    clock.advance(0.993)
    get_logger("shop").info("b")
    log.pillar.close()

    assert [line["timestamp"] for line in log.lines] == [
        "2027-01-15T08:00:00.007Z",
        "2027-01-15T08:00:01.000Z",
    ]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (20, "INFO"),
        (25, "INFO"),
        (30, "WARN"),
        (39, "WARN"),
        (40, "ERROR"),
        (50, "FATAL"),
        (1000, "FATAL"),
    ],
)
def test_levels_have_the_schemas_names(log: Log, number: int, name: str) -> None:
    """Python's numbers become the five levels; those between, the lower."""
    get_logger("shop").log(number, "ours")
    logging.getLogger("shop").log(number, "stdlib's")

    assert [line["level"] for line in log.lines] == [name, name]


def test_the_source_is_the_calling_code(log: Log) -> None:
    """Logger, qualified function and line are those of the caller."""
    get_logger("shop").info("here")
    here = test_the_source_is_the_calling_code.__code__.co_firstlineno + 2

    assert log.last["source"] == {
        "logger": "shop",
        "function": "test_the_source_is_the_calling_code",
        "line": here,
    }


def test_one_place_with_two_loggers_names_each(log: Log) -> None:
    """A place in the code that was rendered for one logger is not another's."""
    for name in ("first", "second"):
        get_logger(name).info("x")

    assert [line["source"]["logger"] for line in log.lines] == ["first", "second"]


def test_fields_come_from_the_request_the_logger_and_the_call(log: Log) -> None:
    """The nearer wins: call over bound logger over request."""
    bare = get_logger("shop")
    with bound(a="request", b="request", c="request"):
        bare.bind(b="logger", c="logger").info("x", c="call")
        bare.info("y")

    bare.info("z")

    first, second, third = log.lines
    assert first["context"] == {"a": "request", "b": "logger", "c": "call"}
    assert second["context"] == {"a": "request", "b": "request", "c": "request"}
    assert "context" not in third


def test_the_current_span_is_named_not_the_servers() -> None:
    """A line inside an inner span carries that span's id."""
    inner = ("0" * 31 + "1", "0" * 15 + "2")
    now: list[tuple[str, str] | None] = [inner]
    log = make_log(span_ids=lambda: now[0])
    log.pillar.start()
    activate(ContextRecord("req-1", "cor-1", TRACE, SPAN))

    get_logger("shop").info("inside")
    now[0] = None
    get_logger("shop").info("outside")
    log.pillar.close()

    assert [line["span_id"] for line in log.lines] == [inner[1], SPAN]
    assert [line["trace_id"] for line in log.lines] == [inner[0], TRACE]


def test_interleaved_requests_keep_their_ids(log: Log) -> None:
    """The cache of rendered ids never shows one request's on another's line."""
    records = [ContextRecord(f"req-{i}", fields={"n": i}) for i in range(3)]
    for i in (0, 1, 0, 2, 1, 0):
        activate(records[i])
        get_logger("shop").info("x")

    seen = [(line["request_id"], line["context"]["n"]) for line in log.lines]
    assert seen == [(f"req-{i}", i) for i in (0, 1, 0, 2, 1, 0)]


def test_hostile_ids_and_names_stay_inside_their_strings(log: Log) -> None:
    """Quotes, newlines and lone surrogates in ids or names break no line."""
    activate(ContextRecord('a"\n,"level":"FATAL', "c\udc80"))

    get_logger('log"ger\n').info("x")

    assert log.last["request_id"] == 'a"\n,"level":"FATAL'
    assert log.last["level"] == "INFO"


def test_identity_that_is_learnt_later_is_on_later_lines(log: Log) -> None:
    """A look-up that ends after the start changes the lines from then on."""
    get_logger("shop").info("before")
    log.pillar.identify(Identity(instance="task-9"))
    get_logger("shop").info("after")

    assert [line["instance"] for line in log.lines] == ["host-1", "task-9"]


def test_secrets_are_hidden_in_message_arguments_fields_and_errors(log: Log) -> None:
    """One redaction engine sees every part of a line."""
    secret = "hunter2hunter2"
    url = f"postgres://user:{secret}@db/x"
    bare = get_logger("shop")
    bare.info("connecting to %s", url)
    bare.info(f"connecting to {url}", dsn=url, password=secret)
    logging.getLogger("lib").warning("with %s", url, extra={"password": secret})
    try:
        raise ConnectionError(url)
    except ConnectionError:
        bare.exception("failed")

    assert len(log.lines) == 4
    assert secret not in log.text
    assert "postgres://" in log.text


def test_redaction_comes_before_cutting() -> None:
    """A secret at the edge of a cut is not half shown."""
    log = make_log(LogSettings(max_line_bytes=4096))
    log.pillar.start()
    secret = "s3cret" * 20
    get_logger("shop").info("x", **{f"f{i}": f"password={secret}" for i in range(200)})
    log.pillar.close()

    assert "s3cret" not in log.text
    assert len(log.written[0]) <= 4096


@pytest.mark.parametrize("size", [10_000, 1_000_000])
def test_a_long_line_is_cut_to_the_limit_and_says_so(size: int) -> None:
    """Whatever part is long, the line keeps its limit and its envelope."""
    log = make_log(LogSettings(max_line_bytes=4096))
    log.pillar.start()
    bare = get_logger("shop")
    bare.info("é" * size, order_id=7)
    bare.info("x", order_id=7, body="é\\" * size)
    bare.info("x", **{f"key{i}": "v" * 100 for i in range(size // 100)})
    bare.info("x", items=list(range(size)))
    try:
        raise ValueError("é" * size)
    except ValueError:
        bare.exception("failed", order_id=7)

    log.pillar.close()

    assert [len(line) <= 4096 for line in log.written] == [True] * 5
    message, body, many, items, error = log.lines
    assert "cut]" in message["message"]
    assert message["context"] == {"order_id": 7}
    assert body["context"]["order_id"] == 7
    assert "characters cut" in body["context"]["body"]
    assert "fields left out" in many["context"]["_cut"]
    assert many["context"]["key0"] == "v" * 100
    assert items["context"]["items"][:2] == [0, 1]
    assert items["context"]["items"][-1].startswith("[cut: ")
    assert error["context"] == {"order_id": 7}
    assert "test_line.py" in error["error"]["stack"]
    assert all(line["service"] == "orders" for line in log.lines)


def test_an_event_that_is_no_text_is_a_field(log: Log) -> None:
    """The member `event` is a string; anything else stays in the context."""
    get_logger("shop").info("x", event=7)

    assert log.last["context"] == {"event": 7}
