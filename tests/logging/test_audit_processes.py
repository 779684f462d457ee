"""Real processes: what a kill, a fork, a full pipe or a flood does to the audit log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.logging.audit_support import read_entries, verified

if TYPE_CHECKING:
    from pathlib import Path

START = """
import asyncio, json, os, signal, sys, threading, time
import svcready
from svcready import audit, get_logger

def init(**settings):
    given = {key.replace("__", "."): value for key, value in settings.items()}
    return svcready.init(service="orders", settings=given)

def record(number):
    audit.record("order.cancel", "order/7", "alice", "success", number=number)

async def record_on_loop(number):
    record(number)

def tell(**facts):
    os.write(2, json.dumps(facts).encode())

def fill_stdout():
    flags = os.get_blocking(1)
    os.set_blocking(1, False)
    try:
        while True:
            os.write(1, b"\\n" * 4096)
    except BlockingIOError:
        pass
    try:
        while True:
            os.write(1, b"\\n")
    except BlockingIOError:
        os.set_blocking(1, flags)
"""


def run(
    code: str, *arguments: str, code_expected: int = 0, **environ: str
) -> tuple[bytes, bytes]:
    """Run a script; return what it wrote to standard output and error."""
    done = subprocess.run(
        [sys.executable, "-c", START + code, *arguments],
        capture_output=True,
        check=False,
        timeout=50,
        env={**os.environ, **environ},
    )
    assert done.returncode == code_expected, done.stderr.decode()
    return done.stdout, done.stderr


@pytest.mark.parametrize("call", ["record(1)", "asyncio.run(record_on_loop(1))"])
def test_a_kill_right_after_leaves_the_entry_on_stdout(call: str) -> None:
    """The caller writes itself, so `kill -9` can't take the entry along."""
    kill = f"init()\n{call}\nos.kill(os.getpid(), signal.SIGKILL)"
    out, _ = run(kill, code_expected=-signal.SIGKILL)

    (entry,) = read_entries(lines_of(out))
    assert entry["details"] == {"number": 1}
    assert not verified(out).found
    assert [problem.kind for problem in verified(out, closed=True).problems] == ["open"]


def test_a_kill_right_after_leaves_the_entry_in_the_file(tmp_path: Path) -> None:
    """Off a loop, `record` waits until the file has it."""
    path = tmp_path / "audit.log"
    run(
        f"init(audit__destination='file', audit__file={str(path)!r})\n"
        "record(1)\nos.kill(os.getpid(), signal.SIGKILL)",
        code_expected=-signal.SIGKILL,
    )

    assert [e["details"] for e in read_entries(path.read_bytes())] == [{"number": 1}]


def lines_of(out: bytes) -> bytes:
    """Leave out empty lines."""
    return b"".join(line + b"\n" for line in out.splitlines() if line)


