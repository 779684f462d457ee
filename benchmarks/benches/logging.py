"""What log lines cost."""

from __future__ import annotations

from benchmarks.model import Bench, Group, Subject

LOG_LINE = Bench(
    "log line",
    Group.LOGGING,
    (
        Subject("svcready", "logs:ours", "redaction on", ours=True, logs=True),
        Subject(
            "svcready plain",
            "logs:ours",
            "redaction off",
            {"settings": {"log.redact_enabled": False}},
            ours=True,
            logs=True,
        ),
        Subject("svcready stdlib", "logs:ours_stdlib", "extra=", ours=True, logs=True),
        Subject(
            "structlog", "logs:structlog", "orjson, BytesLogger, ids bound", logs=True
        ),
        Subject(
            "with contextvars",
            "logs:structlog_contextvars",
            "the same, ids by bind_contextvars",
            logs=True,
        ),
        Subject("python-json-logger", "logs:json_logger", "orjson, extra=", logs=True),
        Subject("its default", "logs:json_logger_stdlib", "json, extra=", logs=True),
        Subject("loguru", "logs:loguru", "serialize=True", logs=True),
        Subject("Powertools", "logs:powertools", "append_keys", logs=True),
        Subject("floor", "logs:floor", "dict, orjson, os.write", logs=True),
    ),
)

EXCEPTION = Bench(
    "exception line",
    Group.LOGGING,
    (
        Subject("svcready", "logs:ours_exception", "15 frames", ours=True, logs=True),
        Subject("structlog", "logs:structlog_exception", "orjson", logs=True),
        Subject("python-json-logger", "logs:json_logger_exception", "", logs=True),
    ),
)

DISABLED = Bench(
    "disabled level",
    Group.LOGGING,
    (
        Subject("svcready", "logs:ours_disabled", "svcready.get_logger", ours=True),
        Subject("stdlib", "logs:stdlib_disabled", "logging.getLogger"),
        Subject("structlog", "logs:structlog_disabled", "filtering bound logger"),
    ),
)

BENCHES = (
    LOG_LINE,
    EXCEPTION,
    DISABLED,
)
