"""The checks of the machine: disk, memory, event loop, threads and clock."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import perf_counter
from typing import TYPE_CHECKING

import psutil
import pytest
from anyio import to_thread
from hypothesis import given
from hypothesis import strategies as st

from svcready import health
from svcready.errors import DeclarationError
from svcready.health._check import CHECKS
from svcready.health.checks._bounds import Bounds
from svcready.health.checks._machine import _memory
from svcready.health.checks._machine._loop_lag import _IDLE_S, _LagCheck
from svcready.health.checks._machine._memory import MemoryUse, read_memory
from svcready.health.checks._network._clock_skew import skew_of
from svcready.testing import FakeClock
from tests.health.checks.asked import SOON_S, ask, drip, serving, target
from tests.health.checks.namespace import needs_namespaces, run_apart
from tests.servers.relay import Relay

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path


async def once(name: str) -> health.CheckResult:
    """Run the asynchronous check called *name* on this loop."""
    check = CHECKS.get(name)
    assert check is not None
    result = await check.function()  # type: ignore[misc]
    assert isinstance(result, health.CheckResult)
    return result


def test_a_disk_is_observed_in_percent(tmp_path: Path) -> None:
    """As `df` counts: what is reserved for root is not free."""
    health.add_disk(tmp_path, warn_above=None, fail_above=None, name="disk")
    said = ask("disk")
    stat = os.statvfs(tmp_path)
    used = stat.f_blocks - stat.f_bfree
    space = 100 * used / (used + stat.f_bavail)
    assert (said.status, said.output, said.unit) == ("pass", "", "%")
    assert said.observed is not None
    assert said.observed >= round(space, 1) - 1  # or inodes are nearer their end
    assert target("disk") == str(tmp_path)


def test_a_disk_that_is_not_there_fails() -> None:
    """An unmounted volume, say."""
    health.add_disk("/no/such/Volume")
    said = ask("disk-no-such-volume")
    assert said.status == "fail"
    assert said.output == "/no/such/Volume: no such file or directory"


FULL = """
import json, os, sys
from svcready import health
from tests.health.checks.asked import ask

health.add_disk(sys.argv[-1] if len(sys.argv) > 1 else os.environ["DIR"], name="disk")
told = [ask("disk")]
with open(os.environ["DIR"] + "/big", "wb") as file:
    file.write(b"x" * 900 * 1024)
told.append(ask("disk"))
with open(os.environ["DIR"] + "/big", "ab") as file:
    file.write(b"x" * 90 * 1024)
told.append(ask("disk"))
os.remove(os.environ["DIR"] + "/big")
for number in range(18):
    open(f"{os.environ['DIR']}/{number}", "w").close()
