"""The section LOG: log lines: level, form, destinations, delivery, redaction."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import (
    FLAG,
    NAMES,
    TEXT,
    Kind,
    PartlyWrongError,
    choice,
    duration,
    integer,
    matching,
    size,
    words,
)
from svcready.config._setting import setting, standard

__all__ = ["GROUP", "RETENTION", "LogSettings"]

_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_LEVELS |= {word: word for word in ("DEBUG", "INFO", "WARN", "ERROR", "FATAL")}
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_LARGEST_EVENT = 1024**2 - 26


def _parse_level(raw: object) -> str:
    word = raw.strip().upper() if isinstance(raw, str) else ""
    if word == "AUTO":
        return "auto"

    if word not in _LEVELS:
        raise ValueError(raw)

    return _LEVELS[word]


def _parse_no_color(raw: object) -> bool:
    return not str(raw)  # the convention: any text at all means no colour


def _parse_patterns(raw: object) -> tuple[str, ...]:
    patterns = NAMES.parse(_split_patterns(raw) if isinstance(raw, str) else raw)
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(pattern) from error

    return patterns


def _split_patterns(text: str) -> list[str]:
    """Divide at the commas that are not within a pattern's brackets (`[0-9]{4,8}`)."""
    parts = [""]
    closers: list[str] = []
    escaped = False
    for char in text:
        if escaped or char == "\\":
            escaped = not escaped
        elif closers and char == closers[-1]:
            closers.pop()
        elif char in _CLOSERS and closers[-1:] != ["]"]:  # a class nests nothing
            closers.append(_CLOSERS[char])
        elif char == "," and not closers:
            parts.append("")
            continue

        parts[-1] += char

    return parts


def _parse_levels(raw: object) -> tuple[tuple[str, str], ...]:
    entries = raw.items() if isinstance(raw, dict) else _entries(raw)
    levels: dict[str, str] = {}
    wrong: list[str] = []
    for name, word in entries:
        try:
            if not name:
                raise ValueError(name)

            levels[name] = _parse_level(word)
        except ValueError:
            wrong.append(f"{name}={word}" if name else word)

    value = tuple(levels.items())
    if wrong:
        raise PartlyWrongError(value, tuple(wrong))

    return value


def _entries(raw: object) -> list[tuple[str, str]]:
    parts = [entry.rpartition("=") for entry in NAMES.parse(raw)]
    return [(name.strip(), word.strip()) for name, _, word in parts]


_line_size = size(4096, _LARGEST_EVENT)


def _parse_line_bytes(raw: object) -> int:
    if isinstance(raw, str) and raw.strip().lower() == "auto":
        return 0

    return _line_size.parse(raw)


_UNREADABLE = ("(",)
"""Stands for patterns that are none: the engine then hides every value."""

_LEVEL: Kind[str] = Kind(
    "choice", _parse_level, "DEBUG | INFO | WARN | ERROR | FATAL | auto"
)
_NO_COLOR: Kind[bool] = Kind("flag", _parse_no_color, "any text")
_LEVELS_OF: Kind[tuple[tuple[str, str], ...]] = Kind(
    "pairs",
    _parse_levels,
    "logger=LEVEL pairs separated by commas, LEVEL as for SVCREADY_LOG_LEVEL",
    show=lambda pairs: ",".join(f"{name}={level}" for name, level in pairs),
)
_LINE_BYTES: Kind[int] = Kind(
    "size",
    _parse_line_bytes,
    f"auto, or {_line_size.allowed}",
    unit="bytes",
    show=lambda value: str(value or "auto"),
)
_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827),
    *(2192, 2557, 2922, 3288, 3653),
)
"""What PutRetentionPolicy accepts; 0 leaves the log group's own."""


def _parse_retention(raw: object) -> int:
    days = integer().parse(raw)
    if days and days not in _RETENTION_DAYS:
        raise ValueError(raw)

    return days


