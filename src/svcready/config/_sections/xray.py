"""The section XRAY: AWS X-Ray: its daemon and its names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from svcready.config._adaptive import ADAPTIVE
from svcready.config._addresses import REGION, URL
from svcready.config._kinds import (
    FLAG,
    NAMES,
    TEXT,
    Kind,
    PartlyWrongError,
    duration,
)
from svcready.config._setting import setting, standard

if TYPE_CHECKING:
    from svcready.config._adaptive import AdaptiveSampling

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


def _parse_endpoint(raw: object) -> str:
    text = TEXT.parse(raw)
    return text.lower() if text.lower() in {"", "aws"} else URL.parse(text)


_ENDPOINT = Kind("url", _parse_endpoint, f"aws, or {URL.allowed}")
_GROUP = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")


def _parse_groups(raw: object) -> tuple[str, ...]:
    given = NAMES.parse(raw)
    wrong = tuple(name for name in given if _GROUP.fullmatch(name) is None)
    if wrong:
        raise PartlyWrongError(tuple(it for it in given if it not in wrong), wrong)

    return given


_GROUPS = Kind(
    "list",
    _parse_groups,
    "names of 1 to 512 of the characters a-z, A-Z, 0-9, _ - / . #, separated by commas",
    show=",".join,
)
_INTERVAL = duration(10.0, 86400.0)
_SAMPLER_ARG = "OTEL_TRACES_SAMPLER_ARG"
_FLAG_OR_NONE: Kind[bool | None] = Kind(
    "flag",
    FLAG.parse,
    FLAG.allowed,
    show=lambda value: "" if value is None else FLAG.show(value),
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
    )
    export: bool | None = setting(
        None,
        _FLAG_OR_NONE,
        "Sends spans to the daemon; unless it is said, if its address is set and "
        "nothing else is",
    )
    annotations: tuple[str, ...] = setting(
        (),
        NAMES,
        "Span attributes that X-Ray indexes, beside those that code annotates; or all",
    )
    log_groups: tuple[str, ...] = setting(
        (),
        _GROUPS,
        "CloudWatch log groups that X-Ray shows with a trace",
    )
    in_progress_after_s: float = setting(
        0.0,
        duration(0.0, 3600.0),
        "Sends a request that runs longer as one in progress; 0 sends none",
    )
    sdk: bool = setting(
        True,
        FLAG,
        "Has code that uses the X-Ray SDK make children of the current span",
    )
    sampling: bool | None = setting(
        None,
        _FLAG_OR_NONE,
        "Asks X-Ray for its sampling rules; unless it is said, if the daemon's address "
        "or the endpoint is set and no sampling is",
    )
    sampling_endpoint: str = setting(
        "",
        _ENDPOINT,
        "Where sampling rules are asked for: a proxy's URL, or `aws` to sign for the "
        "service; empty takes the daemon's address",
        standards=(standard(_SAMPLER_ARG, URL, key="endpoint"),),
    )
    sampling_interval_s: float = setting(
        300.0,
        _INTERVAL,
        "How often sampling rules are asked for",
        standards=(standard(_SAMPLER_ARG, _INTERVAL, key="polling_interval"),),
    )
    adaptive_sampling: AdaptiveSampling | None = setting(  # noqa: RUF009 - immutable
        None,
        ADAPTIVE,
        "What is an anomaly to rules that X-Ray may boost; else a failed request",
        standards=(standard("AWS_XRAY_ADAPTIVE_SAMPLING_CONFIG", ADAPTIVE),),
    )
    region: str = setting(
        "",
        REGION,
        "The region of X-Ray; empty takes AWS_REGION, then boto3's",
    )
    tracing_name: str = setting(
        "",
        TEXT,
        "The service's name on X-Ray, if another than everywhere else",
        standards=(standard("AWS_XRAY_TRACING_NAME", TEXT),),
    )
