"""The health of all workers together: what a load balancer and Kubernetes need."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from svcready._runtime._ops._health_files import WorkerHealth, read_all, write
from svcready._runtime._ops._whole_health import WholeHealth, together
from svcready._transport.workers import start_of
from svcready.config._sections.health import HealthSettings
from svcready.config._sections.lifecycle import LifecycleSettings
from svcready.health import HealthPillar
from svcready.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Faults

READY = {"liveness": "pass", "readiness": "pass", "startup": "pass"}
STARTING = {"liveness": "pass", "readiness": "fail", "startup": "fail"}
DRAINING = {"liveness": "pass", "readiness": "fail", "startup": "pass"}


def worker(state: str, probes: dict[str, str], pid: int = 1) -> WorkerHealth:
    """Return the health of a worker."""
    return WorkerHealth(pid, "1", 0.0, state, "", probes, {})


ready = worker("ready", READY)
starting = worker("starting", STARTING)
draining = worker("draining", DRAINING)
broken = worker("broken", {"liveness": "fail", "readiness": "fail", "startup": "pass"})
silent = worker("silent", {**READY, "liveness": "fail"})
without_database = worker("ready", {**READY, "readiness": "fail"})
degraded = worker("ready", {**READY, "readiness": "warn"})
pending = worker("ready", STARTING)


@pytest.mark.parametrize(
    ("workers", "liveness", "readiness", "startup"),
    [
        ([ready, ready], "pass", "pass", "pass"),
        ([starting, starting], "pass", "fail", "fail"),
        # A worker that is replaced takes no pod out of rotation.
        ([ready, starting], "pass", "pass", "pass"),
        ([ready, pending], "pass", "pass", "pass"),
        ([ready, draining], "pass", "pass", "pass"),
        ([draining, draining], "pass", "fail", "pass"),
        ([draining, starting], "pass", "fail", "pass"),
        # Any worker may get the next request, so the worst of them counts.
        ([ready, without_database], "pass", "fail", "pass"),
        ([ready, degraded], "pass", "warn", "pass"),
        # One that hangs accepts nothing, and only a restart brings it back.
        ([ready, silent], "fail", "pass", "pass"),
        ([silent, silent], "fail", "pass", "pass"),
        ([ready, broken], "fail", "pass", "pass"),
        ([broken, broken], "fail", "fail", "pass"),
    ],
)
def test_workers_together(
    workers: list[WorkerHealth], liveness: str, readiness: str, startup: str
) -> None:
    """Liveness is that of the worst, readiness of the worst that serves."""
    said = {name: together(name, workers) for name in READY}

    assert said == {"liveness": liveness, "readiness": readiness, "startup": startup}


def test_a_group_is_judged_as_readiness_is() -> None:
    """A group of checks is that of the worst worker that serves."""
    fine = worker("ready", {**READY, "stores": "pass"})
    bad = worker("ready", {**READY, "stores": "fail"})
    new = worker("starting", {**STARTING, "stores": "fail"})

    assert together("stores", [fine, bad]) == "fail"
    assert together("stores", [fine, new]) == "pass"
    # Of another release, which does not know the group yet.
    assert together("stores", [fine, ready]) == "pass"
    with pytest.raises(KeyError):
        together("others", [fine])


class Room:
    """A group with a room, or without one."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def room(self) -> Path | None:
        """Return the room."""
        return self.path

    def identify(self) -> tuple[int, str]:
        """Say who this is."""
        return os.getpid(), start_of(os.getpid())


@pytest.fixture
def clock() -> FakeClock:
    """Time that passes by `advance`."""
    return FakeClock()


@pytest.fixture
def pillar(clock: FakeClock) -> Iterator[HealthPillar]:
    """Health that runs nothing by itself."""
    made = HealthPillar(
        HealthSettings(), LifecycleSettings(), clock=clock, spawn=lambda *_: True
    )
    made.start()
    yield made
    made.close(0.0)


@pytest.fixture
def other() -> Iterator[int]:
    """Another process that lives."""
    code = "import sys; print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        yield process.pid
        process.kill()


def whole(
    pillar: HealthPillar, clock: FakeClock, room: Path | None, silent_s: float = 30.0
) -> WholeHealth:
    """Return what judges all workers."""
    return WholeHealth(pillar, Room(room), clock, silent_s)  # type: ignore[arg-type]


def test_a_process_alone_writes_nothing(
    pillar: HealthPillar, clock: FakeClock, tmp_path: Path
) -> None:
    """Without others there is no file, and the answer is the pillar's own."""
    alone = whole(pillar, clock, None)
    pillar.lifecycle.ready()
    alone.publish()

    assert alone.probe("readiness") is pillar.probe("readiness")
    assert "workers" not in alone.report()
    assert list(tmp_path.iterdir()) == []


def test_a_worker_publishes_what_is_new_and_signs_of_life(
    pillar: HealthPillar, clock: FakeClock, tmp_path: Path
) -> None:
    """It writes at once when something changes, and each two seconds else."""
    room = tmp_path / "room"
    mine = whole(pillar, clock, room)
    mine.publish()
    (first,) = read_all(room)
    clock.advance(1)
    mine.publish()
    assert list(read_all(room)) == [first]

    pillar.lifecycle.ready()
    mine.publish()
    (changed,) = read_all(room)
    assert (changed.state, changed.beat_s) == ("ready", first.beat_s + 1)
    clock.advance(2)
    mine.publish()
    (later,) = read_all(room)
    assert later == changed._replace(beat_s=first.beat_s + 3)

    mine.leave()
    assert list(room.iterdir()) == []


