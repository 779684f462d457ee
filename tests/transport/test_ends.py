from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = """
import os, signal, sys, threading
import svcready
from svcready._runtime import current
svcready.init(service="orders", settings={"core.start_summary": "off"})
runtime = current()
log = svcready.get_logger("shop")

def fill():
    os.set_blocking(1, False)
    try:
        while True:
            os.write(1, b"f" * 4095 + b"\\n")
    except BlockingIOError:
        os.set_blocking(1, True)

def say(word):
    os.write(2, word.encode() + b"\\n")

def hear():
    os.read(0, 1)

"""


class Run:
    """A process that logs, whose output is read when the test says so."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def hear(self, word: str) -> None:
        """Wait until the process says *word* on its standard error."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.decode().strip() == word:
                return

        pytest.fail(f"it ended without {word}")

    def go_on(self) -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def messages(self) -> list[str]:
        """Read to the end what it wrote; return its own lines' messages."""
        return [
            line["message"]
            for line in self.lines()
            if line["source"]["logger"] == "shop"
        ]

    def lines(self) -> list[dict[str, Any]]:
        """Read to the end what it wrote; return each line, without the filling."""
        assert self.process.stdout is not None
        return parse(read_to_end(self.process.stdout))


def read_to_end(stream: IO[bytes]) -> bytes:
    """Read until every writer is gone."""
    parts = []
    while select.select([stream], [], [], 50)[0]:
        part = os.read(stream.fileno(), 65_536)
        if not part:
            break

        parts.append(part)

    return b"".join(parts)


@contextmanager
def started(code: str, **variables: str) -> Iterator[Run]:
    """Start *code* after a start of svcready."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", START + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables},
    ) as process:
        try:
            yield Run(process)
            process.wait(40)
        finally:
            process.kill()


def parse(data: bytes) -> list[dict[str, Any]]:
    """Return each line, without the filling."""
    assert data == b"" or data.endswith(b"\n")
    lines = data.splitlines()
    return [json.loads(line) for line in lines if line.strip(b"f")]


DEATHS = {
    "kill": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "segfault": ("import faulthandler; faulthandler._sigsegv()", -signal.SIGSEGV),
    "os._exit": ("os._exit(7)", 7),
    "sys.exit": ("sys.exit(8)", 8),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "an error": ("raise SystemExit(9)", 9),
}


@pytest.mark.parametrize("size", [10, 5_000])
@pytest.mark.parametrize("to", ["pipe", "file"])
@pytest.mark.parametrize("death", DEATHS)
def test_the_last_line_is_there(tmp_path: Path, death: str, to: str, size: int) -> None:
    """However the process ends right after it was logged."""
    code, status = DEATHS[death]
    script = f"{START}log.info('x' * {size})\n{code}\n"
    path = tmp_path / "log"
    with path.open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdout=file if to == "file" else subprocess.PIPE,
            check=False,
            timeout=50,
        )

    data = path.read_bytes() if to == "file" else done.stdout
    assert done.returncode == status
    assert "x" * size in [line["message"] for line in parse(data)]


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("sys.exit(3)", 3),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("svcready.shutdown(); os._exit(4)", 4),
    ],
    ids=["sys.exit", "SIGTERM", "shutdown"],
)
@pytest.mark.parametrize("delivery", ["hybrid", "async"])
def test_what_was_accepted_is_written_at_the_end(
    end: str, status: int, delivery: str
) -> None:
    """What waits for a blocked reader comes out when it goes on, within the budget."""
    code = f"""
fill()
for i in range(2000):
    log.info("%d", i)

say("ending")
{end}
"""
    variables = {"SVCREADY_LIFECYCLE_FLUSH_TIMEOUT_S": "30"}
    with started(code, SVCREADY_LOG_DELIVERY=delivery, **variables) as run:
        run.hear("ending")
        messages = run.messages()

    assert messages[:2000] == [str(i) for i in range(2000)]
    assert run.process.returncode == status


def test_a_blocked_reader_does_not_hold_the_end_up() -> None:
    """Beyond its budget the process ends, whoever still doesn't read."""
    code = """
fill()
log.info("never read")
sys.exit(5)
"""
    with started(code, SVCREADY_LIFECYCLE_FLUSH_TIMEOUT_S="0.2") as run:
        assert run.process.wait(30) == 5


