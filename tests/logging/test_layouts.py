from __future__ import annotations

import base64
import json
import logging
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData, SeverityNumber
from opentelemetry.semconv._incubating.attributes import (
    code_attributes,
    deployment_attributes,
    http_attributes,
    service_attributes,
)
from opentelemetry.semconv.attributes import client_attributes, exception_attributes

from svcready._core.context import ContextRecord, activate
from svcready.config._sections.log import LogSettings
from svcready.errors import DeclarationError
from svcready.logging import JsonFormatter, get_logger
from svcready.testing import assert_log_line
from tests.logging.ecs_fields import FIELD_SETS, TYPES
from tests.logging.support import SPAN, TRACE, XRAY, Line, Log, make_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

    from svcready.logging._lines._line import Site

LAYOUTS = ["standard", "ecs", "otel", "flat"]
MAX_BYTES = 4096


def say(log: Log) -> list[bytes]:
    """Write one line of each kind; return them."""
    log.pillar.start()
    log.written.clear()
    token = activate(ContextRecord("req-1", "cor-1", TRACE, SPAN))
    access = log.pillar.access_log()
    get_logger("shop").warning(
        "stock low", event="stock.low", order_id=7, box={"a": [1, None, 2.5, True]}
    )
    access.write("GET", "/orders/{id}", 200, 0.0123, 10, 512, "10.0.0.1")
    try:
        raise KeyError("price")
    except KeyError:
        get_logger("shop").exception("no price")

    often: Site = ("shop", None, None)
    log.written.append(
        log.pillar.handler.lines.line(
            often, "shop", 20, "said often", {}, None, 0, {"suppressed": 41}
        )
    )
    del token
    log.pillar.close()
    return [line for line in log.written if b"lifecycle" not in line]


def lines(layout: str) -> list[bytes]:
    """Return one line of each kind in a layout."""
    return say(make_log(LogSettings(layout=layout)))


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted name and value of everything in *value* that holds no more."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    else:
        yield path, value


def found(line: Line, path: str) -> Any:
    """Return what stands in *line* under a dotted name."""
    value: Any = line
    for name in path.split("."):
        value = value[name]

    return value


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_kind_of_line_obeys_its_layouts_schema(layout: str) -> None:
    """An event, an access line, an error: each validates as its layout, no other."""
    for line in lines(layout):
        assert_log_line(line, layout=layout)
        for other in {"ecs", "otel"} - {layout}:
            with pytest.raises(AssertionError):
                assert_log_line(line, layout=other)


def test_ecs_has_the_specifications_names_and_types() -> None:
    """Every field is ECS's, of its type, or stands under a name that is none of its."""
    kinds = {"keyword": str, "text": str, "wildcard": str, "long": int, "date": str}
    for raw in lines("ecs"):
        for name, value in leaves(json.loads(raw)):
            if name.partition(".")[0] in FIELD_SETS | {"@timestamp", "message"}:
                assert type(value) is kinds[TYPES[name]], name
            else:
                assert name.partition(".")[0] in {"svcready", "context"}


def test_ecs_has_each_member_in_its_place() -> None:
    """Ids, place, duration in nanoseconds, status, error: as ECS describes them."""
    event, access, error = map(json.loads, lines("ecs")[:3])

    assert found(event, "event.action") == "stock.low"
    assert found(event, "log.level") == "warn"
    assert found(event, "log.logger") == "shop"
    assert found(event, "log.origin.function") == "say"
    assert found(event, "service.name") == "orders"
    assert found(event, "service.node.name") == "host-1"
    assert found(event, "trace.id") == TRACE
    assert found(event, "span.id") == SPAN
    assert found(event, "http.request.id") == "req-1"
    assert found(event, "svcready.correlation_id") == "cor-1"
    assert found(event, "svcready.xray_trace_id") == XRAY
    assert found(event, "context.box.a") == [1, None, 2.5, True]
    assert found(access, "event.duration") == 12_300_000
    assert found(access, "http.response.status_code") == 200
    assert found(access, "http.request.body.bytes") == 10
    assert found(access, "http.response.body.bytes") == 512
    assert found(access, "svcready.route") == "/orders/{id}"
    assert found(access, "client.address") == "10.0.0.1"
    assert found(error, "error.type") == "KeyError"
    assert "Traceback" in found(error, "error.stack_trace")
    assert len(found(error, "svcready.fingerprint")) == 16


