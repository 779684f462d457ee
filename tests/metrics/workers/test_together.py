"""Together: any process shows the whole service, whatever becomes of the others."""

from __future__ import annotations

import errno
import itertools
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from svcready._core.events import ItemsDropped, subscribe
from svcready.metrics._events import SeriesCapped
from svcready.metrics._workers import _files
from svcready.metrics._workers._others import STALE_S
from svcready.metrics._workers._past import locked
from svcready.testing import FakeClock
from tests.metrics.workers.conftest import MOST_SERIES, Process, Service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Faults


def test_every_page_shows_the_whole_service(service: Service) -> None:
    """Counters and gauges of all processes are on the page of each."""
    processes = [service.start() for _ in range(3)]
    for n, process in enumerate(processes, 1):
        process.counts["retail"] = n
        process.levels["x"] = 10 * n
        process.together.tick()

    for process in processes:
        assert process.values("orders") == {("retail",): 6}
        assert process.values("level") == {("x",): 60}
        assert process.values("svcready_workers") == {("live",): 3, ("stale",): 0}


def test_a_page_is_up_to_date_for_who_answers(service: Service) -> None:
    """What the answering process counted is on its page, and on any page after it."""
    one, other = service.start(), service.start()
    other.together.tick()
    one.counts["retail"] = 5

    assert one.values("orders") == {("retail",): 5}
    assert other.values("orders") == {("retail",): 5}


def test_the_dead_keep_their_totals(service: Service) -> None:
    """A killed process' totals stay, its levels go, before and after it is absorbed."""
    one, other = service.start(), service.start()
    for process in (one, other):
        process.counts["retail"] = 5
        process.levels["x"] = 1
        process.together.tick()

    service.kill(other)
    for _ in range(5):
        assert one.values("orders") == {("retail",): 10}
        assert one.values("level") == {("x",): 1}
        assert one.values("svcready_workers")["live",] == 1
        one.together.tick()

    assert "past" in service.files()
    assert not [name for name in service.files() if name.startswith(f"{other.pid}-")]


def test_files_do_not_grow(service: Service) -> None:
    """A hundred recycled processes leave no more behind than one did."""
    one = service.start()
    sizes = []
    for n in range(1, 101):
        other = service.start()
        other.counts["retail"] = 1
        other.together.tick()
        service.kill(other)
        for _ in range(3):
            one.together.tick()

        assert one.values("orders") == {("retail",): n}
        sizes.append(
            sum((service.room / name).stat().st_size for name in service.files())
        )

    assert len(service.files()) == 3  # its keys, its values and the past
    assert max(sizes) <= sizes[0] + 16  # a number may have some digits more


def test_processes_that_live_for_a_moment_leave_nothing_behind(
    service: Service,
) -> None:
    """Recycled faster than any of them looks around twice, the files stay few."""
    for n in range(1, 31):
        process = service.start()
        process.counts["retail"] = 1
        process.together.tick()
        assert process.values("orders") == {("retail",): n}
        assert len(service.files()) <= 5  # its own, one dead process', and the past
        service.kill(process)


def test_one_that_left_is_neither_live_nor_stale(service: Service) -> None:
    """After its last word a process' totals stay and its levels are gone."""
    one, other = service.start(), service.start()
    one.together.tick()
    other.counts["retail"], other.levels["x"] = 7, 7
    other.together.close()
    service.clock.advance(STALE_S + 1)

    assert one.values("orders") == {("retail",): 7}
    assert one.values("level") == {}
    assert one.values("svcready_workers") == {("live",): 1, ("stale",): 0}


def test_a_hung_process_is_reported_and_shown(service: Service) -> None:
    """One that gives no sign of life is stale, and what it published is shown."""
    one, other = service.start(), service.start()
    other.counts["retail"], other.levels["x"] = 3, 4
    other.together.tick()
    service.clock.advance(STALE_S + 0.1)
    one.together.tick()

    assert one.values("svcready_workers") == {("live",): 1, ("stale",): 1}
    assert one.values("orders") == {("retail",): 3}
    assert one.values("level") == {("x",): 4}
    other.together.tick()
    assert one.values("svcready_workers") == {("live",): 2, ("stale",): 0}


