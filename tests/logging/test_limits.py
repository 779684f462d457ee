from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcready._core import events
from svcready._core.context import ContextRecord, activate
from svcready._core.redaction import Redactor
from svcready.config._sections.log import LogSettings
from svcready.logging import get_logger
from svcready.logging._lines import _cut
from svcready.testing import assert_log_line
from tests.examples import examples
from tests.logging.support import SPAN, START, TRACE, Log, make_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEBIBYTE = 1024**2


@pytest.fixture
def cuts() -> Iterator[list[str]]:
    """Collect the words for what was cut."""
    seen: list[str] = []
    end = events.subscribe(
        events.ItemsDropped,
        lambda event: seen.append(event.reason),
    )
    yield seen
    end()


def width(value: object) -> int:
    """Count the fields that Logs Insights would find: keys and items without more."""
    if isinstance(value, dict):
        return sum(width(item) for item in value.values()) if value else 1

    if isinstance(value, list):
        return sum(width(item) for item in value) if value else 1

    return 1


def depth(value: object) -> int:
    """Count the levels of objects and arrays."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)

    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)

    return 0


def nested(levels: int, bottom: object) -> object:
    """Put *bottom* into so many objects."""
    for _ in range(levels):
        bottom = {"a": bottom}

    return bottom


def test_a_context_of_two_hundred_fields_is_cut_and_says_so(
    log: Log, cuts: list[str]
) -> None:
    """Logs Insights finds 200 fields in an event, so a line has no more of them."""
    get_logger("shop").info("x", **{f"k{i}": i for i in range(300)})
    line = log.last

    assert width(line) <= 200
    assert width(line) > 190
    assert line["context"]["k0"] == 0
    left_out = 300 - (len(line["context"]) - 1)
    assert line["context"]["_cut"] == f"{left_out} fields left out"
    assert cuts == ["fields_cut"]


def test_items_and_nested_keys_count(log: Log, cuts: list[str]) -> None:
    """A wide list or object is cut; what stands beside it is not pushed out."""
    rows = [{"id": i, "sku": "x"} for i in range(500)]
    get_logger("shop").info("x", rows=rows, box={"in": {str(i): i for i in range(400)}})
    get_logger("shop").info("y", numbers=list(range(500)), order_id=7)
    first, second = log.lines[-2:]

    assert width(first) <= 200
    assert first["context"]["rows"][0] == {"id": 0, "sku": "x"}
    kept = len(first["context"]["rows"]) - 1
    assert first["context"]["rows"][-1] == f"[cut: {500 - kept} items]"
    kept = len(first["context"]["box"]["in"]) - 1
    assert kept > 50
    assert first["context"]["box"]["in"]["_cut"] == f"{400 - kept} fields left out"
    assert second["context"]["order_id"] == 7
    assert cuts == ["fields_cut", "fields_cut"]


def test_the_envelope_counts_and_is_never_cut(log: Log) -> None:
    """All ids, the request's members and the error's are there beside the context."""
    fields = {f"k{i}": i for i in range(300)}
    activate(ContextRecord("r-1", "c-1", TRACE, SPAN, fields=fields))
    log.pillar.access_log().write(
        "GET", "/a", 500, 0.1, 1, 2, "10.0.0.1", ValueError("x")
    )
    line = log.last

    assert width(line) <= 200
    assert (line["request_id"], line["trace_id"]) == ("r-1", TRACE)
    assert line["http"]["client"] == "10.0.0.1"
    assert line["error"]["type"] == "ValueError"
    assert "fields left out" in line["context"]["_cut"]


@pytest.mark.parametrize("enabled", [True, False])
def test_what_is_deeper_than_six_levels_is_cut_not_redacted(
    cuts: list[str], enabled: bool
) -> None:
    """The reader must not take depth for a secret; it counts as a cut of its own."""
    log = make_log(redactor=Redactor(enabled=enabled))
    log.pillar.start()
    get_logger("shop").info("x", six=nested(5, 1), seven=nested(6, 1), order_id=7)
    log.pillar.close()
    context = log.last["context"]

    assert context["six"] == nested(5, 1)
    assert context["seven"] == nested(5, "[cut: depth]")
    assert depth(context) == 6
    assert context["order_id"] == 7
    assert cuts == ["depth_cut"]


def test_objects_in_objects_keep_the_depth(log: Log) -> None:
    """Objects that only have a structure once they are looked into count, too."""

    class Box:
        __attrs_attrs__ = ()

    box: object = 1
    for _ in range(9):
        outer = type("Attrs", (), {})
        outer.__attrs_attrs__ = (type("A", (), {"name": "inner"}),)  # type: ignore[attr-defined]
        made = outer()
        made.inner = [box]
        box = made

    get_logger("shop").info("x", box=box)

    assert depth(log.last["context"]) == 6
    assert "[cut: depth]" in log.text


def test_a_context_is_at_most_256_kib(cuts: list[str]) -> None:
    """Where the line may be longer, its context may not; the first fields stay."""
    log = make_log(LogSettings(max_line_bytes=MEBIBYTE - 26))
    log.pillar.start()
    get_logger("shop").info("x", order_id=7, body="é" * 400_000, last="z")
    log.pillar.close()
    context = log.last["context"]

    size = len(json.dumps(context, ensure_ascii=False, separators=(",", ":")).encode())
    assert 200_000 < size <= 256 * 1024
    assert (context["order_id"], context["last"]) == (7, "z")
    assert "characters cut" in context["body"]
    assert cuts == ["context_cut"]


def test_reasons_are_counted_apart(cuts: list[str]) -> None:
    """A line that is too long and one that is too wide are two things."""
    log = make_log(LogSettings(max_line_bytes=4096))
    log.pillar.start()
    cuts.clear()
    get_logger("shop").info("x" * 9000)
    get_logger("shop").info("x", items=list(range(300)))
    get_logger("shop").info("short", n=1)
    log.pillar.close()

    assert cuts == ["line_cut", "fields_cut"]


PEM = "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{}"


@pytest.mark.parametrize("template", [PEM, JWT, "password={}"])
@pytest.mark.parametrize("before", [0, 1000, 2000, 2040, 3000])
def test_no_part_of_a_secret_survives_a_cut(template: str, before: int) -> None:
    """Redaction sees texts whole: none is cut in a secret's middle before it."""
    log = make_log(LogSettings(max_line_bytes=4096))
    log.pillar.start()
    secret = "Qz7K" * 700
    text = "x " * (before // 2) + template.format(secret)

    class Opaque:
        def __repr__(self) -> str:
            return text

    bare = get_logger("shop")
    bare.info(text)
    bare.info("x", text=text, raw=text.encode(), many=[text] * 20, odd=Opaque())
    bare.info("wrong %d", Opaque())
    bare.info("x", event=text)
    bare.info("x", **{text: 1})
    log.pillar.access_log().write("GET", f"/{text}", 200, 0.1, client=text)
    try:
        raise ValueError(text)
    except ValueError:
        bare.exception("failed")

    log.pillar.close()

    assert len(log.lines) == 7
    assert "Qz7K" not in log.text


KEYS = st.text(st.characters(categories=["L"]), max_size=4)
TREES = st.recursive(
    st.integers(-(2**63), 2**64 - 1) | KEYS,
    lambda inner: (
        st.lists(inner, max_size=150) | st.dictionaries(KEYS, inner, max_size=60)
    ),
    max_leaves=300,
)


@settings(max_examples=examples(80), deadline=None)
@given(context=st.dictionaries(KEYS, TREES, max_size=30), causes=st.integers(0, 40))
def test_any_line_is_within_all_limits(context: dict[str, object], causes: int) -> None:
    """Whatever the context and however many causes: fields, bytes and schema hold."""
    error = {
        "type": "E",
        "message": "m" * 500,
        "stack": "s" * 5000,
        "fingerprint": "0" * 16,
        "causes": [
            {
                "type": "E",
                "message": "é" * 900,
                "fingerprint": "0" * 16,
                "relation": "group",
                "depth": 1,
            }
        ]
        * causes,
    }
    line = {
        "schema": 1,
        "timestamp": "2026-01-01T00:00:00.000Z",
        "level": "INFO",
        "message": "m" * 2000,
        "service": "orders",
        "source": {"logger": "shop"},
        "context": context,
        "error": error,
    }
    for most in (4096, 16 * 1024):
        made, _ = _cut.to_limits(json.loads(json.dumps(line)), most)
        parsed = assert_log_line(made)
        assert len(made) <= most
        assert width(parsed) <= 200
        shown = parsed["error"]
        assert isinstance(shown, dict)
        assert len(shown["causes"]) + shown.get("causes_cut", 0) == causes


@settings(max_examples=examples(60), deadline=None)
@given(context=st.dictionaries(KEYS, TREES, max_size=30))
def test_a_line_that_may_pass_unparsed_is_within_the_limits(
    context: dict[str, object],
) -> None:
    """The quick test errs on the safe side only."""
    text = json.dumps(context, separators=(",", ":"), ensure_ascii=False).encode()
    quick = len(text) <= _cut.SURELY_FEW_BYTES or not _cut.may_exceed(text)

    assert not quick or width(context) <= 200 - 32


WHERE = """
pillar = start()
get_logger("shop").info("m" * 2_000_000)
pillar.drain(10)
"""


def run_into(stdout: int) -> None:
    """Log a line of 2 MB into an open file."""
    subprocess.run(
        [sys.executable, "-c", START + WHERE],
        check=True,
        stdout=stdout,
        timeout=50,
    )


def test_into_a_file_a_line_is_what_cloudwatch_takes(tmp_path: Path) -> None:
    """1 MiB less the 26 bytes that PutLogEvents adds to each event."""
    path = tmp_path / "out"
    with path.open("wb") as out:
        run_into(out.fileno())

    assert 900_000 < path.stat().st_size <= MEBIBYTE - 26


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_into_a_pipe_or_socket_a_line_is_what_runtimes_keep_whole(kind: str) -> None:
    """Container runtimes split what is longer than 16 KiB."""
    if kind == "pipe":
        read, write = os.pipe()
        run_into(write)
        os.close(write)
        data = os.read(read, 100_000)
        os.close(read)
    else:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            run_into(theirs.fileno())
            data = ours.recv(100_000)

    assert data.count(b"\n") == 1
    assert 14_000 < len(data) <= 16 * 1024


def test_the_setting_wins(log: Log) -> None:
    """Auto is only what is not said."""
    said = make_log(LogSettings(max_line_bytes=5000))
    said.pillar.start()
    get_logger("shop").info("m" * 9000)
    said.pillar.close()

    assert 4000 < len(said.written[-1]) <= 5000


@pytest.mark.parametrize("terminal", [True, False])
def test_console_lines_are_cut_too(terminal: bool, cuts: list[str]) -> None:
    """Of a text as well as of a traceback the middle goes, with a note."""
    log = make_log(
        LogSettings(format="console", max_line_bytes=4096), terminal=terminal
    )
    log.pillar.start()
    log.written.clear()
    cuts.clear()
    get_logger("shop").info("é" * 9000, a=1)
    try:
        raise ValueError("é" * 9000)
    except ValueError:
        get_logger("shop").exception("failed")

    log.pillar.close()

    for line in log.written:
        assert 3500 < len(line) <= 4096
        assert "bytes cut]" in line.decode()
        assert line.endswith(b"\n")

    assert cuts == ["line_cut", "line_cut"]