RETENTION: Kind[int] = Kind(
    "integer",
    _parse_retention,
    f"0 (the log group's own) or one of {', '.join(map(str, _RETENTION_DAYS))}",
    unit="days",
)
GROUP = matching(
    r"(?!aws/)[.\-_/#A-Za-z0-9]{1,512}|",
    "1 to 512 of the characters a-z, A-Z, 0-9, _ - / . #, not starting with aws/",
)
_STREAM = matching(r"[^:*]{1,512}|", "1 to 512 characters, none of them : or *")
_PATTERNS: Kind[tuple[str, ...]] = Kind(
    "list", _parse_patterns, "regular expressions separated by commas", show=",".join
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogSettings:
    """Log lines: level, form, destinations, delivery, redaction."""

    section: ClassVar[str] = "LOG"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
    level: str = setting(
        "INFO",
        _LEVEL,
        "Lowest level written; auto is DEBUG for the application's own loggers and "
        "INFO for all others",
        relaxed="auto",
        standards=(standard("LOG_LEVEL", _LEVEL),),
        reloadable=True,
    )
    allow_debug: bool = setting(
        False,
        FLAG,
        "Lets DEBUG be written in production, where it is refused otherwise",
    )
    levels: tuple[tuple[str, str], ...] = setting(
        (),
        _LEVELS_OF,
        "Levels of single loggers and those below them, httpx=WARN,orders.db=DEBUG",
        reloadable=True,
    )
    format: str = setting(
        "auto",
        choice("auto", "json", "console"),
        "How a line looks; auto is console in development and on a terminal, else JSON",
    )
    layout: str = setting(
        "standard",
        choice("standard", "ecs", "otel", "flat"),
        "Names of a JSON line's fields: ours, Elastic Common Schema, OpenTelemetry's "
        "log data model, or ours with the context's at the top",
    )
    color: bool = setting(
        True,
        FLAG,
        "Colours console lines on a terminal",
        standards=(standard("NO_COLOR", _NO_COLOR),),
    )
    delivery: str = setting(
        "hybrid",
        choice("hybrid", "sync", "async"),
        "Who writes: the caller unless stdout blocks (hybrid), the caller always "
        "(sync), a thread (async)",
    )
    queue_bytes: int = setting(
        8 * 1024**2,
        size(64 * 1024),
        "Most bytes of lines that wait while stdout is blocked; beyond it the lowest "
        "level is dropped first",
    )
    queue_lines: int = setting(
        10_000,
        integer(10),
        "Most lines that wait while stdout is blocked; beyond it the lowest level is "
        "dropped first",
    )
    max_line_bytes: int = setting(
        0,
        _LINE_BYTES,
        "Longest line; longer ones are cut and say so; auto is 16 KiB where standard "
        "output is a pipe, whose readers split longer ones, and 1 MiB less 26 bytes "
        "elsewhere",
    )
    flood_per_s: int = setting(
        1000,
        integer(),
        "Most lines a second with one message from one place in the code; further ones "
        "are counted on a line of their own; 0 has no limit; never access lines",
    )
    flood_errors_per_s: int = setting(10_000, integer(), "The same for ERROR and above")
    flight_recorder: int = setting(
        0,
        integer(0, 10_000),
        "How many lines below the level are kept of each request, and written only if "
        "it fails or is slow; 0 keeps none",
    )
    flight_recorder_bytes: int = setting(
        256 * 1024,
        size(4096),
        "Most bytes that the kept lines of one request take",
    )
    flight_recorder_on: tuple[str, ...] = setting(
        ("failed", "slow"),
        words("failed", "slow", "sampled"),
        "Which requests' kept lines are written: those that failed (5xx or an "
        "exception), were slow, or whose trace is kept (sampled)",
    )
    flight_recorder_slow_s: float = setting(
        1.0, duration(0.001), "From which duration a request counts as slow"
    )
    stdout: bool = setting(
        True, FLAG, "Writes lines to standard output; false needs another destination"
    )
    file: str = setting("", TEXT, "Writes lines to this file as well, and rotates it")
    file_max_bytes: int = setting(
        100 * 1024**2, size(1024**2), "Size at which the file is rotated"
    )
    file_backups: int = setting(5, integer(1, 1000), "How many rotated files are kept")
    syslog: str = setting(
        "",
        matching(
            r"/\S{1,256}|(udp|tcp)://[^\s/:@]{1,253}(:\d{1,5})?|",
            "a socket's path, udp://host:port or tcp://host:port",
        ),
        "Sends lines to this syslog as well: /dev/log, udp://host:514",
    )
    cloudwatch: bool = setting(
        False, FLAG, "Sends lines to CloudWatch Logs as well (PutLogEvents)"
    )
    cloudwatch_group: str = setting(
        "", GROUP, "Log group; by default /svcready/ and the service's name"
    )
    cloudwatch_stream: str = setting(
        "", _STREAM, "Log stream; by default the instance's name"
    )
    cloudwatch_retention_days: int = setting(
        0, RETENTION, "Retention set on the log group; 0 leaves it alone"
    )
    stack_max_frames: int = setting(
        100, integer(2), "Most frames of one traceback; the middle ones are left out"
    )
    redact_enabled: bool = setting(True, FLAG, "Masks secrets wherever data leaves")
    redact_emails: bool = setting(False, FLAG, "Masks e-mail addresses too")
    redact_keys: tuple[str, ...] = setting(
        (), NAMES, "Further names of fields whose values are masked"
    )
    redact_safe_keys: tuple[str, ...] = setting(
        (), NAMES, "Names of fields whose values are never masked"
    )
    redact_patterns: tuple[str, ...] = setting(
        (),
        _PATTERNS,
        "Further patterns of text that is masked; a malformed one masks every value "
        "but those of the safe names",
        closed=_UNREADABLE,
    )
