"""The group: processes of one service that tell each other something by files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from svcready._transport import _mailbox, group, workers
from svcready._transport.group import Group, Reach
from svcready.testing import FakeClock
from tests.architecture.house import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Faults

SUPERVISOR = (os.getpid(), workers.start_of(os.getpid()))
PEER = """
import json, os, sys
from svcready._transport.group import Group
import svcready._transport.group as module

anchor = (int(sys.argv[2]), sys.argv[3])
module.parent_of = lambda: anchor
group = Group("orders", sys.argv[1])
taken = []
group.follow("t", taken.append)
for line in sys.stdin:
    words = line.split()
    if words[0] == "add":
        for _ in range(int(words[1])):
            group.update("t", lambda value: (value or 0) + 1)
    else:
        getattr(group, words[0])()
    print(json.dumps({"taken": taken, "members": len(group.members())}), flush=True)
"""


class Peer:
    """Another process of the group, which does what it is told."""

    def __init__(self, run_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PEER, str(run_dir), *map(str, SUPERVISOR)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def do(self, *words: object) -> dict[str, object]:
        """Have it do something; return what it knows then."""
        self.send(*words)
        return self.answer()

    def send(self, *words: object) -> None:
        """Have it do something, and don't wait."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, object]:
        """Wait until it has done what it was told."""
        assert self.process.stdout is not None
        found: dict[str, object] = json.loads(self.process.stdout.readline())
        return found

    def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process have a supervisor, for which it stands itself."""
    monkeypatch.setattr(group, "parent_of", lambda: SUPERVISOR)


@pytest.fixture
def peers(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Peer]:
    """Return what starts another process of the group."""

    def start() -> Peer:
        peer = Peer(tmp_path)
        request.addfinalizer(peer.kill)
        return peer

    return start


def keep(value: object, _: object) -> object:
    """Post *value*, whatever was there."""
    return value


def test_a_process_alone_writes_no_file(tmp_path: Path) -> None:
    """What it posts is in force at once, for itself."""
    taken: list[object] = []
    alone = Group("orders", str(tmp_path / "run"))
    alone.follow("t", taken.append)
    alone.join()
    edition = alone.post("t", {"a": 1})
    alone.poll()

    assert taken == [{"a": 1}]
    assert alone.read("t") == {"a": 1}
    assert alone.read("other") is None
    assert alone.wait("t", edition, 1.0) == Reach(1, 1)
    assert alone.members() == ((os.getpid(), workers.start_of(os.getpid())),)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.usefixtures("supervised")
def test_a_post_reaches_every_process(
    tmp_path: Path, peers: Callable[[], Peer]
) -> None:
    """Who polls has it; the sender learns how many have, and of how many."""
    ours = Group("orders", str(tmp_path), clock=FakeClock())
    ours.join()
    first, second = peers(), peers()
    first.do("join")
    second.do("join")
    edition = ours.post("t", "hello")

    assert ours.wait("t", edition, 0.2) == Reach(1, 3)
    assert first.do("poll")["taken"] == ["hello"]
    assert ours.wait("t", edition, 0.2) == Reach(2, 3)
    assert second.do("poll")["taken"] == ["hello"]
    assert ours.wait("t", edition, 0.2) == Reach(3, 3)
    assert second.do("poll")["taken"] == ["hello"]


@pytest.mark.usefixtures("supervised")
def test_a_process_that_starts_later_has_it_from_the_start(
    tmp_path: Path, peers: Callable[[], Peer]
) -> None:
    """Joining takes what is in force; who was killed counts no more."""
    ours = Group("orders", str(tmp_path))
    edition = ours.post("t", "hello")
    old = peers()
    assert old.do("join") == {"taken": ["hello"], "members": 2}
    old.kill()

    assert len(ours.members()) == 1
    assert peers().do("join") == {"taken": ["hello"], "members": 2}
    assert ours.wait("t", edition, 0.2) == Reach(2, 2)


@pytest.mark.usefixtures("supervised")
def test_nothing_is_lost_when_all_post_at_once(
    tmp_path: Path, peers: Callable[[], Peer]
) -> None:
    """A change is made of the value before it, across threads and processes."""
    ours = Group("orders", str(tmp_path))
    others = [peers(), peers()]
    for other in others:
        other.do("join")
        other.send("add", 30)

    def add() -> None:
        for _ in range(15):
            ours.update("t", lambda value: (value or 0) + 1)  # type: ignore[operator]

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    for other in others:
        other.answer()

    assert ours.read("t") == 90


@pytest.mark.usefixtures("supervised")
def test_a_forked_child_is_a_member_of_its_own(tmp_path: Path) -> None:
    """It takes what is in force once it joins, and leaves its parent's entry alone."""
    ours = Group("orders", str(tmp_path))
    ours.post("t", "hello")
    taken: list[object] = []
    ours.follow("t", taken.append)
    inside, outside = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ours._after_fork()
            ours.join()
            os.write(outside, json.dumps([taken, len(ours.members())]).encode())
        finally:
            os._exit(0)

    told = json.loads(os.read(inside, 4096))
    os.waitpid(pid, 0)
    os.close(inside)
    os.close(outside)

    assert told == [["hello"], 2]
    assert len(ours.members()) == 1


