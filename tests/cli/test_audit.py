"""The command `svcready audit verify`."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from svcready.cli import main
from svcready.config._sections.audit import AuditSettings
from svcready.logging import audit
from tests.logging.audit_support import make_audit

if TYPE_CHECKING:
    from pathlib import Path

KEY = "correct horse battery"


def log(entries: int = 3, *, key: str = "", closed: bool = True) -> list[bytes]:
    """Write a chain."""
    made, lines = make_audit(AuditSettings(key=key))
    for number in range(entries):
        made.record("order.cancel", f"order/{number}", "alice", "success", {})

    if closed:
        made.end_chain(0.0)

    return lines.lines


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a log that is clean and closed."""
    path = tmp_path / "audit.log"
    path.write_bytes(b"".join(log()))
    return path


def test_a_clean_log(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints each chain, with its first and last entry, and exits with 0."""
    assert main(["audit", "verify", str(file), "--expect-closed"]) == 0

    chain = json.loads(file.read_bytes().splitlines()[0])["chain"]
    head, first, last = capsys.readouterr().out.splitlines()
    assert head == f"{chain}  4 entries, closed  ok"
    assert first == "  from  2027-01-15T08:00:00.000000Z orders host-1"
    assert last.startswith("  to    2027-01-15T08:00:00.000000Z")


def test_problems_are_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with file, line, kind and chain; the exit code is 1."""
    lines = file.read_bytes().splitlines(keepends=True)
    chain = json.loads(lines[0])["chain"]
    file.write_bytes(lines[0] + lines[2] + lines[3])

    assert main(["audit", "verify", str(file)]) == 1
    out = capsys.readouterr().out
    assert "3 entries, closed  1 problem\n" in out
    assert out.endswith(f"{file}:2: missing: entry 2 before entry 3  [{chain[:8]}]\n")


def test_only_the_first_problems_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty, and how many more there are."""
    path = tmp_path / "audit.log"
    path.write_bytes(b"".join(log(60)[::2]) + b'"log_type":"audit"\n')

    assert main(["audit", "verify", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "... and 11 more"
    assert len([line for line in lines if ": missing: " in line]) == 20


def test_an_open_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said, and wrong only if an end was expected."""
    path = tmp_path / "audit.log"
    path.write_bytes(b"".join(log(1, closed=False)))

    assert main(["audit", "verify", str(path)]) == 0
    assert "1 entry, open  ok" in capsys.readouterr().out
    assert main(["audit", "verify", "--expect-closed", str(path)]) == 1
    assert f"{path}:1: open: ends open after entry 1" in capsys.readouterr().out


def test_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for machines."""
    lines = file.read_bytes().splitlines(keepends=True)
    chain = json.loads(lines[0])["chain"]
    file.write_bytes(b"".join(lines[1:]))

    assert main(["audit", "verify", "--json", str(file)]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["entries"] == 3
    assert report["problems"] == [
        {
            "kind": "missing",
            "where": f"{file}:1",
            "chain": chain,
            "text": "entry 1 before entry 2",
        }
    ]
    assert report["chains"][0]["closed"] is True
    assert main(["audit", "verify", "--json", "--partial", str(file)]) == 0


def test_files_stdin_and_gzip(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Files in order, packed or not, and `-`."""
    lines = log()
    packed = tmp_path / "audit.log.1.gz"
    packed.write_bytes(gzip.compress(b"".join(lines[:2])))
    for rest in (b"".join(lines[2:]), gzip.compress(b"".join(lines[2:]))):
        stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(rest)))
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(["audit", "verify", "--expect-closed", str(packed), "-"]) == 0

    assert "4 entries, closed  ok" in capsys.readouterr().out


def test_a_damaged_archive_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong within, it is an error of one line."""
    packed = bytearray(gzip.compress(b"".join(log())))
    packed[40] ^= 0xFF
    packed[60] ^= 0xFF
    file = tmp_path / "audit.log.gz"
    for data in (packed, packed[:30], packed[:2]):
        file.write_bytes(data)
        assert main(["audit", "verify", str(file)]) == 2
        assert capsys.readouterr().err.startswith("svcready audit: ")


def test_a_key(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From a file, from the variable, or from what the variable refers to."""
    path, secret = tmp_path / "audit.log", tmp_path / "key"
    path.write_bytes(b"".join(log(key=KEY)))
    secret.write_text(f"{KEY}\n")

    assert main(["audit", "verify", str(path)]) == 2
    assert "give the key by --key-file or SVCREADY_AUDIT_KEY" in capsys.readouterr().err
    assert main(["audit", "verify", str(path), "--key-file", str(secret)]) == 0
    for said in (KEY, f"file:{secret}"):
        monkeypatch.setenv("SVCREADY_AUDIT_KEY", said)
        assert main(["audit", "verify", str(path)]) == 0

    monkeypatch.setenv("SVCREADY_AUDIT_KEY", "short")
    assert main(["audit", "verify", str(path)]) == 2
    assert "SVCREADY_AUDIT_KEY" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"plain text\n", b"\x1f\x8b broken"])
def test_what_cannot_be_judged(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No file, no entries or a damaged archive is 2, not a clean bill."""
    path = tmp_path / "audit.log"
    if content is not None:
        path.write_bytes(content)

    assert main(["audit", "verify", str(path)]) == 2
    assert capsys.readouterr().err.startswith("svcready audit: ")


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`svcready schema audit` prints what the package publishes."""
    assert main(["schema", "audit"]) == 0
    assert json.loads(capsys.readouterr().out) == audit.schema()


def test_usage() -> None:
    """A wrong command line is 2."""
    with pytest.raises(SystemExit) as caught:
        main(["audit"])

    assert caught.value.code == 2
    assert "SVCREADY_AUDIT_KEY" not in os.environ