told.append(ask("disk"))
print(json.dumps(told))
"""


@needs_namespaces
def test_a_real_disk_fills_up() -> None:
    """First its space, then its inodes."""
    told = json.loads(
        run_apart(
            FULL, "mount -t tmpfs -o size=1m,nr_inodes=20 none $DIR", "export DIR"
        )
    )
    assert [result[0] for result in told] == ["pass", "warn", "fail", "warn"] or [
        result[0] for result in told
    ] == ["pass", "warn", "fail", "fail"]
    assert told[1][1].startswith("87.9% of the space of ")
    assert told[2][1].startswith("96.9% of the space of ")
    assert " of the inodes of " in told[3][1]


@pytest.mark.parametrize(
    "arguments",
    [
        {"warn_above": "120%"},
        {"warn_above": 85},
        {"fail_above": "much"},
        {"path": ""},
        {"path": b"/"},
    ],
)
def test_wrong_bounds_and_paths_raise_at_once(arguments: dict[str, object]) -> None:
    """Shares are of one."""
    with pytest.raises(DeclarationError):
        health.add_disk(**arguments)  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Callable[[str, str, dict[str, str]], str]:
    """Make a root directory with one control group."""

    def make(line: str, group: str, files: dict[str, str]) -> str:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(line)
        directory = tmp_path / "sys/fs/cgroup" / group
        directory.mkdir(parents=True)
        for name, text in files.items():
            (directory / name).write_text(text)

        return str(tmp_path)

    return make


V2 = {
    "cgroup.type": "domain\n",
    "memory.max": "1000000\n",
    "memory.current": "900000\n",
    "memory.stat": "anon 1\ninactive_file 300000\nactive_file 7\n",
}
V1 = {
    "memory.limit_in_bytes": "1000000\n",
    "memory.usage_in_bytes": "900000\n",
    "memory.stat": "inactive_file 1\ntotal_inactive_file 300000\n",
}


@pytest.mark.parametrize(
    ("line", "group", "files"),
    [
        ("0::/pod\n", "pod", V2),
        ("5:memory:/docker/x\n1:cpu:/\n", "memory/docker/x", V1),
        ("5:memory:/docker/x\n", "memory", V1),
    ],
    ids=["version 2", "version 1", "version 1, the host's path"],
)
def test_memory_is_the_working_set_of_the_limit(
    root: Callable[..., str], line: str, group: str, files: dict[str, str]
) -> None:
    """As the kubelet has it: use without the files that can go at once."""
    expected = MemoryUse(600_000, 1_000_000, "container")
    assert read_memory(root(line, group, files)) == expected


@pytest.mark.parametrize(
    ("line", "group", "files"),
    [
        ("0::/pod\n", "pod", {**V2, "memory.max": "max\n"}),
        ("5:memory:/\n", "memory", {**V1, "memory.limit_in_bytes": f"{2**63 - 4096}"}),
        ("0::/pod\n", "pod", {**V2, "memory.max": "0\n"}),
        ("", "pod", {}),
    ],
)
def test_without_a_limit_memory_is_the_hosts(
    root: Callable[..., str], line: str, group: str, files: dict[str, str]
) -> None:
    """A limit above what the host has is none."""
    use = read_memory(root(line, group, files))
    assert (use.limit_bytes, use.whose) == (psutil.virtual_memory().total, "host")
    assert 0 < use.used_bytes < use.limit_bytes


@pytest.mark.parametrize(
    ("used", "status", "said"),
    [
        (850, "pass", ""),
        (851, "warn", "851 MiB of the container's 1000 MiB are used"),
        (951, "fail", "951 MiB of the container's 1000 MiB are used"),
    ],
)
def test_memory_is_judged(
    monkeypatch: pytest.MonkeyPatch, used: int, status: str, said: str
) -> None:
    """Above 85 % it warns, above 95 % it fails."""
    use = MemoryUse(used * 2**20, 1000 * 2**20, "container")
    monkeypatch.setattr(_memory, "read_memory", lambda: use)
    health.add_memory()
    assert ask("memory") == (status, said, used / 10, "%")


def test_a_loop_that_was_blocked_between_two_runs_is_seen() -> None:
    """Even if it is free again when the check comes."""
    health.add_event_loop_lag(warn_above="400ms", fail_above=10)

    async def serve() -> list[health.CheckResult]:
        said = [await once("event-loop")]
        threading.Event().wait(0.8)  # blocking code in a handler
        await asyncio.sleep(0)
        said.append(await once("event-loop"))
        said.append(await once("event-loop"))
        return said

    before, blocked, after = asyncio.run(serve())
    assert before.status == "pass"
    assert blocked.status == "warn"
    assert blocked.output.startswith("the event loop served nobody for ")
    assert blocked.observed is not None
    assert blocked.observed > 400
    assert blocked.unit == "ms"
    assert after.status == "pass"


def test_a_loop_that_nobody_asks_about_is_left_alone() -> None:
    """The pulse ends when no run came for a quarter of an hour."""
    clock = FakeClock()
    check = _LagCheck(Bounds(1, 2), clock.monotonic)

    async def serve() -> None:
        await check.run()
        for passed_s, watched in ((0.0, True), (_IDLE_S + 1, False)):
            clock.advance(passed_s)
            check._note(0.0)
            assert (check._lag is not None) is watched

        assert (await check.run()).status == "pass"

    asyncio.run(serve())


def test_a_starved_pool_is_seen_and_not_made_worse() -> None:
    """One function waits in its queue, however often the check runs."""
    pool = ThreadPoolExecutor(1)
    health.add_thread_pool(pool, warn_above=None, fail_above="300ms")
    free = threading.Event()

    async def serve() -> list[health.CheckResult]:
        said = [await once("thread-pool")]
        pool.submit(free.wait)
        said += [await once("thread-pool") for _ in range(5)]
        assert pool._work_queue.qsize() == 1
        free.set()
        said.append(await once("thread-pool"))
        return said

    before, *starved, _ = asyncio.run(serve())
    assert before.status == "pass"
    assert {result.status for result in starved} == {"fail"}
    assert starved[0].output.startswith("none of the pool's threads became free with")
    waits = [result.observed for result in starved]
    assert waits == sorted(waits, key=lambda wait: wait or 0)
    assert waits[0] is not None
    assert waits[0] >= 300

    pool.shutdown()
    shut = asyncio.run(once("thread-pool"))
    assert shut == (
        "fail",
        "the thread pool takes no more work: it is shut down",
        None,
        "",
    )


def test_a_slow_pool_warns() -> None:
    """It came free, but late."""
    pool = ThreadPoolExecutor(1)
    health.add_thread_pool(pool, warn_above="20ms", fail_above=5, name="slow")

    async def serve() -> health.CheckResult:
        pool.submit(threading.Event().wait, 0.2)
        return await once("slow")

    said = asyncio.run(serve())
    pool.shutdown()
    assert said.status == "warn"
    assert said.output.startswith("blocking code waits ")


def test_the_threads_of_fastapis_plain_functions_are_seen() -> None:
    """AnyIO's limiter, whose tokens run out before threads do."""
    health.add_thread_pool(warn_above=None, fail_above="500ms")
    free = threading.Event()

    async def serve() -> tuple[health.CheckResult, health.CheckResult]:
        before = await once("thread-pool")
        to_thread.current_default_thread_limiter().total_tokens = 2
        handlers = [
            asyncio.create_task(to_thread.run_sync(free.wait)) for _ in range(2)
        ]
        await asyncio.sleep(0)
        starved = await once("thread-pool")
        free.set()
        await asyncio.gather(*handlers)
        return before, starved

    before, starved = asyncio.run(serve())
    assert before.status == "pass"
    assert starved.status == "fail"
    assert "AnyIO's (2 of 2 taken) threads" in starved.output


