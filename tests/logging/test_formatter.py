from __future__ import annotations

import io
import json
import logging
import logging.config
from typing import Any

import pytest
from pythonjsonlogger.json import JsonFormatter as Base

from svcready.logging import JsonFormatter, get_logger
from tests.architecture.house import run_clean
from tests.logging.support import Log, read


def record(**extra: object) -> logging.LogRecord:
    """Make a record as stdlib does."""
    made = logging.LogRecord("lib", 30, "/x.py", 3, "hello %s", ("you",), None, "f")
    made.__dict__.update(extra)
    return made


def test_it_is_a_json_formatter_and_obeys_the_schema() -> None:
    """Whoever configures `logging` alone gets the same line."""
    formatter = JsonFormatter(service="orders", version="2", environment="staging")

    (line,) = read(formatter.format(record(n=1)).encode() + b"\n")

    assert isinstance(formatter, Base)
    assert line["message"] == "hello you"
    assert line["service"] == "orders"
    assert line["environment"] == "staging"
    assert line["context"] == {"n": 1}
    assert line["source"] == {"logger": "lib", "function": "f", "line": 3}


def test_dict_config_can_name_it() -> None:
    """By its public name, as the documentation shows."""
    stream = io.StringIO()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "json": {"()": "svcready.logging.JsonFormatter", "service": "orders"},
                "by_class": {"class": "svcready.logging.JsonFormatter"},
            },
            "handlers": {
                "out": {
                    "class": "logging.StreamHandler",
                    "formatter": "json",
                    "stream": stream,
                },
                "other": {
                    "class": "logging.StreamHandler",
                    "formatter": "by_class",
                    "stream": stream,
                },
            },
            "loggers": {"shop": {"handlers": ["out", "other"], "propagate": False}},
        }
    )
    get_logger("shop").warning("x", n=1)
    logger = logging.getLogger("shop")
    logger.handlers = []
    logger.propagate = True

    first, second = read(stream.getvalue().encode())
    assert first["context"] == second["context"] == {"n": 1}
    assert first["service"] == "orders"
    assert second["service"].startswith("unknown_service:")


ALONE = """
import json, logging, os, sys
from svcready._core import fork
from svcready.logging import JsonFormatter

record = logging.LogRecord("x", 20, "", 0, "pan=411", (), None)

def who(formatter):
    line = json.loads(formatter.format(record))
    return [line.get(key) for key in ("service", "version", "environment")], line

theirs = JsonFormatter(service="code", version="1", environment="staging")
ours = JsonFormatter()
(named, line), (plain, other) = who(theirs), who(ours)
fork.install()
reader, writer = os.pipe()
if os.fork() == 0:
    os.write(writer, who(ours)[1]["instance"].encode())
    os._exit(0)

os.wait()
child = os.read(reader, 100).decode()
print(json.dumps([named, plain, line["message"], line["instance"] == other["instance"],
                  child != line["instance"]]))
"""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ["code", "1", "staging"]),
        (
            {
                "SVCREADY_SERVICE_NAME": "orders",
                "SVCREADY_SERVICE_VERSION": "2",
                "SVCREADY_SERVICE_ENVIRONMENT": "test",
            },
            ["orders", "2", "test"],
        ),
        (
            {
                "OTEL_SERVICE_NAME": "orders",
                "OTEL_RESOURCE_ATTRIBUTES": (
                    "service.version=2,deployment.environment.name=test"
                ),
            },
            ["orders", "2", "test"],
        ),
    ],
    ids=["none", "ours", "standard"],
)
def test_without_a_runtime_the_environment_says_whose_lines_they_are(
    variables: dict[str, str], expected: list[str]
) -> None:
    """As `init()` would: variables before arguments, one instance per process."""
    env = {"SVCREADY_LOG_REDACT_KEYS": "pan", **variables}
    printed = run_clean(ALONE, env=env)

    named, plain, message, same, other_in_child = json.loads(printed)
    assert named == expected
    if variables:
        assert plain == expected
    else:
        assert plain[0].startswith("unknown_service:")
        assert plain[1:] == [None, "production"]

    assert message == "pan=[redacted:key]"
    assert same
    assert other_in_child


def test_secrets_are_hidden_without_a_runtime() -> None:
    """The built-in rules apply before `init()` too."""
    text = JsonFormatter().format(record(password="hunter2"))

    assert "hunter2" not in text


def test_with_the_base_librarys_arguments_it_does_what_that_does() -> None:
    """A user's own fields and names are python-json-logger's business."""
    formatter = JsonFormatter(
        "%(levelname)s %(message)s", rename_fields={"levelname": "severity"}
    )

    text = formatter.format(record(odd={1: object}))

    assert json.loads(text)["severity"] == "WARNING"
    assert json.loads(text)["message"] == "hello you"


def test_while_a_runtime_is_up_it_speaks_as_the_runtime(log: Log) -> None:
    """A file handler with the formatter has the same identity as standard output."""
    line = json.loads(JsonFormatter(service="other").format(record()))

    assert line["service"] == "orders"
    assert log.pillar.handler.format(record()).startswith('{"schema":1')


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"static_fields": {"team": "shop"}}, {"message": "hello you", "team": "shop"}),
        ({"rename_fields": {"message": "msg"}}, {"msg": "hello you"}),
        ({"reserved_attrs": ["name"]}, {"levelno": 30}),
        ({"timestamp": True}, {"message": "hello you"}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_the_base_s_options_of_any_type_are_its_own(
    options: dict[str, Any], expected: dict[str, object]
) -> None:
    """Also those that are dictionaries, lists or flags have it do what it does."""
    formatter = JsonFormatter(**options)

    made = json.loads(formatter.format(record()))

    assert "schema" not in made
    assert made.items() >= expected.items()
