"""The section XRAY: AWS X-Ray: its daemon and its names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from svcready.config._kinds import TEXT, Kind
from svcready.config._setting import setting, standard

__all__ = ["DaemonAddress", "XraySettings"]

_HOST_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
_MAX_PORT = 65535


class DaemonAddress(NamedTuple):
    """Where the X-Ray daemon listens."""

    udp: tuple[str, int]
    """Host and port that take segment documents."""
    tcp: tuple[str, int]
    """Host and port of its proxy to the service's API."""

    def __str__(self) -> str:
        if self.udp == self.tcp:
            return f"{self.udp[0]}:{self.udp[1]}"

        return "tcp:{}:{} udp:{}:{}".format(*self.tcp, *self.udp)


def _parse_host_port(text: str) -> tuple[str, int]:
    match = _HOST_PORT.fullmatch(text)
    if match is None or not 0 < int(match[2]) <= _MAX_PORT:
        raise ValueError(text)

    return match[1].strip("[]"), int(match[2])


def _parse_address(raw: object) -> DaemonAddress | None:
    words = TEXT.parse(raw).split()
    if len(words) == 1:
        address = _parse_host_port(words[0])
        return DaemonAddress(address, address)

    named = dict(word.split(":", 1) for word in words if ":" in word)
    if len(words) != 2 or set(named) != {"tcp", "udp"}:
        raise ValueError(raw)

    return DaemonAddress(_parse_host_port(named["udp"]), _parse_host_port(named["tcp"]))


_ADDRESS = Kind(
    "address",
    _parse_address,
    "host:port, or tcp:host:port udp:host:port",
    show=lambda address: "" if address is None else str(address),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class XraySettings:
    """AWS X-Ray: its daemon and its names."""

    section: ClassVar[str] = "XRAY"

    daemon_address: DaemonAddress | None = setting(  # noqa: RUF009 - immutable
        None,
        _ADDRESS,
        "Where the X-Ray daemon or the CloudWatch agent listens",
        standards=(standard("AWS_XRAY_DAEMON_ADDRESS", _ADDRESS),),
        inert=True,
    )
    tracing_name: str = setting(
        "",
        TEXT,
        "The service's name on X-Ray, if another than everywhere else",
        standards=(standard("AWS_XRAY_TRACING_NAME", TEXT),),
        inert=True,
    )
