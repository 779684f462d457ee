from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcready.cli import main
from svcready.logging import get_logger, schema
from svcready.testing import assert_log_line
from svcready.testing._log_lines import violations
from tests.logging.support import Log

LAYOUTS = ["standard", "ecs", "otel", "flat"]

GOOD: dict[str, Any] = {
    "schema": 1,
    "timestamp": "2026-01-01T00:00:00.000Z",
    "level": "ERROR",
    "message": "m",
    "event": "e",
    "service": "orders",
    "trace_id": "a" * 32,
    "span_id": "b" * 16,
    "xray_trace_id": f"1-{'a' * 8}-{'a' * 24}",
    "recorded": True,
    "suppressed": 3,
    "source": {"logger": "shop", "function": "f", "line": 1},
    "http": {"method": "GET", "route": "/", "status": 200, "duration_ms": 1.5},
    "context": {"a": 1},
    "error": {
        "type": "E",
        "message": "m",
        "stack": "s",
        "fingerprint": "0" * 16,
        "causes": [
            {
                "type": "E",
                "message": "m",
                "fingerprint": "0" * 16,
                "relation": "cause",
                "depth": 1,
            },
            {"type": "E", "message": "m", "fingerprint": "0" * 16, "relation": "group"},
        ],
        "causes_cut": 2,
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_schemas_are_valid_json_schemas(layout: str) -> None:
    """By the meta-schema that they name."""
    rules = schema(layout)
    validator = jsonschema.validators.validator_for(rules)

    assert validator is jsonschema.Draft202012Validator
    validator.check_schema(rules)


def test_an_unknown_layout_is_refused() -> None:
    """With the names that there are."""
    with pytest.raises(ValueError, match="standard, ecs, otel, flat"):
        schema("esc")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_command_prints_the_schema(
    layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`svcready schema log`, with the layout as an option."""
    options = [] if layout == "standard" else ["--layout", layout]

    assert main(["schema", "log", *options]) == 0
    assert json.loads(capsys.readouterr().out) == schema(layout)


def test_a_line_is_returned_parsed(log: Log) -> None:
    """As bytes, as text and as a dictionary."""
    get_logger("shop").info("accepted", order_id=7)
    raw = log.written[-1]

    for line in (raw, raw.decode(), raw[:-1], json.loads(raw)):
        assert assert_log_line(line)["context"] == {"order_id": 7}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("level", "WARNING", "level: 'WARNING' is none of DEBUG, INFO, WARN"),
        ("level", None, "level is missing"),
        ("schema", 2, "schema: 2 is not 1"),
        ("schema", True, "schema: True is not 1"),
        ("timestamp", "2026-01-01", "timestamp: '2026-01-01' is not of the form"),
        ("service", "", "service: '' is too short"),
        ("event", "e" * 257, "event: longer than 256 characters"),
        ("span_id", None, "span_id is missing, as there is trace_id"),
        ("source.line", 0, "source.line: 0 is less than 1"),
        ("source.line", "3", "source.line: '3' is no integer"),
        ("source.file", "x", "source.file is not in the schema"),
        ("user", "me", "user is not in the schema"),
        ("suppressed", True, "suppressed: True is no integer"),
        ("context", [], "context: [] is no object"),
        ("error.causes", [{}], "error.causes[0].relation is missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    path: str, value: object, said: str
) -> None:
    """Whoever reads the failure sees the field, what it has and what it should."""
    line = copy.deepcopy(GOOD)
    *groups, last = path.split(".")
    node = line
    for group in groups:
        node = node[group]

    if value is None:
        del node[last]
    else:
        node[last] = value

    with pytest.raises(AssertionError) as failure:
        assert_log_line(line)

    assert said in str(failure.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"a": NaN}', "NaN is no JSON"),
        (b"\xff", "not JSON"),
        ("{}\n{}", "more than one line"),
        ("[]", "the line: [] is no object"),
    ],
)
def test_what_is_no_line_is_said(line: str | bytes, said: str) -> None:
    """Text that is not one JSON object fails in the same way."""
    with pytest.raises(AssertionError) as failure:
        assert_log_line(line)

    assert said in str(failure.value)


ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, 1.0, -1.0, 2.5, 1e300])
    | st.text(max_size=3)
    | st.sampled_from(["", "a" * 16, "a" * 32, "INFO", "cause", "e" * 300])
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "key", "value"]), inner)
    ),
    max_leaves=6,
)


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to everything in *value*."""
    found = [path]
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*path, index))

    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_the_validator_agrees_with_jsonschema(layout: str, data: st.DataObject) -> None:
    """On lines with anything changed, dropped or added anywhere, in every layout."""
    from svcready.logging._lines._layouts import LAYOUTS as CONVERTERS

    line = copy.deepcopy(GOOD)
    if layout != "standard":
        line = json.loads(json.dumps(CONVERTERS[layout].convert(line)))

    for _ in range(data.draw(st.integers(0, 2))):
        inside = places(line)[1:]
        if not inside:
            break

        where = data.draw(st.sampled_from(inside))
        node: Any = line
        for step in where[:-1]:
            node = node[step]

        change = data.draw(st.sampled_from(["set", "drop", "add"]))
        if change == "set":
            node[where[-1]] = data.draw(VALUES)
        elif change == "drop":
            del node[where[-1]]
        elif isinstance(node, dict):
            node[data.draw(st.text(max_size=4))] = data.draw(VALUES)

    validator = jsonschema.Draft202012Validator(schema(layout))
    assert bool(list(violations(line, schema(layout)))) != validator.is_valid(line)
