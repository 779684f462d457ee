from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from svcready._transport._output._outlet import Outlet
from svcready._transport._output._page import Page
from svcready._transport._output._room import Room
from svcready._transport._output._turn import Turn
from svcready._transport.stdout import Channel
from tests.transport.pipes import Pipe
from tests.transport.swarm import swarm

if TYPE_CHECKING:
    from collections.abc import Iterator

MIXED = ([65_536], [65_536, 100], [100, 200, 50], [4_000, 100])
"""Sizes of lines: processes with long ones, with both, with short ones."""

REFUSED = """
import fcntl
real = fcntl.fcntl

def fcntl_(fd, command, argument=0):
    if command == fcntl.F_SETPIPE_SZ:
        raise PermissionError(1, "Operation not permitted")

    return real(fd, command, argument)

fcntl.fcntl = fcntl_
"""


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Return a fresh pipe."""
    made = Pipe()
    yield made
    made.close()


def join(fd: int, run_dir: Path) -> Turn:
    """Return what a process of its own would have."""
    turn = Turn(fd)
    turn.find_run_dir = lambda: run_dir
    turn.join(is_pipe=True, is_shared=True)
    return turn


@pytest.mark.parametrize("delivery", ["hybrid", "async", "sync"])
def test_threads_of_processes_lose_no_line(tmp_path: Path, delivery: str) -> None:
    """None is lost, doubled or torn, and those of a thread stay in order."""
    swarm(
        run_dir=tmp_path,
        processes=4,
        threads=4,
        lines=1_000,
        sizes=[[100], [10, 300]],
        delivery=delivery,
    )


@pytest.mark.parametrize("read_bytes", [1 << 20, 512], ids=["fast", "slow"])
@pytest.mark.parametrize("delivery", ["hybrid", "async"])
def test_long_lines_of_processes_stay_whole(
    tmp_path: Path, delivery: str, read_bytes: int
) -> None:
    """64 KiB lines beside the others' short ones, to a fast and to a slow reader."""
    swarm(
        run_dir=tmp_path,
        processes=4,
        threads=2,
        lines=100,
        sizes=MIXED,
        delivery=delivery,
        read_bytes=read_bytes,
    )


@pytest.mark.parametrize("read_bytes", [1 << 20, 512], ids=["fast", "slow"])
def test_lines_longer_than_the_pipe_stay_whole(tmp_path: Path, read_bytes: int) -> None:
    """In a pipe of 64 KiB that may not be enlarged they go in pieces, in turn."""
    swarm(
        run_dir=tmp_path,
        processes=4,
        threads=2,
        lines=60,
        sizes=MIXED,
        setup=REFUSED,
        read_bytes=read_bytes,
    )


def test_without_a_place_to_meet_room_keeps_them_whole() -> None:
    """No directory can be written to, but a pipe that may be enlarged is enough."""
    swarm(run_dir=None, processes=4, threads=2, lines=60, sizes=MIXED)


def test_one_has_the_turn_at_a_time(pipe: Pipe, tmp_path: Path) -> None:
    """The others see it in memory, and whoever waited comes before who had it."""
    one, two = join(pipe.writer, tmp_path), join(pipe.writer, tmp_path)
    assert one.take()
    assert two.page[0]
    assert not two.take()
    one.release()
    assert not two.page[0]
    assert not one.take()
    assert two.take()
    two.release()
    one.close()
    two.close()


