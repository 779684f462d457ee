from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from svcready._core import events
from svcready._transport._output._nonblocking import NonBlocking
from svcready._transport._output._outlet import Outlet
from svcready._transport.stdout import Channel
from tests.transport.pipes import Pipe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Faults

LINE = b"x" * 99 + b"\n"


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Return a fresh pipe."""
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def drops() -> Iterator[list[events.ItemsDropped]]:
    """Collect what is published as dropped."""
    seen: list[events.ItemsDropped] = []
    end = events.subscribe(events.ItemsDropped, seen.append)
    yield seen
    end()


@pytest.fixture(params=[True, False], ids=["nowait", "own description"])
def outlet(request: pytest.FixtureRequest, pipe: Pipe) -> Iterator[Outlet]:
    """Return an outlet on the pipe, for each way of not blocking."""
    made = Outlet(pipe.writer, NonBlocking(pipe.writer, nowait=request.param))
    yield made
    pipe.hang_up()
    assert made.flush(20)  # before another file gets the descriptor's number


@pytest.mark.parametrize("delivery", ["hybrid", "async", "sync"])
def test_lines_come_out_whole_and_in_order(
    pipe: Pipe, outlet: Outlet, delivery: str
) -> None:
    """In each way of delivery, also lines longer than a pipe takes at once."""
    channel = Channel("test", outlet, delivery=delivery)
    lines = [b"%05d " % i + b"y" * size + b"\n" for i, size in enumerate((5, 9000, 50))]
    for line in lines:
        channel.write(line, 20)

    assert channel.flush(10)
    assert pipe.read(sum(map(len, lines))) == b"".join(lines)


def test_hybrid_is_written_before_the_call_returns(pipe: Pipe, outlet: Outlet) -> None:
    """So that the last line before a kill is out; and no thread was needed."""
    threads = threading.active_count()
    Channel("test", outlet).write(LINE, 20)

    assert pipe.read_all() == LINE
    assert threading.active_count() == threads


@pytest.mark.parametrize("delivery", ["hybrid", "async"])
def test_a_blocked_pipe_never_blocks_the_caller(
    pipe: Pipe, outlet: Outlet, delivery: str
) -> None:
    """With a full pipe every call returns, and all comes out when it is read."""
    size = pipe.fill()
    channel = Channel("test", outlet, delivery=delivery)
    lines = [b"%06d\n" % i for i in range(1000)]
    for line in lines:
        channel.write(line, 20)  # a blocking one would end the test by its timeout

    assert not channel.flush(0)
    assert pipe.read(size + 7000) == b"f" * size + b"".join(lines)
    assert channel.flush(10)
    assert channel.dropped == {}


def test_what_fits_in_part_is_finished_before_the_next(
    pipe: Pipe, outlet: Outlet
) -> None:
    """A long line into an almost full pipe is not torn by the next one."""
    size = pipe.fill()
    pipe.read(4096)
    channel = Channel("test", outlet)
    long = b"a" * 20_000 + b"\n"
    channel.write(long, 20)
    channel.write(b"next\n", 20)

    assert pipe.read(size - 4096 + len(long) + 5).lstrip(b"f") == long + b"next\n"


def test_what_waits_is_bounded_and_drops_are_counted(
    pipe: Pipe, outlet: Outlet, drops: list[events.ItemsDropped]
) -> None:
    """The oldest go; written and dropped together are all there were."""
    size = pipe.fill()
    channel = Channel("test", outlet, max_lines=50)
    for i in range(1000):
        channel.write(b"%06d\n" % i, 20)

    lost = channel.dropped["queue_full"]
    seen = pipe.read(size + 7 * (1000 - lost))[size:].split()
    assert channel.flush(10)

    assert len(seen) + lost == 1000
    assert seen[-50:] == [b"%06d" % i for i in range(950, 1000)]
    assert sum(drop.items for drop in drops) == lost
    assert {(drop.component, drop.reason) for drop in drops} == {("test", "queue_full")}


def test_the_bound_in_bytes_holds_too(outlet: Outlet) -> None:
    """A few long lines are as bad as many short ones; the newest is always kept."""
    channel = Channel("test", outlet, delivery="async", max_bytes=100_000)
    with outlet.lock:  # so that the thread takes none of them
        for _ in range(100):
            channel.write(b"z" * 9_999 + b"\n", 20)

        assert channel.queued_bytes == 100_000
        assert channel.dropped == {"queue_full": 90}
        channel.write(b"z" * 200_000 + b"\n", 20)
        assert (channel.queued_lines, channel.queued_bytes) == (1, 200_001)
        assert channel.dropped == {"queue_full": 100}


def test_each_channel_has_its_own_quota(pipe: Pipe, outlet: Outlet) -> None:
    """A flood of one component pushes out only its own lines."""
    pipe.fill()
    quiet = Channel("quiet", outlet, delivery="async")
    loud = Channel("loud", outlet, delivery="async", max_lines=5)
    quiet.write(b"first\n", 20)
    loud.write(b"taken with it\n", 20)
    for _ in range(1000):
        quiet.write(b"q\n", 20) if quiet.queued_lines < 3 else None
        loud.write(b"loud\n", 20)

    assert quiet.dropped == {}
    assert loud.dropped["queue_full"] > 900


def test_a_reader_that_is_gone_is_counted(
    pipe: Pipe, outlet: Outlet, drops: list[events.ItemsDropped]
) -> None:
    """EPIPE never reaches the caller; it is published at most once a second."""
    pipe.hang_up()
    for delivery in ("hybrid", "sync"):
        channel = Channel(delivery, outlet, delivery=delivery)
        for _ in range(10):
            channel.write(LINE, 20)

        assert channel.dropped == {"closed": 10}
        assert channel.flush(1)

    queued = Channel("async", outlet, delivery="async")
    queued.write(LINE, 20)
    assert queued.flush(10)
    assert queued.dropped == {"closed": 1}
    by_component = {"hybrid": 0, "sync": 0, "async": 0}
    for drop in drops:
        by_component[drop.component] += drop.items

    assert by_component == {"hybrid": 10, "sync": 10, "async": 1}
    assert len(drops) <= 5


def test_a_closed_descriptor_is_counted() -> None:
    """A process started without standard output runs all the same."""
    fd = os.open(os.devnull, os.O_WRONLY)
    outlet = Outlet(fd)
    os.close(fd)
    for delivery in ("hybrid", "sync"):
        channel = Channel("test", outlet, delivery=delivery)
        channel.write(LINE, 20)
        assert channel.dropped == {"closed": 1}


def test_a_full_disk_is_counted() -> None:
    """Any other fault of the descriptor is a write error."""
    fd = os.open("/dev/full", os.O_WRONLY)
    channel = Channel("test", Outlet(fd))
    channel.write(LINE, 20)
    os.close(fd)

    assert channel.dropped == {"write_error": 1}


FILLS_UP = """
import os, resource, signal, sys
from svcready._transport.stdout import Channel
from svcready._transport._output._outlet import Outlet

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
channel = Channel("test", Outlet(fd), delivery=sys.argv[2])
channel.write(b"1111\\n", 20)
channel.flush(5)
limit(13)
with channel._outlet.lock:  # so that the thread has them all at once
    for line in (b"2222\\n", b"3333\\n", b"4444\\n"):
        if sys.argv[2] == "async":
            channel.write(line, 20)

