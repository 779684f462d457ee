"""The kinds of values that say who may use the operator's surface."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from svcready.config._addresses import URL
from svcready.config._kinds import NAMES, TEXT, Kind, matching

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "HEADER",
    "HOSTS",
    "KEYS_URL",
    "NETWORKS",
    "ROLES",
    "SUBJECTS",
    "TOKENS",
    "WORD",
]

_TOKEN = matching(r"[\x21-\x7e]{1,512}", "visible ASCII")
_SUBJECT = re.compile(r"/?[A-Za-z][A-Za-z0-9.-]*=.+")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_LONGEST = 1024
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def _parse_tokens(raw: object) -> tuple[str, ...]:
    return tuple(_TOKEN.parse(token) for token in NAMES.parse(raw))


def _parse_networks(raw: object) -> tuple[str, ...]:
    from ipaddress import ip_network  # needed only where networks are named

    networks = tuple(ip_network(part) for part in NAMES.parse(raw))
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError(raw)  # everybody: never what an allow-list means

    return tuple(map(str, networks))


def _parse_hosts(raw: object) -> tuple[str, ...]:
    hosts = tuple(part.lower() for part in NAMES.parse(raw))
    if not all(_NAME.fullmatch(host) for host in hosts):
        raise ValueError(raw)

    return hosts


def _parse_subjects(raw: object) -> tuple[str, ...]:
    # A subject has commas of its own: divided there, `CN=ops,O=Example` would admit
    # everybody who is called ops.
    parts = raw.split(";") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError(raw)  # noqa: TRY004 - one kind of error means "not allowed"

    subjects = tuple(text for part in parts if (text := TEXT.parse(part)))
    if not all(len(text) <= _LONGEST and _SUBJECT.fullmatch(text) for text in subjects):
        raise ValueError(raw)

    return subjects


def _parse_keys_url(raw: object) -> str:
    text = TEXT.parse(raw)
    if not text:
        return text

    parts = urlsplit(URL.parse(text))
    # Whoever can change the keys on their way is an operator.
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise ValueError(raw)

    return text


def _some(
    name: str, parse: Callable[[object], tuple[str, ...]], allowed: str, mark: str = ","
) -> Kind[tuple[str, ...]]:
    """Return the kind of lists that are not empty where they are given."""

    def parse_some(raw: object) -> tuple[str, ...]:
        found = parse(raw)
        if not found:  # a list was meant: commas alone must not mean "none needed"
            raise ValueError(raw)

        return found

    return Kind(name, parse_some, allowed, show=mark.join)


TOKENS = _some(
    "list",
    _parse_tokens,
    "tokens of 1 to 512 visible ASCII characters separated by commas",
)
NETWORKS = _some(
    "list",
    _parse_networks,
    "networks such as 10.0.0.0/8 or 2001:db8::/32, or single addresses, separated by "
    "commas; not /0",
)
HOSTS = _some(
    "list", _parse_hosts, "names of hosts without a port, separated by commas"
)
SUBJECTS = _some(
    "list",
    _parse_subjects,
    "`CN=ops`, `URI=spiffe://...` or a whole subject such as `CN=ops,O=Example`, "
    "separated by semicolons",
    ";",
)
ROLES = _some("list", NAMES.parse, "roles separated by commas")
WORD = matching(r"[\x21-\x7e]{0,512}", "visible ASCII without spaces")
HEADER = matching(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{0,64}", "a header's name")
KEYS_URL = Kind(
    "url",
    _parse_keys_url,
    "a URL that begins with https://, or http:// to this machine",
)
