from __future__ import annotations

import errno
import fcntl
import mmap
import os
from typing import TYPE_CHECKING

import psutil
import pytest

from svcready._transport import stdout
from svcready._transport._output._nonblocking import NonBlocking
from svcready._transport._output._outlet import Outlet
from svcready._transport._output._page import Page
from svcready._transport._output._room import Room
from svcready._transport._output._turn import Turn
from svcready._transport.stdout import Channel
from tests.transport.pipes import Pipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LINE = b"x" * 9_999 + b"\n"


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Return a fresh pipe."""
    made = Pipe()
    yield made
    made.close()


def refuse(number: int) -> Callable[..., int]:
    """Return a call that fails with *number*."""

    def call(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


class Halves(NonBlocking):
    """Writes at most half of what it is given, as a disk that is almost full."""

    def look(self) -> None:
        """Look, and write less."""
        super().look()
        write = self.write
        self.write = lambda data: write(data[: max(1, len(data) // 2)])


def test_a_file_that_takes_a_part_gets_the_rest(tmp_path: Path) -> None:
    """The thread ends the line before any other begins."""
    path = tmp_path / "log"
    with path.open("wb") as file:
        outlet = Outlet(file.fileno(), Halves(file.fileno()))
        channel = Channel("test", outlet)
        for i in range(50):
            channel.write(b"%04d" % i * 20 + b"\n", 20)

        assert channel.flush(10)

    expected = [b"%04d" % i * 20 for i in range(50)]
    assert path.read_bytes().split() == expected


def test_without_locks_long_lines_still_go_out(
    pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that has none orders nobody, but loses nothing."""
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    outlet = Outlet(pipe.writer)
    outlet.meet_in(lambda: tmp_path)
    channel = Channel("test", outlet)
    channel.write(LINE, 20)
    channel.write(LINE, 20)

    assert channel.flush(10)
    assert pipe.read_all() == LINE * 2


def test_where_room_can_not_be_asked_for_lines_go_in_pieces(
    pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on systems without these calls."""
    monkeypatch.setattr(fcntl, "fcntl", refuse(errno.EINVAL))
    assert Room(pipe.writer).has(5_000) is None
    outlet = Outlet(pipe.writer)
    outlet.meet_in(lambda: tmp_path)
    channel = Channel("test", outlet)
    channel.write(LINE, 20)
    channel.write(b"next\n", 20)

    assert channel.flush(10)
    assert pipe.read_all() == LINE + b"next\n"


@pytest.mark.parametrize("what", ["mmap", "lockf"])
def test_a_page_that_can_not_be_had_is_done_without(
    pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """No fault reaches anybody; the processes just don't meet."""
    module = mmap if what == "mmap" else fcntl
    monkeypatch.setattr(module, what, refuse(errno.ENODEV))
    fds = psutil.Process().num_fds()

    assert Page.open(pipe.writer, tmp_path) is None
    assert psutil.Process().num_fds() == fds


def test_a_pipe_of_another_user_is_locked_through_the_shared_file(
    pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't be opened a second time."""
    real = os.open

    def opened(path: str, *rest: int, **named: int) -> int:
        if str(path).startswith("/proc/self/fd"):
            raise PermissionError(errno.EACCES, "Permission denied")

        return real(path, *rest, **named)

    monkeypatch.setattr(os, "open", opened)
    turns = []
    for _ in range(2):
        turn = Turn(pipe.writer)
        turn.find_run_dir = lambda: tmp_path
        turn.join(is_pipe=True, is_shared=True)
        turns.append(turn)

    assert turns[0].take()
    assert not turns[1].take()
    turns[0].release()
    assert turns[1].take()
    for turn in turns:
        turn.release()
        turn.close()


def test_a_closed_output_has_no_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line tells of it already."""
    fd = os.open(os.devnull, os.O_WRONLY)
    outlet = Outlet(fd)
    outlet.meet_in(lambda: None)
    os.close(fd)
    monkeypatch.setattr(stdout, "STDOUT", outlet)

    assert stdout.notices() == []


def test_where_nothing_can_be_written_without_waiting_a_thread_writes(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by a question to the kernel nor by a description of our own."""
    monkeypatch.setattr(os, "open", refuse(errno.EACCES))
    channel = Channel(
        "test", Outlet(pipe.writer, NonBlocking(pipe.writer, nowait=False))
    )
    size = pipe.fill()
    for i in range(1000):
        channel.write(b"%06d\n" % i, 20)  # a blocking one would end the test

    assert pipe.read(size + 7_000)[size:].split() == [b"%06d" % i for i in range(1000)]
    assert channel.flush(10)


@pytest.mark.parametrize("channels", [2, 5])
def test_channels_share_one_order(pipe: Pipe, channels: int) -> None:
    """What one thread writes to several comes out in the order of its calls."""
    size = pipe.fill()
    outlet = Outlet(pipe.writer)
    made = [Channel(str(n), outlet, keep=n == 0) for n in range(channels)]
    for i in range(1000):
        if i % channels:
            made[i % channels].write(b"%06d\n" % i, i % 50)
        else:
            assert made[0].put(b"%06d\n" % i, 20, 0)

    assert pipe.read(size + 7_000)[size:].split() == [b"%06d" % i for i in range(1000)]
    assert outlet.flush(10)