def test_a_probe_of_another_loop_is_forgotten() -> None:
    """What waited on a loop that is closed never comes."""
    pool = ThreadPoolExecutor(1)
    free = threading.Event()
    health.add_thread_pool(pool, warn_above=None, fail_above="500ms")
    pool.submit(free.wait)
    assert asyncio.run(once("thread-pool")).status == "fail"

    free.set()
    pool.submit(int).result()
    assert asyncio.run(once("thread-pool")).status == "pass"
    pool.shutdown()


def dated(offset_s: float, *more: bytes) -> Callable[[socket.socket], None]:
    """Answer with the time, *offset_s* off, and *more* fields."""

    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        date = datetime.now(UTC) + timedelta(seconds=offset_s)
        fields = [b"Date: " + format_datetime(date, usegmt=True).encode(), *more]
        head = b"\r\n".join([b"HTTP/1.1 405 No", *fields, b"Content-Length: 0"])
        connection.sendall(head + b"\r\n\r\n")

    return handle


@pytest.mark.parametrize(
    ("offset_s", "status", "said"),
    [
        (0, "pass", ""),
        (10, "warn", "s behind that of "),
        (-10, "warn", "s ahead of that of "),
        (-120, "fail", "s ahead of that of "),
        (3600, "fail", "s behind that of "),
    ],
)
def test_a_clock_that_is_off(offset_s: float, status: str, said: str) -> None:
    """Either way; the server's status says nothing of its clock."""
    with serving(dated(offset_s)) as port:
        health.add_clock_skew(f"http://127.0.0.1:{port}/")
        result = ask("clock", 5)

    assert result.status == status
    assert said in result.output
    assert result.observed == pytest.approx(-offset_s, abs=1)
    assert result.unit == "s"