def test_a_function_that_hangs_delays_a_page_by_200_ms(service: Service) -> None:
    """While an application's function does not return, pages show what was before."""
    one = service.start()
    one.counts["retail"] = 3
    one.together.tick()
    inside, over = threading.Event(), threading.Event()
    shared = one.together._shared

    def hanging() -> object:
        inside.set()
        over.wait(10)
        return shared()

    one.together._shared = hanging  # type: ignore[assignment]
    publisher = threading.Thread(target=one.together.tick)
    publisher.start()
    inside.wait(5)
    began_s = time.monotonic()
    shown = one.values("orders")
    took_s = time.monotonic() - began_s
    over.set()
    publisher.join(5)

    assert shown == {("retail",): 3}
    assert 0.15 < took_s < 0.4


def test_the_latest_level_counts(service: Service) -> None:
    """In mode `latest` the page has what was set last, also by who is dead."""
    one, other = service.start("latest"), service.start("latest")
    one.levels["x"] = 1
    one.together.tick()
    service.clock.advance(1)
    other.levels["x"] = 2
    other.together.tick()
    service.clock.advance(1)
    one.together.tick()  # it has set nothing since

    assert one.values("level") == other.values("level") == {("x",): 2}
    service.kill(other)
    for _ in range(4):
        one.together.tick()
        assert one.values("level") == {("x",): 2}

    service.clock.advance(1)
    one.levels["x"] = 3
    assert one.values("level") == {("x",): 3}


@pytest.mark.parametrize(
    "content", [b"", b"rubbish" * 1000, b"svcready" + b"\0" * 9000]
)
def test_rubbish_is_ignored_and_counted(
    service: Service, content: bytes, faults: Faults
) -> None:
    """Files that hold something else add nothing, and are counted once each."""
    dropped: list[ItemsDropped] = []
    end = subscribe(ItemsDropped, dropped.append)
    one = service.start()
    one.counts["retail"] = 1
    one.together.tick()
    for name in ("77-7.values", "odd.values", ".values", "past"):
        (service.room / name).write_bytes(content)

    for _ in range(3):
        assert one.values("orders") == {("retail",): 1}

    end()
    assert [item.reason for item in dropped] == ["unreadable"] * 2
    faults.claim("metrics.workers")
    faults.claim("metrics.workers")


def test_links_and_pipes_are_not_followed(service: Service, faults: Faults) -> None:
    """A symbolic link in place of a file is not read, nor a pipe waited for."""
    one, other = service.start(), service.start()
    for process in (one, other):
        process.counts["retail"] = 1
        process.together.tick()

    (service.room / "88-7.values").symlink_to(service.room / f"{other.pid}-7.values")
    os.mkfifo(service.room / "89-7.values")

    assert one.values("orders") == {("retail",): 2}
    faults.claim("metrics.workers")
    faults.claim("metrics.workers")