if sys.argv[2] != "async":
    for line in (b"2222\\n", b"3333\\n", b"4444\\n"):
        channel.write(line, 20)
        channel.flush(5)

channel.flush(5)
limit(1000)
for line in (b"5555\\n", b"6666\\n"):
    channel.write(line, 20)

channel.flush(5)
print(channel.dropped)
"""


@pytest.mark.parametrize("delivery", ["hybrid", "async", "sync"])
def test_a_disk_that_fills_up_within_a_line(delivery: str, tmp_path: Path) -> None:
    """What is out whole is not counted as lost, and no line is glued to a torn one."""
    file = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", FILLS_UP, str(file), delivery],
        check=True,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert file.read_bytes().split(b"\n") == [
        *(b"1111", b"2222", b"333", b"5555", b"6666", b"")
    ]
    assert done.stdout.strip() == "{'write_error': 2}"


def test_closing_counts_what_was_not_written(pipe: Pipe, outlet: Outlet) -> None:
    """After the deadline nothing is waited for, and nothing is lost in silence."""
    pipe.fill()
    channel = Channel("test", outlet, delivery="async")
    channel.write(LINE, 20)
    for _ in range(10):
        channel.write(LINE, 20)

    assert not channel.close(0.05)
    assert channel.queued_lines == 0
    assert channel.dropped == {"deadline": 11}


def test_files_and_sockets_take_lines_too(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A redirected output and one that is a socket."""
    path = tmp_path_factory.mktemp("out") / "log"
    with path.open("wb") as file:
        Channel("test", Outlet(file.fileno())).write(LINE, 20)
        assert path.read_bytes() == LINE

    near, far = socket.socketpair()
    for nowait in (True, False):
        channel = Channel(
            "test", Outlet(far.fileno(), NonBlocking(far.fileno(), nowait=nowait))
        )
        channel.write(LINE, 20)
        assert channel.flush(10)
        assert near.recv(200) == LINE

    near.close()
    far.close()