def test_a_worker_that_says_nothing_hangs_if_it_lives(
    pillar: HealthPillar, clock: FakeClock, tmp_path: Path, other: int
) -> None:
    """After the limit liveness fails; when it has died it is no longer judged."""
    said = worker("ready", READY, other)
    now_s = clock.monotonic()
    write(tmp_path, said._replace(start=start_of(other), beat_s=now_s))
    pillar.lifecycle.ready()
    mine = whole(pillar, clock, tmp_path)
    for _ in range(34):
        clock.advance(1)
        mine.publish()
        assert mine.probe("liveness").status == 200

    clock.advance(2)
    mine.publish()
    assert mine.probe("liveness").status == 503
    assert mine.probe("readiness").status == 200
    workers = mine.report()["workers"]
    assert isinstance(workers, list)
    (told,) = [each for each in workers if each["pid"] == other]
    assert told["state"] == "silent"
    assert "no sign of life for 36 s" in json.dumps(told)

    os.kill(other, signal.SIGKILL)
    os.waitid(os.P_PID, other, os.WEXITED | os.WNOWAIT)
    assert mine.probe("liveness").status == 200
    assert not list(tmp_path.glob(f"{other}-*"))


@pytest.mark.parametrize(("mode", "answers"), [("background", 503), ("on_demand", 200)])
def test_what_another_worker_found_when_it_was_asked(
    mode: str, answers: int, clock: FakeClock, tmp_path: Path, other: int
) -> None:
    """In the background it is of now and counts; on demand it may be hours old."""
    settings = HealthSettings(mode=mode)
    pillar = HealthPillar(
        settings, LifecycleSettings(), clock=clock, spawn=lambda *_: True
    )
    pillar.start()
    failed = {**READY, "readiness": "fail"}
    said = worker("ready", failed, other)._replace(start=start_of(other))
    mine = whole(pillar, clock, tmp_path)
    write(tmp_path, said._replace(beat_s=clock.monotonic()))
    while_none_serves = mine.probe("readiness")
    pillar.lifecycle.ready()

    assert while_none_serves.status == 503
    assert mine.probe("readiness").status == answers
    assert mine.report()["status"] == ("fail" if answers == 503 else "pass")
    silenced = said._replace(probes={**failed, "liveness": "fail"})
    write(tmp_path, silenced._replace(beat_s=clock.monotonic()))
    assert mine.probe("liveness").status == 503
    pillar.close(0.0)


def test_whoever_was_stopped_too_judges_nobody_by_that_time(
    pillar: HealthPillar, clock: FakeClock, tmp_path: Path, other: int
) -> None:
    """After a pause of all, the others have the whole time again."""
    said = worker("ready", READY, other)
    write(tmp_path, said._replace(start=start_of(other), beat_s=clock.monotonic()))
    pillar.lifecycle.ready()
    mine = whole(pillar, clock, tmp_path)
    clock.advance(3600)

    assert mine.probe("liveness").status == 200
    for _ in range(36):
        clock.advance(1)
        mine.publish()

    assert mine.probe("liveness").status == 503


def test_a_full_disk_makes_nobody_silent(
    pillar: HealthPillar, clock: FakeClock, tmp_path: Path, other: int, faults: Faults
) -> None:
    """Whoever can't write hears nothing of the others' silence, nor at once after."""
    said = worker("ready", READY, other)
    write(tmp_path, said._replace(start=start_of(other), beat_s=clock.monotonic()))
    pillar.lifecycle.ready()
    mine = whole(pillar, clock, tmp_path)
    pid = os.getpid()
    in_the_way = tmp_path / f".{pid}-{start_of(pid)}.health"
    in_the_way.mkdir()
    for _ in range(100):
        clock.advance(1)
        mine.publish()
        assert isinstance(faults.claim("runtime.health"), OSError)
        assert mine.probe("liveness").status == 200

    in_the_way.rmdir()
    for _ in range(35):
        mine.publish()
        assert mine.probe("liveness").status == 200
        clock.advance(1)

    assert mine.probe("liveness").status == 503


def test_nobody_is_judged_by_silence_if_that_is_off(
    pillar: HealthPillar, clock: FakeClock, tmp_path: Path, other: int
) -> None:
    """SVCREADY_HEALTH_LOOP_STALL_S=0 judges no worker by its silence."""
    said = worker("ready", READY, other)
    write(tmp_path, said._replace(start=start_of(other), beat_s=clock.monotonic()))
    mine = whole(pillar, clock, tmp_path, 0.0)
    for _ in range(100):
        clock.advance(1)
        mine.publish()

    assert mine.probe("liveness").status == 200


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1, "pid": 1}', b"\xff" * 100],
)
def test_what_nobody_of_ours_wrote_is_not_read(tmp_path: Path, content: bytes) -> None:
    """A broken file, or another release's, counts as none."""
    (tmp_path / "1-1.health").write_bytes(content)
    (tmp_path / "2-2.health").mkdir()
    (tmp_path / "3-3.health").symlink_to(tmp_path / "1-1.health")

    assert list(read_all(tmp_path)) == []
    assert list(read_all(tmp_path / "none")) == []