def test_absorbing_never_shows(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whoever reads while dead processes are moved to the past counts them once: at any
    step between writing the past and removing their files.
    """
    reader, one = service.start(), service.start()
    others = [service.start() for _ in range(3)]
    for process in (reader, one, *others):
        process.counts["retail"] = 1
        process.together.tick()

    seen = []
    remove = _files.remove

    def look_and_remove(path: Path) -> None:
        seen.append(reader.values("orders"))
        remove(path)
        seen.append(reader.values("orders"))

    for other in others:
        service.kill(other)

    monkeypatch.setattr(_files, "remove", look_and_remove)
    for _ in range(3):
        one.together.tick()

    assert len(seen) >= 6
    assert all(values == {("retail",): 5} for values in seen)


def test_pages_never_fall_while_processes_are_recycled(service: Service) -> None:
    """Threads that read all the time see each counter rise only, to the exact total."""
    readers = [service.start() for _ in range(2)]
    for reader in readers:
        reader.together.tick()

    over = threading.Event()
    falls: list[object] = []

    def read(reader: Process) -> None:
        highest = 0.0
        while not over.is_set():
            value = reader.values("orders").get(("retail",), 0.0)
            if value < highest:
                falls.append((highest, value))

            highest = value
            reader.together.tick()

    threads = [threading.Thread(target=read, args=(each,)) for each in readers]
    for thread in threads:
        thread.start()

    for _ in range(60):
        other = service.start()
        for count in range(1, 4):
            other.counts["retail"] = count * 0.1
            other.together.tick()

        service.kill(other)

    over.set()
    for thread in threads:
        thread.join(10)

    assert falls == []
    shown = readers[0].values("orders")["retail",]
    assert shown == pytest.approx(60 * 0.3, rel=1e-12)


class Recycling(RuleBasedStateMachine):
    """Processes that come, count, publish, die and are absorbed, beside a model."""

    def make(self) -> Service:
        """Return a service of its own."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.service = self.make()
        self.living: list[Process] = [self.service.start()]
        self.living[0].together.tick()
        self.published: dict[int, dict[str, float]] = {}
        self.highest: dict[tuple[str, ...], float] = {}

    @rule()
    def start(self) -> None:
        """Start a process."""
        self.living.append(self.service.start())

    @rule(n=st.integers(0, 9), key=st.sampled_from("abc"), by=st.integers(1, 9))
    def count(self, n: int, key: str, by: int) -> None:
        """Count in a process."""
        counts = self.living[n % len(self.living)].counts
        counts[key] = counts.get(key, 0) + by / 10

    @rule(n=st.integers(0, 9))
    def publish(self, n: int) -> None:
        """Publish, and at times absorb."""
        process = self.living[n % len(self.living)]
        self.published[process.pid] = dict(process.counts)
        process.together.tick()

    @rule(n=st.integers(0, 9))
    def kill(self, n: int) -> None:
        """Kill a process; what it did not publish is lost."""
        if len(self.living) > 1:
            process = self.living.pop(n % len(self.living))
            self.service.kill(process)

    @rule(n=st.integers(0, 9))
    def read(self, n: int) -> None:
        """Read a page: exactly what is published, and no less than ever before."""
        process = self.living[n % len(self.living)]
        self.published[process.pid] = dict(process.counts)
        page = process.values("orders")
        keys = {key for each in self.published.values() for key in each}
        for key in keys:
            total = sum(each.get(key, 0) for each in self.published.values())
            assert page[key,] == pytest.approx(total, rel=1e-12)
            assert page[key,] >= self.highest.get((key,), 0)

        assert set(page) == {(key,) for key in keys}
        self.highest = page

    @invariant()
    def files_are_bounded(self) -> None:
        """There is never more than two files for each process, and the past."""
        assert len(self.service.files()) <= 2 * self.service._next + 1


def test_recycling(tmp_path: Path) -> None:
    """Whatever processes do in whatever order, pages are exact and never fall."""
    numbers = itertools.count()

    class Here(Recycling):
        """Processes in directories of this test."""

        def make(self) -> Service:
            room = tmp_path / str(next(numbers)) / "metrics"
            room.parent.mkdir()
            return Service(room, FakeClock())

    run_state_machine_as_test(
        Here, settings=settings(max_examples=40, stateful_step_count=40)
    )


class Short:
    """A process that has too many files open to open some, or to list any."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def of(self, ending: str) -> None:
        """Open nothing that ends so, and list nothing, from now on."""
        really = os.open

        def refuse(*_: object) -> list[str]:
            raise OSError(errno.EMFILE, "Too many open files")

        def choose(path: str | Path, flags: int, mode: int = 0o777) -> int:
            if str(path).endswith(ending):
                refuse()

            return really(path, flags, mode)

        self._monkeypatch.setattr(os, "open", choose)
        self._monkeypatch.setattr(os, "listdir", refuse)

    def no_more(self) -> None:
        """Have room for files again."""
        self._monkeypatch.undo()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Short:
    """What makes files run short."""
    return Short(monkeypatch)


def test_a_total_does_not_fall_while_files_run_short(
    service: Service, short: Short
) -> None:
    """Who cannot open a file shows what it read there last, of the dead as well."""
    one, other, dead = (service.start() for _ in range(3))
    for process in (one, other, dead):
        process.counts["a"] = 5
        process.together.tick()

    service.kill(dead)
    for _ in range(4):
        one.together.tick()

    assert one.values("orders") == {("a",): 15}
    other.counts["a"] = 6
    other.together.tick()
    for ending in (f"{other.pid}-7.values", "past"):
        short.of(ending)
        assert one.values("orders") in ({("a",): 15}, {("a",): 16})
        short.no_more()

    assert one.values("orders") == {("a",): 16}


def test_half_a_page_is_no_page(service: Service, short: Short) -> None:
    """Who could never read the others has no page, which looks like no reset."""
    one, other = service.start(), service.start()
    other.counts["a"] = 5
    other.together.tick()
    for ending in (f"{other.pid}-7.values", "past"):
        newly = service.start()
        short.of(ending)
        with pytest.raises(OSError, match="Too many"):
            newly.together.families()

        short.no_more()

    assert one.values("orders") == {("a",): 5}


@pytest.mark.parametrize("ending", ["101-7.values", "past"])
def test_nothing_is_taken_for_empty_while_files_run_short(
    service: Service,
    ending: str,
    monkeypatch: pytest.MonkeyPatch,
    faults: Faults,
) -> None:
    """What cannot be opened is absorbed later, and nothing is put in its place."""
    dead, one, before = (service.start() for _ in range(3))
    for process in (one, before, dead):
        process.counts["a"] = 5
        process.together.tick()

    service.kill(before)
    for _ in range(4):
        one.together.tick()

    service.kill(dead)
    listed = os.listdir
    short = Short(monkeypatch)
    short.of(ending)
    monkeypatch.setattr(os, "listdir", listed)
    for _ in range(4):
        one.together.tick()

    short.no_more()
    if ending == "past":
        assert isinstance(faults.claim("metrics.workers"), OSError)

    for _ in range(2):
        assert one.values("orders") == {("a",): 15}
        for _ in range(4):
            one.together.tick()

    assert f"{dead.pid}-7.values" not in service.files()


def test_a_child_does_not_keep_the_past_locked(service: Service) -> None:
    """Whoever is forked while the past is written lets others write it later."""
    service.start().together.tick()
    with locked(service.room) as ours:
        assert ours
        end_r, end_w = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(end_w)
            os.read(end_r, 1)
            os._exit(0)

    try:
        with locked(service.room) as again:
            assert again
    finally:
        os.close(end_w)
        os.close(end_r)
        os.waitpid(child, 0)


def test_nothing_follows_the_last_word(service: Service) -> None:
    """A tick that was on its way when a process left does not call it back."""
    one, other = service.start(), service.start()
    other.levels["x"] = 7
    other.together.close()
    other.together.tick()
    other.together.flush()

    assert one.values("level") == {}
    assert one.values("svcready_workers") == {("live",): 1, ("stale",): 0}


@pytest.mark.parametrize("latest", [True, False])
def test_the_past_is_bounded(service: Service, *, latest: bool) -> None:
    """Label values that each process has others of share `__other__`, told once."""
    told: list[SeriesCapped] = []
    unsubscribe = subscribe(SeriesCapped, told.append)
    mode = "latest" if latest else "sum"
    one = service.start(mode)
    each, rounds = MOST_SERIES // 2, 6
    for n in range(rounds):
        other = service.start(mode)
        for key in range(each):
            other.counts[f"{n}-{key}"] = other.levels[f"{n}-{key}"] = 1

        other.counts["all"] = 1
        other.together.tick()
        service.kill(other)
        for _ in range(3):
            one.together.tick()

    unsubscribe()
    orders = one.values("orders")
    assert len(orders) == MOST_SERIES + 1
    assert orders["all",] == rounds
    assert sum(orders.values()) == rounds * (each + 1)
    assert len(one.values("level")) == latest * MOST_SERIES
    assert [(e.metric, e.label) for e in told if e.metric == "orders"] == [
        ("orders", "kind")
    ]
