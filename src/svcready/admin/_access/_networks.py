"""The way in by the network that a client is in, and whose headers are believed."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING

from svcready._core.addresses import ADDRESS_HEADERS, address_of, mentions
from svcready.admin._access._gate import FORWARDING, Grant

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from svcready._core.addresses import Address
    from svcready.admin._exchange import OpsRequest

    Network = IPv4Network | IPv6Network

__all__ = ["NetworkWay", "Proxies"]

_MOST_HOPS = 32
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?")
_OWN_NAMES = ("localhost", "local", "internal", "svc", "lan", "corp", "home", "test")
_OWN_ZONES = (*(f".{name}" for name in _OWN_NAMES), ".home.arpa")
"""What nobody on the internet can register, and so make a name of this service's."""


class Proxies:
    """
    Knows which peers are proxies of ours, and so what their headers are worth.

    A server that puts a client's address in place of the connection's (uvicorn's
    `--proxy-headers` does) takes from us who the peer is: an address that a header has
    as well is not taken for the peer's, because the client may have written it.

    Args:
        networks: Where the proxies are; what is no network is a malformed list's
            stand-in, and believes nobody.
    """

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._networks = _parse_networks(networks)
        self.malformed = len(self._networks) < len(networks)
        """Whether the list could not be read, so that nothing may rest on it."""

    def sent(self, request: OpsRequest) -> bool:
        """Tell whether the connection's other end is one of them, beyond doubt."""
        peer = address_of(request.peer)
        if peer is None or not self._has(peer):
            return False

        return not any(mentions(request.header(name), peer) for name in ADDRESS_HEADERS)

    def client_of(self, request: OpsRequest) -> Address | None:
        """
        Return the client's address, which nobody but our proxies can have said.

        `X-Forwarded-For` is read from its end, over as many of our proxies as there
        are. A request that came through another proxy has none.
        """
        if not self.sent(request):
            through = any(request.header(name) is not None for name in FORWARDING)
            return None if through else address_of(request.peer)

        said = (request.header("X-Forwarded-For") or "").split(",")[-_MOST_HOPS:]
        for text in reversed(said):
            client = address_of(text.strip())
            if client is None or not self._has(client):
                return client

        return client

    def _has(self, address: Address) -> bool:
        return _find(self._networks, address) is not None


class NetworkWay:
    """
    Lets look whoever is in one of these networks.

    A page in an operator's browser is in the operator's network too, and can have its
    own name lead here: only a name that nobody outside can have is answered, and those
    that are configured.

    Args:
        networks: Those of the clients.
        hosts: Further names by which they reach us.
        proxies: Tells who the client is.
    """

    def __init__(
        self, networks: tuple[str, ...], hosts: tuple[str, ...], proxies: Proxies
    ) -> None:
        self._networks = () if proxies.malformed else _parse_networks(networks)
        self._hosts = frozenset(hosts)
        self._proxies = proxies

    def __call__(self, request: OpsRequest) -> Grant | str:
        """Say which network *request* comes from."""
        client = self._proxies.client_of(request)
        network = None if client is None else _find(self._networks, client)
        if network is None:
            return ""

        if not self._knows(request.header("Host")):
            return "unknown_host"

        return Grant(f"network {network}, {client}", writes=False)

    def _knows(self, header: str | None) -> bool:
        match = _HOST.fullmatch((header or "").strip().lower())
        if match is None:
            return False

        name = match[1].strip("[]").removesuffix(".")
        if address_of(name) is not None or name in self._hosts:
            return True

        return "." not in name or name.endswith(_OWN_ZONES)


def _parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Return the networks; what is none is left out."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text))
        except ValueError:
            continue

    return tuple(found)


def _find(networks: tuple[Network, ...], address: Address) -> Network | None:
    """Return the first of *networks* that *address* is in."""
    return next((network for network in networks if address in network), None)
