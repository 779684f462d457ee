from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from svcready.metrics._model import Number
from svcready.metrics.sources._cgroup import cgroup_families
from svcready.metrics.sources._host import HostSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from svcready.metrics._model import Family
    from svcready.testing import FakeClock
    from tests.conftest import Faults

CPU_STAT = """usage_usec 7500000
user_usec 5000000
system_usec 2500000
nr_periods 40
nr_throttled 6
throttled_usec 1500000
"""


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., str]:
    """Make a root directory with one control group in another and their files."""

    def make(path: str, **groups: dict[str, str]) -> str:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(path + "\n")
        mount = tmp_path / "sys/fs/cgroup"
        for name, files in groups.items():
            group = mount / name.replace("__", "/").replace("root", ".")
            group.mkdir(parents=True, exist_ok=True)
            for file, text in files.items():
                (group / file.replace("_", ".", 1)).write_text(text)

        return str(tmp_path)

    return make


GROUP = {"cgroup_type": "domain\n"}


def values(families: object) -> dict[str, object]:
    """Return what families hold by their Prometheus names."""
    found: dict[str, object] = {}
    for family in families:  # type: ignore[attr-defined]
        numbers = {p.labels: p.value for p in family.points}
        found[family.exposition] = numbers.get((), numbers)
        assert family.workers == "max"
        # The same names, as either spells them.
        assert family.labels == tuple(a.replace(".", "_") for a in family.attributes)

    return found


def test_a_containers_limits_and_use_are_read(tree: Callable[..., str]) -> None:
    """As a container sees them: its own group is the root of what is mounted."""
    root = tree(
        "0::/",
        root={
            **GROUP,
            "cpu_max": "150000 100000\n",
            "cpu_stat": CPU_STAT,
            "memory_max": "536870912\n",
            "memory_current": "300000000\n",
            "memory_stat": "anon 1\ninactive_file 100000000\n",
            "memory_events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\n",
            "pids_max": "100\n",
            "pids_current": "17\n",
        },
    )

    assert values(cgroup_families(root)) == {
        "cgroup_cpu_limit_cores": 1.5,
        "cgroup_cpu_seconds": {("user",): 5.0, ("system",): 2.5},
        "cgroup_cpu_periods": 40,
        "cgroup_cpu_throttled_periods": 6,
        "cgroup_cpu_throttled_seconds": 1.5,
        "cgroup_memory_limit_bytes": 536870912,
        "cgroup_memory_usage_bytes": 300000000,
        "cgroup_memory_working_set_bytes": 200000000,
        "cgroup_memory_oom_kills": 2,
        "cgroup_pids": 17,
        "cgroup_pids_limit": 100,
    }


def test_the_tightest_limit_counts_with_what_is_used_of_it(
    tree: Callable[..., str],
) -> None:
    """A pod or slice around the process may be what is full."""
    root = tree(
        "0::/pod/app",
        root={"cpu_stat": CPU_STAT},  # the machine: no type, never read
        pod={
            **GROUP,
            "cpu_max": "50000 100000\n",
            "cpu_stat": CPU_STAT,
            "memory_max": "1000\n",
            "memory_current": "900\n",
        },
        pod__app={
            **GROUP,
            "cpu_max": "max 100000\n",
            "cpu_stat": "usage_usec 1\nuser_usec 1\nsystem_usec 0\n",
            "memory_max": "5000\n",
            "memory_current": "10\n",
            "pids_max": "max\n",
        },
    )

    found = values(cgroup_families(root))
    assert found["cgroup_cpu_limit_cores"] == 0.5
    assert found["cgroup_cpu_throttled_periods"] == 6
    assert found["cgroup_memory_limit_bytes"] == 1000
    assert found["cgroup_memory_usage_bytes"] == 900
    assert "cgroup_pids_limit" not in found


def test_without_limits_the_process_own_group_is_read(
    tree: Callable[..., str],
) -> None:
    """A service of systemd that has none still says what it uses."""
    root = tree(
        "12:cpu:/old\n0::/system/orders",
        root={"cpu_stat": CPU_STAT},
        system={**GROUP, "memory_current": "900\n", "memory_max": "max\n"},
        system__orders={**GROUP, "memory_current": "10\n", "memory_max": "max\n"},
    )

    assert values(cgroup_families(root)) == {"cgroup_memory_usage_bytes": 10}


