from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from svcready._core import fork
from svcready._transport.sinks._destination import Entry, Outcome
from svcready._transport.sinks.rotating_file import (
    RotatingFile,
    file_problem,
    file_sink,
)

FOREVER = float("inf")


def entries(*lines: bytes) -> list[Entry]:
    """Make a batch."""
    return [Entry(20, 0, line) for line in lines]


def texts(directory: Path) -> dict[str, bytes]:
    """Read every file of *directory*."""
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def test_lines_are_appended(tmp_path: Path) -> None:
    """To what is there already; and nothing is opened before the first line."""
    path = tmp_path / "app.log"
    sink = file_sink("test", str(path), max_bytes=1000, backups=1)
    assert not path.exists()
    path.write_bytes(b"before\n")
    sink(b"one\n", 20)
    sink(b"two\n", 20)

    assert sink.flush(10)
    assert path.read_bytes() == b"before\none\ntwo\n"
    assert sink.close(10)


def test_a_full_file_is_rotated(tmp_path: Path) -> None:
    """No file is longer than the limit, and only so many are kept: .1 is the newest."""
    file = RotatingFile(str(tmp_path / "app.log"), max_bytes=10, backups=2)
    batch = entries(
        b"1111\n", b"2222\n", b"3333\n", b"4444\n", b"55555555555\n", b"6\n"
    )

    assert file.deliver(batch, FOREVER) == Outcome()
    assert file.deliver(entries(b"7\n"), FOREVER) == Outcome()
    assert texts(tmp_path) == {
        "app.log": b"6\n7\n",
        "app.log.1": b"55555555555\n",  # a line is never cut, so it is alone
        "app.log.2": b"3333\n4444\n",
    }
    file.close()


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    """As logrotate does it, with or without creating another; and by deletion."""
    path = tmp_path / "app.log"
    file = RotatingFile(str(path), max_bytes=1000, backups=1)
    file.deliver(entries(b"one\n"), FOREVER)
    path.rename(tmp_path / "moved")
    file.deliver(entries(b"two\n"), FOREVER)
    path.rename(tmp_path / "again")
    path.write_bytes(b"created\n")
    file.deliver(entries(b"three\n"), FOREVER)
    path.unlink()
    file.deliver(entries(b"four\n"), FOREVER)

    assert texts(tmp_path) == {
        "moved": b"one\n",
        "again": b"two\n",
        "app.log": b"four\n",
    }
    file.close()


def test_a_torn_line_is_ended(tmp_path: Path) -> None:
    """What a crash left half-written does not take the next line with it."""
    path = tmp_path / "app.log"
    path.write_bytes(b'{"message": "the mach')
    file = RotatingFile(str(path), max_bytes=1000, backups=1)
    file.deliver(entries(b"one\n", b"two\n"), FOREVER)

    assert path.read_bytes() == b'{"message": "the mach\none\ntwo\n'
    file.close()


def test_a_missing_directory_is_an_outage(tmp_path: Path) -> None:
    """The lines are left, with the reason, and are written when it is there."""
    path = tmp_path / "logs" / "app.log"
    file = RotatingFile(str(path), max_bytes=1000, backups=1)
    outcome = file.deliver(entries(b"one\n"), FOREVER)
    assert outcome == Outcome(entries(b"one\n"), (), "No such file or directory")
    path.parent.mkdir()

    assert file.deliver(outcome.left, FOREVER).left == []
    assert path.read_bytes() == b"one\n"
    file.close()


def test_a_relative_path_is_one_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that changes its directory later still writes where it was told."""
    monkeypatch.chdir(tmp_path)
    file = RotatingFile("app.log", max_bytes=1000, backups=1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    file.deliver(entries(b"one\n"), FOREVER)

    assert (tmp_path / "app.log").read_bytes() == b"one\n"
    file.close()


FULL = """
import resource, signal, sys
from svcready._transport.sinks._destination import Entry, Outcome
from svcready._transport.sinks.rotating_file import RotatingFile

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
batch = [Entry(20, 0, b"1111\\n"), Entry(20, 0, b"2222\\n"), Entry(20, 0, b"3333\\n")]
file = RotatingFile(sys.argv[1], max_bytes=1000, backups=1)
print(len(file.deliver(batch, 1e9).left), open(sys.argv[1], "rb").read())
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
print(len(file.deliver(batch, 1e9).left), open(sys.argv[1], "rb").read())
"""


def test_a_disk_that_fills_up_tears_no_line(tmp_path: Path) -> None:
    """What it took of a batch is taken back, and the batch comes once as a whole."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "app.log")],
        check=True,
        capture_output=True,
        timeout=50,
    )

    assert done.stdout.decode().splitlines() == [
        "3 b''",
        r"0 b'1111\n2222\n3333\n'",
    ]


def test_a_full_device_is_an_outage() -> None:
    """A device is not locked, rotated or cut; what it refuses is left."""
    file = RotatingFile("/dev/full", max_bytes=1, backups=1)

    outcome = file.deliver(entries(b"one\n", b"two\n"), FOREVER)
    assert (len(outcome.left), outcome.fault) == (2, "No space left on device")
    file.close()


