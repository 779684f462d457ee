"""The source of what the host or container moves: disks, network, and its limits."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from svcready.metrics._model import Number
from svcready.metrics.sources._cgroup import cgroup_families
from svcready.metrics.sources._reading import Reading, available, family

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from svcready._core.clock import Clock
    from svcready.metrics._model import Family

__all__ = ["HostSource"]

_MOST_DEVICES = 16
# Devices that only stand for others, so that their traffic would be counted twice, and
# of which there may be hundreds on a machine full of containers.
_DISKS_APART = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd")
_NETWORKS_APART = (
    *("lo", "veth", "docker", "br-", "virbr", "cni", "cali", "flannel", "cilium"),
    *("lxc", "tap", "tun", "eni", "dummy", "nodelocaldns", "kube-"),
)


class HostSource:
    """
    Reads traffic of disks and network interfaces, and the control group's limits.

    A container sees its own network interfaces and, as a rule, the disks of its host.
    One reading serves every scrape of the next second.

    Args:
        clock: Tells when a reading is old.
        root: Where `proc` and `sys` are.
    """

    def __init__(self, clock: Clock, root: str = "/") -> None:
        self._root = root
        self._reading = Reading(clock, self._read)

    def __call__(self) -> tuple[Family, ...]:
        """Return the families, read now unless that was done a moment ago."""
        return self._reading()

    def _read(self) -> Iterator[Family]:
        for read in (partial(_disks, Path(self._root, "sys/block")), _networks):
            yield from available("metrics.host", read) or ()

        found = available("metrics.host", lambda: tuple(cgroup_families(self._root)))
        yield from found or ()


def _disks(blocks: Path) -> list[Family]:
    import psutil

    # `nowrap` would keep a lock, which a fork may find locked.
    counted = psutil.disk_io_counters(perdisk=True, nowrap=False)
    names = [name for name in counted if _is_disk(name, blocks)]
    moved: list[Number] = []
    done: list[Number] = []
    for name in sorted(names)[:_MOST_DEVICES]:
        disk = counted[name]
        moved += (
            Number((name, "read"), disk.read_bytes),
            Number((name, "write"), disk.write_bytes),
        )
        done += (
            Number((name, "read"), disk.read_count),
            Number((name, "write"), disk.write_count),
        )

    attributes = ("system.device", "disk.io.direction")
    if not moved:
        return []

    return [
        family(
            "system.disk.io",
            "system_disk_io_bytes",
            "counter",
            "Bytes read from and written to the disks of the host.",
            moved,
            unit="By",
            attributes=attributes,
            workers="max",
        ),
        family(
            "system.disk.operations",
            "system_disk_operations",
            "counter",
            "Reads and writes of the disks of the host.",
            done,
            unit="{operation}",
            attributes=attributes,
            workers="max",
        ),
    ]


def _is_disk(name: str, blocks: Path) -> bool:
    # On Linux partitions are told as well, which are no block devices of their own.
    whole = (blocks / name).exists() or not blocks.is_dir()
    return whole and not name.startswith(_DISKS_APART)


def _networks() -> list[Family]:
    import psutil

    counted = psutil.net_io_counters(pernic=True, nowrap=False)
    names = [name for name in counted if not name.startswith(_NETWORKS_APART)]
    chosen = {name: counted[name] for name in sorted(names)[:_MOST_DEVICES]}
    if not chosen:
        return []

    return [
        _network(
            "system.network.io",
            "system_network_io_bytes",
            "Bytes that network interfaces sent and received.",
            "By",
            _both_ways(chosen, "bytes_sent", "bytes_recv"),
        ),
        _network(
            "system.network.errors",
            "system_network_errors",
            "Packets that network interfaces could not send or receive.",
            "{error}",
            _both_ways(chosen, "errout", "errin"),
        ),
        _network(
            "system.network.packet.dropped",
            "system_network_packet_dropped",
            "Packets that network interfaces threw away.",
            "{packet}",
            _both_ways(chosen, "dropout", "dropin"),
        ),
    ]


def _both_ways(
    counted: Mapping[str, object], transmit: str, receive: str
) -> list[Number]:
    return [
        Number((name, direction), getattr(card, field))
        for name, card in counted.items()
        for direction, field in (("transmit", transmit), ("receive", receive))
    ]


def _network(
    name: str, exposition: str, text: str, unit: str, points: list[Number]
) -> Family:
    return family(
        name,
        exposition,
        "counter",
        text,
        points,
        unit=unit,
        attributes=("network.interface.name", "network.io.direction"),
        workers="max",
    )