def test_a_parent_that_was_alone_meets_its_children(tmp_path: Path) -> None:
    """A process joins when its first child has, and what was said before stays."""
    taken: list[object] = []
    ours = Group("orders", str(tmp_path))
    ours.follow("t", taken.append)
    ours.join()
    child = Group("orders", str(tmp_path))
    child._after_fork()
    child._identify = lambda: (1, workers.start_of(1))  # type: ignore[method-assign]
    ours.post("t", "before")
    child.join()
    ours.poll()
    child.post("t", "after")
    ours.poll()

    assert taken == ["before", "after"]
    assert len(ours.members()) == 2


@pytest.mark.usefixtures("supervised")
def test_a_quiet_group_costs_one_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read while nothing was posted, once the directory's time is old."""
    ours = Group("orders", str(tmp_path))
    ours.follow("t", lambda _: None)
    ours.post("t", 1)
    (path,) = tmp_path.glob("group-*")
    an_hour_ago_s = time.time() - 3600
    os.utime(path / "topics", (an_hour_ago_s, an_hour_ago_s))
    ours.poll()
    looks: list[str] = []
    monkeypatch.setattr(_mailbox, "newest", lambda _, topic: looks.append(topic))
    ours.poll()
    ours.poll()
    assert looks == []

    os.utime(path / "topics")
    ours.poll()
    assert looks == ["t"]


@pytest.mark.usefixtures("supervised")
def test_whoever_tidies_up_costs_nothing_for_long(tmp_path: Path) -> None:
    """A process whose directory was removed registers again."""
    clock = FakeClock()
    ours = Group("orders", str(tmp_path), clock=clock)
    ours.join()
    (path,) = tmp_path.glob("group-*")
    for part in ("members", "topics"):
        for file in (path / part).iterdir():
            file.unlink()

        (path / part).rmdir()

    path.rmdir()
    ours.poll()
    assert len(_mailbox.members(path)) == 1

    (entry,) = (path / "members").iterdir()
    entry.unlink()
    clock.advance(3601)
    ours.poll()
    assert len(_mailbox.members(path)) == 1

    ours.leave()
    assert _mailbox.members(path) == ()


@pytest.mark.usefixtures("supervised")
def test_what_others_could_have_put_there_is_not_believed(tmp_path: Path) -> None:
    """Links, foreign formats, broken and overlong files are as good as absent."""
    ours = Group("orders", str(tmp_path))
    ours.post("t", "ours")
    (path,) = tmp_path.glob("group-*")
    topics = path / "topics"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text('{"format": 1, "value": "theirs"}')
    (topics / "t.9").symlink_to(elsewhere)
    (topics / "t.8").write_text('{"format": 2, "value": "newer"}')
    (topics / "t.7").write_text("{")
    (topics / "t.6").write_text('{"format": 1, "value": "%s"}' % ("x" * 70_000))
    (topics / "t.x").write_text("{}")
    (path / "members" / "nobody").write_text("{}")
    (path / "members" / "1-").write_text("{}")

    assert ours.read("t") == "ours"
    assert len(ours.members()) == 1


@pytest.mark.usefixtures("supervised")
def test_groups_of_which_nobody_lives_are_removed(tmp_path: Path) -> None:
    """Ours stays, and so do those of which somebody lives, and another container's."""
    mine = (os.getpid(), workers.start_of(os.getpid()))
    gone = (2**22 + 1, "5")
    dead, living, led = (
        _mailbox.place(tmp_path, anchor, service)
        for anchor, service in ((gone, "dead"), (gone, "living"), (mine, "led"))
    )
    for path, member in ((dead, gone), (living, mine), (led, gone)):
        _mailbox.make(path)
        _mailbox.write_member(path, member, {})
        _mailbox.post(path, "t", lambda _: 1)

    foreign = tmp_path / "group-12345-1-1-abc"
    foreign.mkdir()
    Group("orders", str(tmp_path)).join()

    assert not dead.exists()
    assert living.exists()
    assert led.exists()
    assert foreign.exists()