@pytest.mark.parametrize("where", ["stdout", "file"])
def test_forks_have_chains_of_their_own(where: str, tmp_path: Path) -> None:
    """Processes with threads share a destination: all there, each chain whole."""
    path = tmp_path / "audit.log"
    path.touch()
    out, _ = run(
        f"runtime = init(audit__destination={where!r}, audit__file={str(path)!r})\n"
        """
record(0)
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        threads = [
            threading.Thread(target=lambda: [record(n) for n in range(100)])
            for _ in range(4)
        ]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        svcready.shutdown()
        os._exit(0)
    children.append(child)
record(1)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""
    )
    log = path.read_bytes() if where == "file" else out

    found = verified(log, closed=True)
    assert found.problems == []
    parent, *children = found.chains.values()
    assert parent.entries == 3
    assert [child.entries for child in children] == [401] * 3
    assert {child.parent[:2] for child in children if child.parent} == {(parent.id, 1)}
    firsts = [e for e in read_entries(lines_of(log)) if "parent" in e]
    assert len(firsts) == 3


def test_a_blocked_stdout_holds_nobody_for_long() -> None:
    """Off a loop `record` waits its time, on one not at all; nothing is lost."""
    code = """
import signal
init(audit__block_max_s=0.3)
fill_stdout()
def timed(call):
    begun = time.monotonic()
    call()
    return time.monotonic() - begun
thread_s = timed(lambda: record(1))
loop_s = asyncio.run(record_on_loop(2)) or 0
async def many():
    return timed(lambda: [record(n) for n in range(3, 103)])
loop_s = asyncio.run(many())
tell(thread_s=thread_s, loop_s=loop_s)
os.close(2)
sys.stdin.read(1)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", START + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    told = json.loads(process.stderr.read())
    process.stdin.close()
    out = process.stdout.read()
    process.wait(30)
    process.stdout.close()
    process.stderr.close()

    assert 0.2 < told["thread_s"] < 1.5
    assert told["loop_s"] < 0.3
    numbers = [entry["details"] for entry in read_entries(lines_of(out))]
    assert [n["number"] for n in numbers[:-1]] == list(range(1, 103))
    assert not verified(out, closed=True).found


def test_what_does_not_fit_is_counted_and_strict_raises() -> None:
    """Full for good: recorded = written + refused, exactly; the chain has no hole."""
    code = """
from svcready.errors import AuditError
runtime = init(audit__block_max_s=0, audit__queue_bytes=65536, audit__strict=True)
fill_stdout()
refused = 0
for number in range(500):
    try:
        record(number)
    except AuditError:
        refused += 1
tell(refused=refused, dropped=runtime.audit.dropped)
os.close(2)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", START + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    told: dict[str, Any] = json.loads(process.stderr.read())
    out = process.stdout.read()
    process.wait(30)
    process.stdout.close()
    process.stderr.close()

    written = [e for e in read_entries(lines_of(out)) if e["action"] == "order.cancel"]
    assert told["refused"] > 100
    assert sum(told["dropped"].values()) == told["refused"]
    assert len(written) + told["refused"] == 500
    found = verified(out, closed=True)
    assert {problem.kind for problem in found.problems} == {"lost"}


def test_a_flood_of_ordinary_lines_costs_no_entry() -> None:
    """Ordinary lines are dropped at a full pipe; entries have room of their own."""
    code = """
runtime = init(log__queue_lines=100, log__flood_per_s=0, audit__block_max_s=0)
log = get_logger("flood")
fill_stdout()
for number in range(5000):
    log.info("x" * 200)
    if number % 50 == 0:
        record(number)
tell(lines=sum(runtime.logging.dropped.values()), entries=runtime.audit.dropped)
os.close(2)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", START + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    told = json.loads(process.stderr.read())
    out = process.stdout.read()
    process.wait(30)
    process.stdout.close()
    process.stderr.close()

    assert told["lines"] > 1000
    assert told["entries"] == {}
    entries = read_entries(lines_of(out))
    assert [e["details"]["number"] for e in entries[:-1]] == list(range(0, 5000, 50))
    assert not verified(out, closed=True).found


def test_a_term_signal_closes_the_chain() -> None:
    """A worker that is told to end writes its last entry before it does."""
    out, _ = run(
        "init()\nrecord(1)\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(30)",
        code_expected=-signal.SIGTERM,
    )

    assert not verified(out, closed=True).found


def test_a_closed_stdout_is_said(tmp_path: Path) -> None:
    """What nobody can write is counted, and said on what remains of the log."""
    path = tmp_path / "app.log"
    _, err = run(
        f"""
import logging
runtime = init(audit__block_max_s=0.1)
logging.getLogger("svcready.audit").addHandler(logging.FileHandler({str(path)!r}))
os.close(1)
record(1)
tell(**runtime.audit.dropped)
"""
    )

    assert json.loads(err) == {"closed": 1}
    assert "1 audit entries were lost (in all: 1 closed)" in path.read_text()


def test_a_destination_that_cannot_be_had_is_reported(tmp_path: Path) -> None:
    """A file without a name is standard output; a missing directory is waited for."""
    out, _ = run("init()\nrecord(1)", SVCREADY_AUDIT_DESTINATION="file")
    said = b"SVCREADY_AUDIT_DESTINATION=file needs SVCREADY_AUDIT_FILE"
    assert out.count(said) == 1
    assert not verified(out, closed=True).found

    path = tmp_path / "later" / "audit.log"
    out, _ = run(
        "init()\nrecord(1)\nos.mkdir(sys.argv[1])",
        str(path.parent),
        SVCREADY_AUDIT_DESTINATION="file",
        SVCREADY_AUDIT_FILE=str(path),
        SVCREADY_AUDIT_BLOCK_MAX_S="0",
    )
    assert b"there is no directory" in out
    assert not verified(path.read_bytes(), closed=True).found