def test_a_file_that_can_not_be_moved_is_written_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines are worth more than the limit; it is said, and tried again later."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    file = RotatingFile(str(tmp_path / "app.log"), max_bytes=10, backups=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        outcome = file.deliver(entries(b"1111\n", b"2222\n", b"3333\n"), FOREVER)

    assert outcome.notice == "cannot be rotated (Permission denied), so it grows"
    assert outcome.left == []
    assert (tmp_path / "app.log").read_bytes() == b"1111\n2222\n3333\n"
    assert file.deliver(entries(b"4444\n", b"5555\n"), FOREVER).notice == ""
    assert (tmp_path / "app.log").read_bytes() == b"5555\n"
    file.close()


def test_a_file_system_without_locks_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems have none; other faults of locking are outages."""
    number = errno.ENOLCK

    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(fcntl, "flock", refuse)
    file = RotatingFile(str(tmp_path / "app.log"), max_bytes=1000, backups=1)
    assert file.deliver(entries(b"one\n"), FOREVER).left == []
    number = errno.EIO
    assert len(file.deliver(entries(b"two\n"), FOREVER).left) == 1
    assert (tmp_path / "app.log").read_bytes() == b"one\n"
    file.close()


def test_what_stands_against_a_file_is_known_at_once(tmp_path: Path) -> None:
    """For the report at the start; nothing is opened or made for it."""
    path = tmp_path / "app.log"
    assert file_problem(str(path)) == ""
    assert not path.exists()
    path.touch()
    assert file_problem(str(path)) == ""
    assert file_problem(str(tmp_path)) == "it is a directory"
    assert file_problem(str(tmp_path / "no" / "app.log")) == (
        f"there is no directory {tmp_path / 'no'}"
    )


def test_a_place_that_may_not_be_written_is_known_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever runs this test: the question goes to the operating system."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert file_problem("/tmp/app.log") == "this process may not write there"


PROCESSES, LINES = 4, 2000


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # threads at fork: the point
def test_four_processes_rotate_one_file(tmp_path: Path) -> None:
    """Over a hundred rotations by four writers: no line lost, doubled or torn."""
    fork.install()
    path = tmp_path / "app.log"
    sink = file_sink("test", str(path), max_bytes=4096, backups=1000)
    sink(b"parent %08d %s\n" % (0, b"x" * 40), 20)
    assert sink.flush(10)
    pids = []
    for process in range(PROCESSES):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                for number in range(LINES):
                    sink(b"child%d %08d %s\n" % (process, number, b"x" * 40), 20)
                    if number % 50 == 0:
                        sink.flush(10)

                status = 0 if sink.close(20) and not sink.dropped else 1
            finally:
                os._exit(status)

        pids.append(pid)

    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * PROCESSES
    files = texts(tmp_path)
    assert len(files) > 100
    assert max(map(len, files.values())) <= 4096
    newest_last = sorted(
        files, key=lambda name: -int(name.rpartition(".log")[2][1:] or 0)
    )
    lines = b"".join(files[name] for name in newest_last).splitlines()
    assert lines[0] == b"parent %08d %s" % (0, b"x" * 40)
    for process in range(PROCESSES):
        own = [line for line in lines if line.startswith(b"child%d " % process)]
        want = [b"child%d %08d %s" % (process, n, b"x" * 40) for n in range(LINES)]
        assert own == want

    assert len(lines) == 1 + PROCESSES * LINES
    assert sink.close(10)


def test_a_line_that_a_killed_sibling_left_is_ended(tmp_path: Path) -> None:
    """Also in a file that is open already; no line is glued to the rest of another."""
    path = tmp_path / "app.log"
    file = RotatingFile(str(path), max_bytes=1000, backups=1)
    file.deliver(entries(b"one\n"), FOREVER)
    with path.open("ab") as other:
        other.write(b"two\ntor")

    file.deliver(entries(b"three\n"), FOREVER)
    file.deliver(entries(b"four\n"), FOREVER)

    assert path.read_bytes() == b"one\ntwo\ntor\nthree\nfour\n"
    file.close()


def test_a_pipe_that_nobody_reads_is_a_fault_and_no_wait(tmp_path: Path) -> None:
    """Also at interpreter exit, where the caller itself delivers."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    file = RotatingFile(str(path), max_bytes=1000, backups=1)

    outcome = file.deliver(entries(b"one\n"), FOREVER)
    assert (len(outcome.left), bool(outcome.fault)) == (1, True)

    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert file.deliver(outcome.left, FOREVER) == Outcome()
    assert os.read(reader, 100) == b"one\n"
    os.close(reader)
    file.close()


def test_a_lock_that_a_stopped_process_has_is_waited_for_until_the_deadline(
    tmp_path: Path,
) -> None:
    """Who delivers at the end has a budget; the lines are left."""
    path = tmp_path / "app.log"
    other = os.open(path, os.O_WRONLY | os.O_CREAT)
    fcntl.flock(other, fcntl.LOCK_EX)
    file = RotatingFile(str(path), max_bytes=1000, backups=1)

    outcome = file.deliver(entries(b"one\n"), time.monotonic() + 0.05)
    assert (len(outcome.left), bool(outcome.fault)) == (1, True)

    os.close(other)
    assert file.deliver(outcome.left, time.monotonic() + 5.0) == Outcome()
    assert path.read_bytes() == b"one\n"
    file.close()
