"""The section LOG: log lines: level, format, delivery, redaction."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG, NAMES, Kind, choice, integer, size
from svcready.config._setting import setting, standard

__all__ = ["LogSettings"]

_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_LEVELS |= {word: word for word in ("DEBUG", "INFO", "WARN", "ERROR", "FATAL")}
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
    patterns = NAMES.parse(raw)
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(pattern) from error

    return patterns


_UNREADABLE = ("(",)
"""Stands for patterns that are none: the engine then hides every value."""

_LEVEL: Kind[str] = Kind(
    "choice", _parse_level, "DEBUG | INFO | WARN | ERROR | FATAL | auto"
)
_NO_COLOR: Kind[bool] = Kind("flag", _parse_no_color, "any text")
_PATTERNS: Kind[tuple[str, ...]] = Kind(
    "list", _parse_patterns, "regular expressions separated by commas", show=",".join
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogSettings:
    """Log lines: level, format, delivery, redaction."""

    section: ClassVar[str] = "LOG"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
    level: str = setting(
        "INFO",
        _LEVEL,
        "Lowest level written; auto is DEBUG for the application's own loggers and "
        "INFO for all others",
        relaxed="auto",
        standards=(standard("LOG_LEVEL", _LEVEL),),
    )
    allow_debug: bool = setting(
        False,
        FLAG,
        "Lets DEBUG be written in production, where it is refused otherwise",
    )
    format: str = setting(
        "auto",
        choice("auto", "json", "console"),
        "How a line looks; auto is console in development and on a terminal, else JSON",
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
        "Most bytes of lines that wait while stdout is blocked; the oldest are dropped",
    )
    queue_lines: int = setting(
        10_000,
        integer(10),
        "Most lines that wait while stdout is blocked; the oldest are dropped",
    )
    max_line_bytes: int = setting(
        16 * 1024,
        size(4096, _LARGEST_EVENT),
        "Longest line; longer ones are cut and say so",
    )
    stack_max_frames: int = setting(
        100, integer(2), "Most frames of one traceback; the middle ones are left out"
    )
    redact_enabled: bool = setting(True, FLAG, "Masks secrets wherever data leaves")
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