def test_a_descriptor_that_is_replaced_is_followed(
    pipe: Pipe, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As a server does that sends standard output into a file after the start."""
    path = tmp_path_factory.mktemp("out") / "log"
    outlet = Outlet(pipe.writer)
    channel = Channel("test", outlet)
    channel.write(LINE, 20)
    with path.open("wb") as file:
        os.dup2(file.fileno(), pipe.writer)

    channel.write(LINE, 20)
    outlet.refresh()
    channel.write(LINE, 20)

    assert pipe.read_all() == LINE
    assert path.read_bytes() == LINE * 2


def test_the_shared_descriptors_flags_stay(pipe: Pipe, outlet: Outlet) -> None:
    """Other processes write to the same pipe and expect it to block."""
    pipe.fill()
    Channel("test", outlet).write(LINE, 20)

    assert os.get_blocking(pipe.writer)


def test_someone_elses_nonblocking_flag_loses_nothing(pipe: Pipe) -> None:
    """A parent that made the description non-blocking doesn't break `sync`."""
    size = pipe.fill()
    os.set_blocking(pipe.writer, False)
    channel = Channel("test", Outlet(pipe.writer), delivery="sync")
    thread = threading.Thread(target=channel.write, args=(LINE, 20))
    thread.start()
    assert pipe.read(size + len(LINE)).endswith(LINE)
    thread.join()

    assert channel.dropped == {}


def test_without_new_threads_the_flush_writes(
    pipe: Pipe, outlet: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At interpreter exit no thread can start: the caller does it, within its time."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    size = pipe.fill()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    channel = Channel("test", outlet)
    channel.write(LINE, 20)

    assert not channel.flush(0.01)
    assert pipe.read(size) == b"f" * size
    assert channel.flush(10)
    assert pipe.read_all() == LINE
    pipe.hang_up()
    channel.write(LINE, 20)
    queued = Channel("queued", outlet, delivery="async")
    queued.write(LINE, 20)
    assert queued.flush(10)
    assert queued.dropped == {"closed": 1}


def test_threads_do_not_tear_each_others_lines(pipe: Pipe, outlet: Outlet) -> None:
    """Long lines of eight threads through a slow reader stay whole."""
    channel = Channel("test", outlet, max_bytes=10**9)
    length = 9_000

    def work(letter: bytes) -> None:
        for _ in range(20):
            channel.write(letter * length + b"\n", 20)

    threads = [threading.Thread(target=work, args=(bytes([97 + i]),)) for i in range(8)]
    for thread in threads:
        thread.start()

    lines = pipe.read(8 * 20 * (length + 1)).split(b"\n")[:-1]
    for thread in threads:
        thread.join()

    assert {(len(line), len(set(line))) for line in lines} == {(length, 1)}
    assert len(lines) == 160


def test_an_unexpected_fault_is_reported(faults: Faults) -> None:
    """A fault of ours is counted, and the line as dropped."""

    class Odd(NonBlocking):
        def look(self) -> None:
            raise LookupError

    channel = Channel("test", Outlet(1, Odd(1)))
    channel.write(LINE, 20)

    assert channel.dropped == {"write_error": 1}
    assert isinstance(faults.claim("transport.stdout"), LookupError)


FORK = """
import os, sys, threading
from svcready._core import fork
from svcready._transport.stdout import STDOUT, Channel
fork.install()
channel = Channel("test")
held, done = threading.Event(), threading.Event()

def hold():
    with STDOUT.lock:
        held.set()
        done.wait(20)

threading.Thread(target=hold, daemon=True).start()
held.wait(20)
pid = os.fork()
if pid == 0:
    channel.write(b"child\\n", 20)
    os._exit(0)

done.set()
status = os.waitpid(pid, 0)[1]
channel.write(b"parent %d\\n" % status, 20)
"""


def test_a_child_writes_though_the_lock_was_held_at_the_fork() -> None:
    """A lock held by a thread that the child lacks doesn't stop the child."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        capture_output=True,
        check=True,
        timeout=40,
    )

    assert done.stdout == b"child\nparent 0\n"


KILLED = """
import os, signal
from svcready._transport.stdout import Channel
Channel("test").write(b"last words\\n", 20)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_line_before_a_kill_is_out() -> None:
    """Nothing is left in a buffer of ours when the process is killed."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED], capture_output=True, check=False, timeout=40
    )

    assert done.returncode == -signal.SIGKILL
    assert done.stdout == b"last words\n"


def test_standard_output_has_a_direct_writer() -> None:
    """`write` is for whoever has a line and no channel."""
    code = "from svcready._transport import stdout; stdout.write(b'direct\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, timeout=40
    )

    assert done.stdout == b"direct\n"


def test_a_file_that_becomes_a_pipe_is_noticed(pipe: Pipe, tmp_path: Path) -> None:
    """Within a second: else a full pipe would hold up whoever writes."""
    fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    outlet = Outlet(fd)
    channel = Channel("test", outlet)
    channel.write(b"file\n", 20)
    outlet.look_again()
    assert outlet.sender.attempt.whole_bytes == sys.maxsize

    pipe.fill()
    os.dup2(pipe.writer, fd)
    outlet.look_again()
    channel.write(b"pipe\n", 20)

    assert channel.queued_lines == 1
    pipe.read_all()
    assert channel.flush(20)
    os.close(fd)