@given(st.floats(-1e5, 1e5), st.floats(1e9, 2e9), st.floats(0, 3), st.floats(0, 1))
def test_the_skew_is_never_overstated(
    ahead_s: float, sent_s: float, took_s: float, share: float
) -> None:
    """Whenever on its way the server wrote the date, whose fraction it cut off."""
    true_s = sent_s + took_s * share - ahead_s
    skew = skew_of(true_s // 1, sent_s + took_s, took_s)
    assert skew.least_s <= abs(ahead_s) + 1e-5
    assert abs(skew.estimate_s - ahead_s) <= skew.uncertain_s + 1e-5


@pytest.mark.parametrize(
    ("handle", "said"),
    [
        (dated(-500, b"Age: 500"), "is answered by a cache, 500 s old"),
        (lambda c: c.sendall(b"HTTP/1.1 200 OK\r\n\r\n"), "answers without a date"),
        (
            lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nDate: soon\r\n\r\n"),
            "answers without a date",
        ),
        (drip(b"HTTP/1.1 200 OK\r\n"), "no answer within 1 s"),
    ],
    ids=["cache", "no date", "bad date", "hanging"],
)
def test_who_cannot_tell_says_nothing_of_the_clock(
    handle: Callable[[socket.socket], None], said: str
) -> None:
    """A warning, never a failure."""
    with serving(handle) as port:
        health.add_clock_skew(f"http://127.0.0.1:{port}/")
        began = perf_counter()
        result = ask("clock", 1.0)
        assert perf_counter() - began < SOON_S

    assert result.status == "warn"
    assert result.output.startswith("nothing to compare with: ")
    assert result.output.endswith(said)


def test_a_time_server_that_goes_and_comes_back() -> None:
    """Down and hanging it warns."""
    with serving(dated(0)) as port, Relay(port) as relay:
        health.add_clock_skew(f"http://127.0.0.1:{relay.port}/")
        assert ask("clock").status == "pass"
        relay.refuse()
        assert ask("clock").status == "warn"
        relay.swallow()
        assert ask("clock", 0.3).status == "warn"
        relay.through()
        assert ask("clock").status == "pass"


def test_awss_own_time_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the region that the process is told of; without one it says what it needs."""
    from svcready.health.checks._network._clock_skew import _token_service

    monkeypatch.delenv("AWS_REGION", raising=False)
    health.add_clock_skew()
    assert ask("clock").status == "warn"
    assert ask("clock").output.endswith("give url=, or set AWS_REGION")

    service = _token_service("eu-west-1")
    assert service is not None
    assert service.shown == "https://sts.eu-west-1.amazonaws.com/"
    chinese = _token_service("cn-north-1")
    assert chinese is not None
    assert chinese.host == "sts.cn-north-1.amazonaws.com.cn"
    assert _token_service("no region") is None


def test_machine_checks_run_every_half_a_minute_and_are_not_critical() -> None:
    """Whatever is not said otherwise."""
    health.add_disk()
    health.add_memory()
    health.add_event_loop_lag()
    health.add_thread_pool()
    assert [check.name for check in CHECKS.things()] == [
        *("disk", "memory", "event-loop", "thread-pool")
    ]
    for check in CHECKS.things():
        assert (check.interval_s, check.criticality) == (30, "degraded")
        assert check.groups == ("readiness",)

    CHECKS.clear()
    health.add_disk(interval="5s", critical=True)
    (disk,) = CHECKS.things()
    assert (disk.interval_s, disk.criticality) == (5, "critical")
