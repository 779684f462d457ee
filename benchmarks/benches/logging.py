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
        Subject(
            "recorder on",
            "recorder:disabled_outside",
            "svcready.get_logger with the flight recorder, outside requests",
            ours=True,
        ),
        Subject(
            "recorder on, library's",
            "recorder:disabled_library",
            "logging.getLogger in a recorded request, a level that is not kept",
            ours=True,
        ),
    ),
)

KEPT = Bench(
    "kept lines",
    Group.LOGGING,
    (
        Subject("svcready", "recorder:kept", "20 lines of 5 fields", ours=True),
        Subject("plain", "recorder:kept_plain", "20 lines, one argument", ours=True),
        Subject("stdlib", "recorder:kept_stdlib", "20 lines, extra=", ours=True),
        Subject("written", "recorder:written", "level DEBUG", ours=True, logs=True),
        Subject("written plain", "recorder:written_plain", "", ours=True, logs=True),
        Subject("written stdlib", "recorder:written_stdlib", "", ours=True, logs=True),
        Subject("MemoryHandler", "recorder:memory_handler", "extra=, cleared"),
        Subject("no lines", "recorder:nothing", "the request alone", ours=True),
    ),
)

BENCHES = (
    LOG_LINE,
    EXCEPTION,
    DISABLED,
    KEPT,
)
