from __future__ import annotations

import io
import json
import logging
import logging.config

from pythonjsonlogger.json import JsonFormatter as Base

from svcready.logging import JsonFormatter, get_logger
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
    assert (first["service"], second["service"]) == ("orders", "unknown_service")


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