@pytest.mark.parametrize("path", ["0::/kubepods/pod1/abc", "0::/../../other"])
def test_a_path_of_the_hosts_means_the_mount(
    tree: Callable[..., str], path: str
) -> None:
    """Without a namespace of its own a container reads the host's path."""
    root = tree(path, root={**GROUP, "memory_max": "1000\n"})

    assert values(cgroup_families(root)) == {"cgroup_memory_limit_bytes": 1000}


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ("4:memory:/docker/abc", {"memory_limit": "1000"}),  # version 1
        ("0::/", {"cpu_stat": CPU_STAT}),  # the whole machine
        ("", {}),
        ("0::/", {**GROUP, "memory_max": "torn", "cpu_max": "1 0", "cpu_stat": "a"}),
    ],
)
def test_where_nothing_can_be_read_nothing_is_shown(
    tree: Callable[..., str], path: str, files: dict[str, str]
) -> None:
    """No version 2, no group, or files that make no sense: no series, no fault."""
    assert values(cgroup_families(tree(path, root=files))) == {}


def test_what_is_not_there_at_all_is_no_fault(tmp_path: Path) -> None:
    """Other systems have no `/proc`."""
    assert list(cgroup_families(str(tmp_path))) == []


class Moved:
    """What psutil says of a device."""

    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __getattr__(self, name: str) -> int:
        """Return another number for each field."""
        return self.amount + len(name)


def test_traffic_is_read_by_device(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Devices that stand for others, or come by the hundred, are left out."""
    disks = {
        "nvme0n1": Moved(100),
        "nvme0n1p1": Moved(99),
        "loop3": Moved(1),
        "dm-0": Moved(1),
    }
    cards = {f"eth{i:02}": Moved(i) for i in range(20)}
    cards |= {"lo": Moved(1), "veth12": Moved(1), "docker0": Moved(1)}
    monkeypatch.setattr(psutil, "disk_io_counters", lambda **_: disks)
    monkeypatch.setattr(psutil, "net_io_counters", lambda **_: cards)
    (tmp_path / "sys/block/nvme0n1").mkdir(parents=True)
    (tmp_path / "sys/block/loop3").mkdir()

    found = values(HostSource(clock, str(tmp_path))())
    assert found["system_disk_io_bytes"] == {
        ("nvme0n1", "read"): 100 + len("read_bytes"),
        ("nvme0n1", "write"): 100 + len("write_bytes"),
    }
    assert found["system_disk_operations"] == {
        ("nvme0n1", "read"): 100 + len("read_count"),
        ("nvme0n1", "write"): 100 + len("write_count"),
    }
    network = found["system_network_io_bytes"]
    assert isinstance(network, dict)
    assert len(network) == 2 * 16
    assert network["eth00", "transmit"] == len("bytes_sent")
    assert network["eth15", "receive"] == 15 + len("bytes_recv")
    assert {"system_network_errors", "system_network_packet_dropped"} <= found.keys()


def test_this_machines_traffic_is_psutils(clock: FakeClock) -> None:
    """The numbers are those of the system, no less than they were before."""
    before = psutil.net_io_counters(pernic=True)
    found: dict[str, Family] = {f.exposition: f for f in HostSource(clock)()}

    for number in getattr(found.get("system_network_io_bytes"), "points", ()):
        assert isinstance(number, Number)
        card, direction = number.labels
        field = {"transmit": "bytes_sent", "receive": "bytes_recv"}[direction]
        assert number.value >= getattr(before[card], field)


def test_what_a_sandbox_forbids_is_left_out(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: Faults
) -> None:
    """The rest is read on; what nobody expected is reported."""

    def forbidden(**_: object) -> None:
        raise PermissionError("/proc/diskstats")

    def torn(**_: object) -> None:
        raise ValueError("not sure how to interpret line")

    source = HostSource(clock, str(tmp_path))
    monkeypatch.setattr(psutil, "disk_io_counters", forbidden)
    monkeypatch.setattr(psutil, "net_io_counters", lambda **_: {})
    assert source() == ()

    clock.advance(1.0)
    monkeypatch.setattr(psutil, "disk_io_counters", lambda **_: {})
    monkeypatch.setattr(psutil, "net_io_counters", torn)
    assert source() == ()
    assert "interpret" in str(faults.claim("metrics.host"))


def test_a_reading_of_the_host_serves_for_a_second(clock: FakeClock) -> None:
    """Several scrapers cost one reading."""
    source = HostSource(clock)
    first = source()
    clock.advance(0.9)
    assert source() is first
    clock.advance(0.2)
    assert source() is not first
