"""Reads Python's traceback text: frames, and the exceptions that led to others."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Frame", "Raised", "parse_traceback"]

_BETWEEN = re.compile(
    r"\n\n(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):\n\n"
)
_FRAME = re.compile(r'  File "(.*)", line (\d+), in (.*)')
_REPEATED = re.compile(r"  \[Previous line repeated (\d+) more times?\]")
_GROUP_EDGE = re.compile(r"(?m)^[ |]*\+(?:-\+)?-{4,}[ \d.]*-*$")
_GROUP_MARGIN = re.compile(r"(?m)^(?: *[|+](?: |$))+")


class Frame(NamedTuple):
    """One line of a stack."""

    path: str
    line: int
    label: str


class Raised(NamedTuple):
    """One exception of a traceback."""

    type: str
    message: str
    stack: tuple[Frame, ...]
    """Newest first."""
    truncated: int
    """Frames that the text leaves out."""


def parse_traceback(text: str) -> tuple[list[Raised], list[Raised]]:
    """
    Return the exceptions in *text*, as `traceback.format_exception` writes it.

    Whatever is not understood is left out; no text makes it raise.

    Returns:
        The exception that was raised, then the one that it came from, and so on; and
        those that are members of a group.
    """
    members: list[Raised] = []
    if "Exception Group Traceback" in text:
        text, *parts = _GROUP_EDGE.split(text)
        members = [
            raised
            for part in parts
            for raised in _chain(_GROUP_MARGIN.sub("", part).strip("\n"))
            if raised.type
        ]
        text = _GROUP_MARGIN.sub("", text)

    return _chain(text), members


def _chain(text: str) -> list[Raised]:
    return [_read(block) for block in reversed(_BETWEEN.split(text.rstrip("\n")))]


def _read(block: str) -> Raised:
    frames: list[Frame] = []
    truncated = 0
    lines = block.split("\n")
    last = -1
    for index, line in enumerate(lines):
        if line[:2] != "  ":
            continue

        match = _FRAME.match(line)
        if match is not None:
            frames.append(Frame(match[1], int(match[2][:9]), match[3]))
            last = index
        elif match := _REPEATED.match(line):
            truncated += int(match[1][:9])
            last = index

    frames.reverse()
    kind, message = _headline(lines[last + 1 :])
    return Raised(kind, message, tuple(frames), truncated)


def _headline(lines: list[str]) -> tuple[str, str]:
    for index, line in enumerate(lines):
        if line and line[0] != " " and not line.startswith("Traceback ("):
            kind, colon, first = line.partition(":")
            if not colon or " " in kind:
                return (line, "") if " " not in line else ("", line)

            return kind, "\n".join([first.removeprefix(" "), *lines[index + 1 :]])

    return "", ""