@pytest.mark.usefixtures("supervised")
def test_without_a_directory_a_process_stands_alone(tmp_path: Path) -> None:
    """It works, for itself, and knows that it is cut off from others."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    ours = Group("orders", str(blocked / "run"))
    ours.join()
    edition = ours.post("t", 1)
    ours.poll()

    assert ours.is_cut_off
    assert ours.read("t") == 1
    assert ours.wait("t", edition, 1.0) == Reach(1, 1)


@pytest.mark.usefixtures("supervised")
def test_a_follower_that_fails_does_not_count_as_reached(
    tmp_path: Path, faults: Faults
) -> None:
    """The sender isn't told that it was, and the fault is reported."""

    def fail(value: object) -> None:
        raise LookupError(value)

    ours = Group("orders", str(tmp_path), clock=FakeClock())
    ours.follow("t", fail)
    edition = ours.post("t", 1)

    assert ours.wait("t", edition, 0.2) == Reach(0, 1)
    assert isinstance(faults.claim("group"), LookupError)


@pytest.mark.usefixtures("supervised")
@pytest.mark.parametrize(
    ("topic", "value"), [("../up", 1), ("", 1), ("t", "x" * 70_000)]
)
def test_what_cannot_be_posted_raises(
    tmp_path: Path, topic: str, value: object
) -> None:
    """A topic's name is a plain word, and its value is small."""
    ours = Group("orders", str(tmp_path))
    with pytest.raises(ValueError, match=r"topic"):
        ours.post(topic, value)


def test_other_services_and_other_supervisors_don_t_meet(tmp_path: Path) -> None:
    """The place has both in its name."""
    places = {
        _mailbox.place(tmp_path, anchor, service)
        for anchor in ((1, "5"), (1, "6"), (2, "5"))
        for service in ("orders", "Orders", "\ud800")
    }

    assert len(places) == 9


def test_a_directory_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    """One that is a link, as an attacker would put there, is refused."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = tmp_path / "group"
    path.symlink_to(elsewhere)
    with pytest.raises(PermissionError):
        _mailbox.make(path)


@pytest.mark.usefixtures("supervised")
def test_a_slow_poster_overwrites_nobody(tmp_path: Path) -> None:
    """One that was stopped while others posted makes its change of what they said."""
    ours = Group("orders", str(tmp_path))
    ours.post("t", 0)
    (path,) = tmp_path.glob("group-*")
    calls: list[object] = []

    def change(value: object) -> object:
        calls.append(value)
        if len(calls) == 1:
            for number in range(1, 40):
                _mailbox.post(path, "t", partial(keep, number))

        return f"after {value}"

    ours.update("t", change)

    assert calls == [0, 39]
    assert ours.read("t") == "after 39"
    assert len(list((path / "topics").iterdir())) <= 17


@pytest.mark.usefixtures("supervised")
def test_a_topic_that_nobody_can_read_is_as_good_as_none(tmp_path: Path) -> None:
    """Posting goes on above it."""
    ours = Group("orders", str(tmp_path))
    ours.join()
    (path,) = tmp_path.glob("group-*")
    (path / "topics" / "t.1").write_text("[]")
    (path / "members" / "1-1").write_text('{"format": 1, "value": 7}')

    assert ours.read("t") is None
    assert _mailbox.editions(path, (1, "1")) == {}
    assert _mailbox.editions(path, (1, "2")) == {}


def test_who_runs_and_who_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and start; a number that is used again is another process."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    start = workers.start_of(ended.pid)
    monkeypatch.setattr(workers, "_ENDED", "ZXxRSD")
    assert not workers.is_alive(*SUPERVISOR)
    monkeypatch.undo()
    ended.wait()

    assert workers.is_alive(*SUPERVISOR)
    assert not workers.is_alive(SUPERVISOR[0], "1")
    assert not workers.is_alive(ended.pid, start)


def test_where_there_is_no_proc_the_kernel_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The start is unknown there, and a process that runs counts as alive."""
    monkeypatch.setattr(workers, "_about", lambda _: ("", "0"))
    monkeypatch.setattr(os.path, "exists", lambda _: False)

    assert workers.is_alive(os.getpid(), "0")
    assert not workers.is_alive(2**22 + 1, "0")


def test_nobody_dies_because_files_run_short(tmp_path: Path) -> None:
    """Who has too many files open to look takes nobody for dead, nor for another."""
    shown = run_python(
        """
import os, resource, sys
from svcready._core import fork
from svcready._transport import workers
from svcready._transport.group import Group

fork.install()
group = Group("orders", sys.argv[1])
ended = os.fork()
if ended == 0:
    os._exit(0)

start = workers.start_of(ended)
os.waitpid(ended, 0)
child = os.fork()
if child == 0:  # whose identity is another than the one that was made
    me = group.identify()
    parent = (os.getppid(), workers.start_of(os.getppid()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    try:
        while True:
            os.open("/dev/null", os.O_RDONLY)
    except OSError:
        print(workers.is_alive(*parent), workers.is_alive(ended, start))
        print(group.identify() == me, flush=True)
        os._exit(0)

os.waitpid(child, 0)
""",
        str(tmp_path),
    )

    assert shown.split() == ["True", "False", "True"]


def run_python(code: str, *arguments: str) -> str:
    """Run a program, and return what it prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout
