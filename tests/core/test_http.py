"""The words of HTTP that several parts must spell alike."""

from __future__ import annotations

import ast
from pathlib import Path

import svcready
from svcready._core.http import METHODS, OTHER_VALUE, UNMATCHED

SOURCES = Path(svcready.__file__).parent


def test_they_are_written_once() -> None:
    """A line, a series and a span could disagree if each had a table of its own."""
    words = {"CONNECT", "QUERY", OTHER_VALUE, UNMATCHED}
    found = {
        (path.relative_to(SOURCES).as_posix(), node.value)
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in words
    }

    assert {name for name, _ in found} == {"_core/http.py"}
    assert {word for _, word in found} == words


def test_the_methods_are_the_conventions() -> None:
    """RFC 9110's eight, PATCH, and QUERY, as OpenTelemetry names the known ones."""
    rfc_9110 = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE"}

    assert rfc_9110 | {"PATCH", "QUERY"} == METHODS