@pytest.mark.parametrize("delivery", ["hybrid", "async", "sync"])
def test_a_dead_reader_ends_nothing(delivery: str) -> None:
    """EPIPE is counted; the process goes on and ends as it wants to."""
    code = """
hear()
for i in range(100):
    log.info("%d", i)

runtime.flush(5.0)
dropped = runtime.logging.dropped
assert list(dropped) == ["closed"] and dropped["closed"] >= 100, dropped
say("alive")
sys.exit(6)
"""
    with started(code, SVCREADY_LOG_DELIVERY=delivery) as run:
        assert run.process.stdout is not None
        run.process.stdout.close()
        run.go_on()
        run.hear("alive")
        assert run.process.wait(30) == 6


@pytest.mark.parametrize("delivery", ["hybrid", "async"])
def test_a_child_has_a_queue_of_its_own(delivery: str) -> None:
    """Forked while the parent's is full, it loses none and doubles none."""
    code = """
fill()
for i in range(500):
    log.info("parent %d", i)

pid = os.fork()
who = "child" if pid == 0 else "parent"
for i in range(500, 1000):
    log.info("%s %d", who, i)

if pid == 0:
    say("forked")
    assert runtime.logging.flush(30)
    assert not runtime.logging.dropped
    os._exit(0)

status = os.waitpid(pid, 0)[1]
assert status == 0, status
assert runtime.logging.flush(30)
assert not runtime.logging.dropped
"""
    with started(code, SVCREADY_LOG_DELIVERY=delivery) as run:
        run.hear("forked")
        messages = run.messages()

    assert run.process.returncode == 0
    parents = [text for text in messages if text.startswith("parent")]
    children = [text for text in messages if text.startswith("child")]
    assert parents == [f"parent {i}" for i in range(1000)]
    assert children == [f"child {i}" for i in range(500, 1000)]


def test_a_child_does_not_count_what_its_parent_lost() -> None:
    """Each process counts its own."""
    code = """
fill()
for i in range(100):
    log.info("%d", i)

pid = os.fork()
if pid == 0:
    os._exit(bool(runtime.logging.dropped))

say("%d %d" % (os.waitpid(pid, 0)[1], len(runtime.logging.dropped)))
"""
    with started(code, SVCREADY_LOG_QUEUE_LINES="10") as run:
        run.hear("0 1")
        run.messages()


def test_a_summary_line_tells_of_the_loss() -> None:
    """One line, once the reader goes on: how many, of which levels, for how long."""
    code = """
fill()
for i in range(3000):
    log.debug("%d", i)
    if i % 100 == 0:
        log.error("error %d", i)

say("blocked")
assert runtime.logging.flush(30)
say(str(runtime.logging.dropped["queue_full"]))
log.info("last")
"""
    with started(
        code,
        SVCREADY_LOG_QUEUE_LINES="500",
        SVCREADY_LOG_LEVEL="DEBUG",
        SVCREADY_LOG_ALLOW_DEBUG="true",
    ) as run:
        run.hear("blocked")
        lines = run.lines()

    (summary,) = [it for it in lines if it.get("event") == "svcready.logging.dropped"]
    levels = Counter(line["level"] for line in lines)
    lost = 3000 - levels["DEBUG"]
    assert levels["ERROR"] == 30
    assert summary["level"] == "WARN"
    assert summary["message"].startswith(f"{lost} lines dropped while standard output")
    assert summary["context"]["lines"] == lost
    assert summary["context"]["lost"] == {"queue_full": {"DEBUG": lost}}
    assert summary["context"]["blocked_s"] >= 0
    of_shop = [n for n, line in enumerate(lines) if line["source"]["logger"] == "shop"]
    assert of_shop[-2] < lines.index(summary) < of_shop[-1]