def test_the_turn_ends_with_its_holder(pipe: Pipe, tmp_path: Path) -> None:
    """A killed process has no turn; what it had begun ends before the next line."""
    script = """
import os, sys
from pathlib import Path
from svcready._transport._output._turn import Turn
turn = Turn(1)
turn.find_run_dir = lambda: Path(sys.argv[1])
turn.join(is_pipe=True, is_shared=True)
assert turn.take()
while not turn.allows(10**8):  # more than any pipe holds: in pieces
    pass

os.write(1, b"half a line")
os.kill(os.getpid(), 9)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=pipe.writer,
        check=False,
        timeout=40,
    )
    assert done.returncode == -signal.SIGKILL

    outlet = Outlet(pipe.writer)
    outlet.meet_in(lambda: tmp_path)
    Channel("test", outlet).write(b"whole\n", 20)
    assert outlet.flush(10)
    assert pipe.read_all() == b"half a line\nwhole\n"


def test_a_short_line_waits_for_anothers_long_one(pipe: Pipe, tmp_path: Path) -> None:
    """It is left to the thread, and comes when the turn is over."""
    other = join(pipe.writer, tmp_path)
    outlet = Outlet(pipe.writer)
    outlet.meet_in(lambda: tmp_path)
    channel = Channel("test", outlet)
    channel.write(b"first\n", 20)
    assert other.take()
    channel.write(b"second\n", 20)

    assert not channel.flush(0)
    assert pipe.read_all() == b"first\n"
    other.release()
    assert channel.flush(10)
    assert pipe.read_all() == b"second\n"
    other.close()


def test_a_caller_never_waits_for_the_turn_nor_for_room(
    pipe: Pipe, tmp_path: Path
) -> None:
    """A long line is left to the thread as well."""
    other = join(pipe.writer, tmp_path)
    outlet = Outlet(pipe.writer)
    outlet.meet_in(lambda: tmp_path)
    channel = Channel("test", outlet)
    line = b"x" * 10_000 + b"\n"
    assert other.take()
    channel.write(line, 20)
    assert pipe.read_all() == b""
    other.release()
    assert channel.flush(10)
    assert pipe.read_all() == line

    size = pipe.fill()
    channel.write(line, 20)
    assert pipe.read(size + len(line))[size:] == line
    assert channel.flush(10)
    other.close()


def test_a_lone_long_line_needs_no_thread(pipe: Pipe, tmp_path: Path) -> None:
    """If nobody has the turn and the pipe has room, it is out when write returns."""
    outlet = Outlet(pipe.writer)
    outlet.meet_in(lambda: tmp_path)
    line = b"x" * 60_000 + b"\n"
    Channel("test", outlet).write(line, 20)

    assert pipe.read_all() == line
    assert outlet._thread is None


def test_a_pipe_is_enlarged_once_and_as_far_as_allowed(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the first line that needs it; half as much if all is refused."""
    real = fcntl.fcntl
    asked: list[int] = []

    def limited(fd: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETPIPE_SZ:
            asked.append(argument)
            if argument > 300_000:
                raise PermissionError(1, "Operation not permitted")

        return real(fd, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", limited)
    room = Room(pipe.writer)
    assert room.has(60_000)
    assert real(pipe.writer, fcntl.F_GETPIPE_SZ) == 262_144
    assert room.has(60_000)
    assert asked == [480_000, 240_000]
    assert room.has(10**7) is None


@pytest.mark.parametrize("written", [1, 100, 2049, 4095, 4096, 4097, 10_000])
def test_what_surely_fits_comes_out_in_one_piece(pipe: Pipe, written: int) -> None:
    """However the pages of the pipe are filled, a write that has room is whole."""
    room = Room(pipe.writer)
    room.has(5_000)  # enlarges it
    os.set_blocking(pipe.writer, False)
    checked = 0
    try:
        for _ in range(100_000):
            if room.has(5_000):
                checked += 1
                assert os.write(pipe.writer, b"y" * 5_000) == 5_000

            os.write(pipe.writer, b"x" * written)
    except BlockingIOError:
        pass

    assert checked
    assert room.has(5_000) is False


def test_sockets_have_turns_too(tmp_path: Path) -> None:
    """Through a lock on the file that the processes share."""
    near, far = socket.socketpair()
    outlet = Outlet(far.fileno())
    outlet.meet_in(lambda: tmp_path)
    channel = Channel("test", outlet)
    line = b"x" * 20_000 + b"\n"
    channel.write(line, 20)
    assert outlet._thread is None  # it is out when write returns
    channel.write(b"next\n", 20)
    got = b""
    while len(got) < len(line) + 5:
        got += near.recv(65_536)

    assert got == line + b"next\n"
    assert channel.flush(10)
    near.close()
    far.close()


STOPPED = """
import os, signal, sys
from pathlib import Path
from svcready._transport._output._outlet import Outlet
outlet = Outlet(1)
outlet.meet_in(lambda: Path(sys.argv[1]))
outlet.sender.look()
turn = outlet.sender.turn
assert turn.take()
if sys.argv[2] == "begun":
    turn._step(2)
    os.write(1, b"torn")
os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.parametrize(
    ("state", "before"), [("taken", b""), ("begun", b"torn\n")], ids=["taken", "begun"]
)
def test_a_sibling_that_is_stopped_in_its_turn_holds_nobody_up_for_long(
    pipe: Pipe, tmp_path: Path, state: str, before: bytes
) -> None:
    """A debugger or a frozen container: lines that come out whole go past it."""
    sibling = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(tmp_path), state], stdout=pipe.writer
    )
    try:
        assert os.WIFSTOPPED(os.waitpid(sibling.pid, os.WUNTRACED)[1])
        outlet = Outlet(pipe.writer)
        outlet.meet_in(lambda: tmp_path)
        channel = Channel("test", outlet)
        channel.write(b"short\n", 40)
        channel.write(b"x" * 9_000 + b"\n", 40)

        assert channel.flush(20)
        written = os.read(pipe.reader, 65_536)
        assert written == before + b"short\n" + b"x" * 9_000 + b"\n"
    finally:
        sibling.kill()
        sibling.wait()


def test_a_sibling_that_goes_on_is_waited_for(pipe: Pipe, tmp_path: Path) -> None:
    """However long it has the turn, while it makes steps; and a full pipe is none."""
    now_s = [0.0]
    holder = join(pipe.writer, tmp_path)
    waits = Turn(pipe.writer, lambda: now_s[0])
    waits.find_run_dir = lambda: tmp_path
    waits.join(is_pipe=True, is_shared=True)
    assert holder.take()
    told = []
    for _ in range(40):
        now_s[0] += 0.5
        holder.step()
        told.append(waits.is_stuck(10, writable=True))

    for each in range(40):
        now_s[0] += 0.5
        told.append(waits.is_stuck(10, writable=each % 6 == 0))

    assert not any(told)
    for _ in range(5):
        now_s[0] += 0.5
        assert not waits.is_stuck(10, writable=True)

    now_s[0] += 0.5
    assert waits.is_stuck(10, writable=True)
    assert not waits.torn


def test_the_page_has_its_place_on_the_disk(pipe: Pipe, tmp_path: Path) -> None:
    """Where it were a hole, a disk that is full would end the process by SIGBUS."""
    page = Page.open(pipe.writer, tmp_path)

    assert page is not None
    assert os.fstat(page.fd).st_blocks * 512 >= len(page.memory)


def test_files_of_pipes_that_are_gone_are_removed(tmp_path: Path) -> None:
    """A day after their last use, unless somebody still uses them."""
    old, used = os.pipe(), os.pipe()
    old_s = time.time() - 2 * 86_400
    for ends in (old, used):
        page = Page.open(ends[1], tmp_path)
        assert page is not None
        if ends is old:
            page.close()

    code = (
        "import sys; from pathlib import Path;"
        " from svcready._transport._output._page import Page;"
        " assert Page.open(1, Path(sys.argv[1]))"
    )
    names = [
        f"stdout-{os.fstat(w).st_dev}-{os.fstat(w).st_ino}" for _, w in (old, used)
    ]
    for name in names:
        os.utime(tmp_path / name, (old_s, old_s))

    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=40,
    )
    left = {path.name for path in tmp_path.iterdir()}
    assert names[0] not in left
    assert names[1] in left
    assert len(left) == 2
    for fd in (*old, *used):
        os.close(fd)


@pytest.mark.parametrize("run_dir", [None, Path("/proc/no/such")])
def test_without_a_place_to_meet_it_is_said(
    pipe: Pipe, run_dir: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines go out all the same, and the start line has a notice."""
    from svcready._transport import stdout

    outlet = Outlet(pipe.writer)
    monkeypatch.setattr(stdout, "STDOUT", outlet)
    assert stdout.notices() == []
    outlet.meet_in(lambda: run_dir)
    line = b"x" * 10_000 + b"\n"
    Channel("test", outlet).write(line, 20)

    assert pipe.read_all() == line
    assert "SVCREADY_CORE_RUN_DIR" in stdout.notices()[0]