def parse_otlp(line: bytes) -> LogsData:
    """Parse a line as OTLP/JSON, which has ids in hex where protobuf has base64."""
    data = json.loads(line)
    for record in data["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
        for name in {"traceId", "spanId"} & record.keys():
            record[name] = base64.b64encode(bytes.fromhex(record[name])).decode()

    parsed = LogsData()
    json_format.ParseDict(data, parsed, ignore_unknown_fields=False)
    return parsed


def plain(value: AnyValue) -> Any:
    """Return an attribute's value as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]

    if kind == "kvlist_value":
        return {item.key: plain(item.value) for item in value.kvlist_value.values}

    return None if kind is None else getattr(value, kind)


def attributes(pairs: Iterator[KeyValue]) -> Line:
    """Return attributes as a dictionary; none may come twice."""
    listed = [(pair.key, plain(pair.value)) for pair in pairs]
    assert len(dict(listed)) == len(listed)
    return dict(listed)


def test_otel_is_what_the_protocols_own_parser_takes() -> None:
    """Each line is a whole `LogsData` by the published protobuf, no field unknown."""
    event, access, error, often = map(parse_otlp, lines("otel"))

    resource = attributes(event.resource_logs[0].resource.attributes)
    assert resource == {
        service_attributes.SERVICE_NAME: "orders",
        service_attributes.SERVICE_VERSION: "1.4.2",
        deployment_attributes.DEPLOYMENT_ENVIRONMENT_NAME: "production",
        service_attributes.SERVICE_INSTANCE_ID: "host-1",
    }
    scope = event.resource_logs[0].scope_logs[0]
    record = scope.log_records[0]
    assert scope.scope.name == "shop"
    assert record.body.string_value == "stock low"
    assert record.event_name == "stock.low"
    assert record.severity_number == SeverityNumber.SEVERITY_NUMBER_WARN
    assert record.severity_text == "WARN"
    assert (record.trace_id.hex(), record.span_id.hex()) == (TRACE, SPAN)
    named = attributes(record.attributes)
    assert named[code_attributes.CODE_FUNCTION_NAME] == "say"
    assert named[code_attributes.CODE_LINE_NUMBER] > 0
    assert named["order_id"] == 7
    assert named["box"] == {"a": [1, None, 2.5, True]}

    of_access = access.resource_logs[0].scope_logs[0].log_records[0]
    named = attributes(of_access.attributes)
    assert named[http_attributes.HTTP_REQUEST_METHOD] == "GET"
    assert named[http_attributes.HTTP_ROUTE] == "/orders/{id}"
    assert named[http_attributes.HTTP_RESPONSE_STATUS_CODE] == 200
    assert named[http_attributes.HTTP_REQUEST_BODY_SIZE] == 10
    assert named[http_attributes.HTTP_RESPONSE_BODY_SIZE] == 512
    assert named[client_attributes.CLIENT_ADDRESS] == "10.0.0.1"
    assert named["svcready.duration_ms"] == 12.3

    of_error = error.resource_logs[0].scope_logs[0].log_records[0]
    named = attributes(of_error.attributes)
    assert of_error.severity_number == SeverityNumber.SEVERITY_NUMBER_ERROR
    assert named[exception_attributes.EXCEPTION_TYPE] == "KeyError"
    assert named[exception_attributes.EXCEPTION_MESSAGE] == "'price'"
    assert "Traceback" in named[exception_attributes.EXCEPTION_STACKTRACE]

    named = attributes(often.resource_logs[0].scope_logs[0].log_records[0].attributes)
    assert named["svcready.suppressed"] == 41


def test_otel_time_is_the_lines() -> None:
    """Nanoseconds since the epoch of the timestamp that the standard line has."""
    record = parse_otlp(lines("otel")[0]).resource_logs[0].scope_logs[0].log_records[0]
    standard = json.loads(lines("standard")[0])["timestamp"]

    when = datetime.fromtimestamp(record.time_unix_nano / 1e9, UTC)
    assert standard == f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"


def test_flat_never_overwrites_a_name() -> None:
    """A field that is called like a member is renamed; what is nested stays so."""
    log = make_log(LogSettings(layout="flat"))
    log.pillar.start()
    get_logger("shop").info(
        "x", level="mine", service="mine", log_type="audit", box={"level": 1}, n=2
    )
    get_logger("shop").info("x", extra={"level": "a", "context_level": "b"})
    log.pillar.close()
    first, second = (json.loads(line) for line in log.written[-2:])

    assert (first["level"], first["service"]) == ("INFO", "orders")
    assert (first["context_level"], first["context_service"]) == ("mine", "mine")
    assert first["context_log_type"] == "audit"
    assert first["box"] == {"level": 1}
    assert first["n"] == 2
    assert "context" not in first
    assert {second["context_level"], second["context_level_"]} == {"a", "b"}


def test_a_field_called_like_an_attribute_is_renamed_in_otel() -> None:
    """The application's `http.route` does not hide the request's."""
    log = make_log(LogSettings(layout="otel"))
    log.pillar.start()
    activate(ContextRecord("r", "r", fields={"http.route": "mine", "": 1}))
    log.pillar.access_log().write("GET", "/a", 200, 0.1)
    log.pillar.close()
    record = parse_otlp(log.written[-1]).resource_logs[0].scope_logs[0].log_records[0]

    named = attributes(record.attributes)
    assert named["http.route"] == "/a"
    assert named["context.http.route"] == "mine"
    assert named["context."] == 1


TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=30,
)


def texts(value: object) -> Iterator[str]:
    """Yield every text, number and name in *value*, as text."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(float(value))
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("layout", ["ecs", "otel", "flat"])
@settings(max_examples=60, deadline=None)
@given(fields=st.dictionaries(TEXT, JSON, max_size=8), message=TEXT)
def test_nothing_of_the_standard_line_is_lost(
    layout: str, fields: dict[str, object], message: str
) -> None:
    """Whatever the context holds: the same values and names are in each layout."""
    made = [
        make_log(LogSettings(layout=name, max_line_bytes=1_000_000)).pillar.handler
        for name in ("standard", layout)
    ]
    raw = [
        handler.lines.line(("shop", "f", 3), "shop", 30, message, fields, None, 10**18)
        for handler in made
    ]
    standard, other = (json.loads(line) for line in raw)

    assert raw[1].count(b"\n") == 1
    assert_log_line(other, layout=layout)
    said = [*texts(standard.get("context", {})), standard["message"], "orders", "shop"]
    there = list(texts(other))
    if layout == "otel":  # 64-bit integers are texts there
        there += [str(float(it)) for it in there if re.fullmatch("-?[0-9]+", it)]

    for text in said:
        assert text in there or f"context_{text}" in there or f"context.{text}" in there


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_long_line_is_cut_to_the_limit_in_every_layout(layout: str) -> None:
    """What is within the limit in the standard layout may not be so in another."""
    log = make_log(LogSettings(layout=layout, max_line_bytes=MAX_BYTES))
    log.pillar.start()
    log.written.clear()
    for size in (1, 10, 60, 100, 300):
        get_logger("shop").info("m" * size * 30, **{f"k{i}": i for i in range(size)})
        get_logger("s" * 300).info("x", text="é\\" * size * 40, last=1)

    long = "/é" * 4000
    log.pillar.access_log().write("GET" * 1000, long, 200, 0.1, client="é" * 999)
    log.pillar.close()

    assert len(log.written) == 11
    for line in log.written:
        assert len(line) <= MAX_BYTES
        assert_log_line(line, layout=layout)


@pytest.mark.parametrize("layout", ["ecs", "otel", "flat"])
def test_the_formatter_has_the_layouts(layout: str) -> None:
    """With an argument always; without one it follows the runtime."""
    record = logging.LogRecord("lib", 30, "/x.py", 3, "hi", (), None, "f")
    asked = JsonFormatter(layout=layout)
    plain_one = JsonFormatter()
    assert_log_line(asked.format(record), layout=layout)
    assert_log_line(plain_one.format(record))

    log = make_log(LogSettings(layout=layout))
    log.pillar.start()
    followed = assert_log_line(plain_one.format(record), layout=layout)
    standard = JsonFormatter(layout="standard").format(record)
    log.pillar.close()

    assert_log_line(standard)
    assert "orders" in json.dumps(followed)
    assert assert_log_line(asked.format(record), layout=layout) != followed


def test_the_formatter_refuses_an_unknown_layout() -> None:
    """The text names those that there are."""
    with pytest.raises(DeclarationError, match="standard, ecs, otel, flat"):
        JsonFormatter(layout="esc")


def test_a_layout_that_fails_gives_the_standard_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fault in the conversion costs the names, not the line; it is reported."""
    from svcready._core.guard import set_reporter
    from svcready.logging._lines import _layouts

    def fail(line: object) -> Any:
        raise LookupError

    broken = _layouts.LAYOUTS["ecs"]._replace(convert=fail)
    monkeypatch.setitem(_layouts.LAYOUTS, "ecs", broken)
    seen: list[str] = []
    before = set_reporter(lambda component, error: seen.append(component))
    written = lines("ecs")
    set_reporter(before)

    assert_log_line(written[0])
    assert seen[0] == "logging.layout"


def test_the_console_has_no_layout() -> None:
    """People read the same lines whatever the machines' layout is."""
    log = make_log(LogSettings(format="console", layout="ecs"))
    assert b"stock low" in say(log)[0]
    assert not say(log)[0].startswith(b"{")


def test_every_member_of_the_schema_has_a_place_in_every_layout() -> None:
    """A member that is added to the schema cannot be forgotten in a layout."""
    from svcready.logging import schema
    from svcready.logging._lines._layouts_ecs import NAMES
    from svcready.logging._lines._layouts_flat import RESERVED
    from svcready.logging._lines._layouts_otel import ATTRIBUTES, RESOURCE

    properties: Any = schema()["properties"]
    members = {
        f"{name}.{inner}" if name in {"source", "http", "error"} else name
        for name, field in properties.items()
        for inner in (field.get("properties") or [""])
    }
    of_the_record = {"timestamp", "level", "message", "event", "trace_id", "span_id"}

    assert set(NAMES) == members
    assert (
        set(ATTRIBUTES) | set(RESOURCE) | of_the_record | {"source.logger", "context"}
        == members
    )
    assert set(properties) | {"log_type"} == RESERVED
