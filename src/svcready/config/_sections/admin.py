"""The section ADMIN: the operator's surface and who may use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._access_kinds import (
    HEADER,
    HOSTS,
    KEYS_URL,
    NETWORKS,
    ROLES,
    SUBJECTS,
    TOKENS,
    WORD,
)
from svcready.config._kinds import FLAG, integer, matching
from svcready.config._setting import setting

__all__ = ["NOBODY", "NOTHING", "NOWHERE", "AdminSettings"]

NOBODY = ("\0",)
"""A list that matches nobody: a header holds no NUL, and no network is called so."""
NOTHING = NOBODY[0]
"""A text that matches nothing, likewise; no path is called so either."""
NOWHERE = -1
"""The port of what is not served."""

_PATH = matching(r"/[^\0]{1,99}|", "the absolute path of a socket, up to 100 bytes")
_HOST = matching(r"[A-Za-z0-9.:_-]{1,253}", "an address or a host's name")
_NOT_SERVED = "neither /metrics nor /admin is served because of it"
_BY_NETWORK = "no network is admitted, and no certificate believed"
_BY_ISSUER = "nobody is admitted by a web token"
_BY_CERTIFICATE = "nobody is admitted by a certificate"


@dataclass(frozen=True, kw_only=True, slots=True)
class AdminSettings:
    """The operator's surface and who may use it."""

    section: ClassVar[str] = "ADMIN"

    enabled: bool = setting(True, FLAG, "Serves /admin/*", closed=False)
    tokens: tuple[str, ...] = setting(
        (),
        TOKENS,
        "Bearer tokens that may look and change; with no way in at all it is closed",
        secret=True,
        closed=NOBODY,
    )
    read_tokens: tuple[str, ...] = setting(
        (),
        TOKENS,
        "Bearer tokens that may look but change nothing",
        secret=True,
        closed=NOBODY,
    )
    networks: tuple[str, ...] = setting(
        (),
        NETWORKS,
        "Networks from which anybody may look but change nothing, as 10.0.0.0/8",
        closed=NOBODY,
        follows="no network is admitted",
    )
    hosts: tuple[str, ...] = setting(
        (),
        HOSTS,
        "Host names by which SVCREADY_ADMIN_NETWORKS reach it, beside addresses and "
        "internal names",
        closed=NOBODY,
    )
    oidc_issuer: str = setting(
        "",
        WORD,
        "The issuer (iss) of the JSON Web Tokens that are accepted",
        closed=NOTHING,
        follows=_BY_ISSUER,
    )
    oidc_audience: str = setting(
        "",
        WORD,
        "The audience (aud) that a JSON Web Token must have",
        closed=NOTHING,
        follows=_BY_ISSUER,
    )
    oidc_jwks_url: str = setting(
        "",
        KEYS_URL,
        "The URL of the issuer's public keys, a JSON Web Key Set",
        closed=NOTHING,
        follows=_BY_ISSUER,
    )
    oidc_role_claim: str = setting(
        "roles",
        WORD,
        "The claim of a JSON Web Token that has the roles; a.b is a member of a",
        closed=NOTHING,
        follows=_BY_ISSUER,
    )
    oidc_read_roles: tuple[str, ...] = setting(
        (), ROLES, "Roles in that claim that may look", closed=NOBODY
    )
    oidc_write_roles: tuple[str, ...] = setting(
        (), ROLES, "Roles in that claim that may look and change", closed=NOBODY
    )
    client_cert_header: str = setting(
        "",
        HEADER,
        "Header in which a trusted proxy names the client's verified certificate",
        closed=NOTHING,
        follows=_BY_CERTIFICATE,
    )
    client_cert_subjects: tuple[str, ...] = setting(
        (),
        SUBJECTS,
        "Subjects of client certificates that may look and change",
        closed=NOBODY,
        follows=_BY_CERTIFICATE,
    )
    trusted_proxies: tuple[str, ...] = setting(
        (),
        NETWORKS,
        "Networks of the proxies whose headers are believed",
        closed=NOBODY,
        follows=_BY_NETWORK,
    )
    max_failures: int = setting(
        10,
        integer(0, 100_000),
        "Refusals a minute after which a peer is told to wait; 0 never",
    )
    port: int = setting(
        0,
        integer(0, 65535),
        "A port of its own for /admin and /metrics; 0 serves them with the application",
        closed=NOWHERE,  # who asks for one wants them on no other
        follows=_NOT_SERVED,
    )
    host: str = setting(
        "0.0.0.0",  # noqa: S104 - probes and scrapers come from outside the container
        _HOST,
        "The address that SVCREADY_ADMIN_PORT is opened on",
        relaxed="127.0.0.1",
        closed="127.0.0.1",
    )
    socket: str = setting(
        "",
        _PATH,
        "A Unix socket for /admin and /metrics, instead of a port or beside one",
        closed=NOTHING,
        follows=_NOT_SERVED,
    )
